"""A job on a node whose object store is full: Ray spills to the disk, and nothing is lost."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from posedive.shards.verify import verify
from posedive.storage import open_store
from tests.ray_head import RayHead

pytestmark = pytest.mark.slow
STORE_BYTES = 80 * 2**20  # Ray takes no less
# Another tenant's objects fill the store, and stay while the job runs.
TENANT = """
import subprocess, sys
import numpy as np, ray
from ray._private.internal_api import memory_summary
ray.init()
held = [ray.put(np.random.default_rng(i).random(2**20)) for i in range(9)]
done = subprocess.run([sys.executable, "-m", "posedive", "generate", sys.argv[1]])
sums = [float(ray.get(of).sum()) for of in held]
assert sums == [float(np.random.default_rng(i).random(2**20).sum()) for i in range(9)]
print(memory_summary(stats_only=True))
sys.exit(done.returncode)
"""


def test_with_a_full_object_store_the_job_spills_and_is_complete(job, tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with RayHead(Path(folder), object_store_bytes=STORE_BYTES) as head:
            environ = os.environ | head.environ | {"RAY_ADDRESS": head.gcs}
            command = [sys.executable, "-c", TENANT, str(job.path)]
            done = subprocess.run(command, env=environ, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert re.search(r"^Spilled [1-9]\d* MiB", done.stdout, re.MULTILINE), done.stdout
    found = verify(open_store(str(tmp_path / "out")))
    assert found.ok and found.kept + found.rejected == 16
