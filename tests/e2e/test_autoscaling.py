"""A job on a cluster that has no GPU node: Ray's autoscaler (v2) adds some, and takes them away."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.util.state import list_nodes

from posedive.shards.verify import verify
from posedive.storage import open_store
from tests.ray_head import RayHead

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
GPU = {"resources": {"CPU": 2, "GPU": 1}, "min_workers": 0, "max_workers": 2}
SETTINGS = (
    "generator.weights=composite",
    "filter.generated_threshold=0",
    "resources.num_gpus=1",
    "resources.denoise_actors=[2,2]",
    "resources.denoise_cpus=0.5",
)
PATIENCE_S = 300


def gpu_nodes(head: RayHead) -> int:
    nodes: list[Any] = list_nodes(address=head.address, filters=[("state", "=", "ALIVE")])
    return sum("GPU" in node.resources_total for node in nodes)


def at_last(condition: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.5)
    return condition()


def test_gpu_nodes_come_for_a_job_and_go_after_it(job, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    environ = {"PYTHONPATH": str(ROOT), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    command = [sys.executable, "-m", "posedive", "generate", str(job.path)]
    command += [word for setting in SETTINGS for word in ("--set", setting)]
    with (
        tempfile.TemporaryDirectory(prefix="pd") as folder,
        RayHead(Path(folder), environ, num_cpus=0, node_types={"gpu": GPU}) as head,
    ):
        assert gpu_nodes(head) == 0
        driver = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | head.environ | {"RAY_ADDRESS": head.gcs},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert at_last(lambda: gpu_nodes(head) == 2 or driver.poll() is not None)
        assert driver.poll() is None, driver.communicate()[1]
        _, said = driver.communicate()
        assert driver.returncode == 0, said
        assert at_last(lambda: gpu_nodes(head) == 0)
    found = verify(open_store(str(tmp_path / "out")))
    assert found.ok and found.kept + found.rejected == 16
