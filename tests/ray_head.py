"""A Ray cluster with its dashboard, in processes of its own.

with RayHead(folder) as head:
    head.address      # http://127.0.0.1:PORT, the dashboard's
    head.gcs          # 127.0.0.1:PORT, for RAY_ADDRESS
`ray stop` would end every Ray on the machine; this ends its own process group alone.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.s3_server import free_port

STARTS = 4


class RayHead:
    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        object_store_bytes: int | None = None,
    ):
        """folder: a short path; Ray's sockets lie below it."""
        self.object_store_bytes = object_store_bytes
        self.folder = folder
        self.environ = {"RAY_AUTH_MODE": "disabled", "RAY_JOB_STOP_WAIT_TIME_S": "30"}
        self.environ |= dict(environ or {})
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.gcs = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RayHead":
        # Ray ends a node whose helpers are not up in 15 s, as on a busy machine: then once more.
        for _ in range(STARTS):
            self._process = self._started()
            if self._comes_up(self._process):
                return self
            self.__exit__()
        raise RuntimeError(f"no Ray head; see {self.folder / 'head.log'}")

    def _started(self) -> "subprocess.Popen[bytes]":
        bin_folder = Path(sys.executable).parent  # a job's `python` is to be ours
        path = f"{bin_folder}:{os.environ.get('PATH', '')}"
        command = [
            str(bin_folder / "ray"),
            "start",
            "--head",
            "--block",
            "--include-dashboard=true",
        ]
        command += [f"--dashboard-port={self.port}", f"--port={self.gcs.partition(':')[2]}"]
        command += ["--num-cpus=2", f"--temp-dir={self.folder}"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        if self.object_store_bytes is not None:
            command += [f"--object-store-memory={self.object_store_bytes}"]
        with open(self.folder / "head.log", "ab") as log:
            return subprocess.Popen(
                command,
                env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
                | {"PATH": path}
                | self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _comes_up(self, process: "subprocess.Popen[bytes]") -> bool:
        give_up_at = time.monotonic() + 180
        while not self._answers():
            if process.poll() is not None or time.monotonic() > give_up_at:
                return False
            time.sleep(0.2)
        return True

    def __exit__(self, *exception: object) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/api/jobs/", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False
