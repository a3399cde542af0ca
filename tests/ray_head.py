"""A Ray cluster with its dashboard, in processes of its own: one node, or one that scales itself.

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
from typing import Any

import yaml

from tests.s3_server import free_port

PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
IDLE_S = 6.0
STARTS = 4


class RayHead:
    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        num_cpus: int = 2,
        node_types: Mapping[str, Any] | None = None,
    ):
        """folder: a short path; Ray's sockets lie below it. node_types: those that Ray's own
        autoscaler may add, as in a cluster YAML; its nodes are raylets on this machine."""
        self.folder, self.num_cpus, self.node_types = folder, num_cpus, node_types
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
        command += [f"--num-cpus={self.num_cpus}", f"--temp-dir={self.folder}"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        if self.node_types:
            command += [f"--autoscaling-config={self._autoscaling_config()}"]
            command += ["--node-ip-address=127.0.0.1"]
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

    def _autoscaling_config(self) -> Path:
        self.environ |= {"RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1"}
        head = {"resources": {"CPU": self.num_cpus}, "node_config": {}, "max_workers": 0}
        types = {name: {"node_config": {}} | told for name, told in (self.node_types or {}).items()}
        config = {
            "cluster_name": "posedive",
            "max_workers": sum(told["max_workers"] for told in types.values()),
            "idle_timeout_minutes": IDLE_S / 60,
            "provider": {"type": "external", "module": PROVIDER, "gcs_address": self.gcs},
            "head_node_type": "ray.head.default",
            "available_node_types": {"ray.head.default": head} | types,
        }
        path = self.folder / "autoscaling.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/api/jobs/", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False
