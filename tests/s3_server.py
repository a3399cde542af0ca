"""A real S3 server for tests, over HTTP: ministack, objects on disk, to be killed and restarted.

with S3Server(folder) as server:
    server.create_bucket("people")
    with server.environment(): ...           # AWS_* for this process
    subprocess.run(..., env=os.environ | server.env)
    server.kill(); server.start()            # the same port, the same objects
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3


class S3Server:
    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.env = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "S3Server":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self) -> None:
        """Up and answering, on the port and the objects it had before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ministack"],
                env=os.environ
                | {
                    "GATEWAY_PORT": str(self.port),
                    "BIND_HOST": "127.0.0.1",
                    "SERVICES": "s3",
                    "S3_PERSIST": "1",
                    "S3_DATA_DIR": str(self.folder / "objects"),
                    "PERSIST_STATE": "1",
                    "STATE_DIR": str(self.folder / "state"),
                },
                stdout=log,
                stderr=log,
            )
        give_up_at = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"no S3 server; see {self.folder / 'server.log'}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create_bucket(self, name: str) -> None:
        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test-secret",
            region_name="us-east-1",
        ).create_bucket(Bucket=name)

    @contextmanager
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint, timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, urllib.error.URLError):
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
