"""A job on a cluster without a GPU node: Ray's autoscaler brings one, and takes it away again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_a_cluster_grows_for_a_job_and_shrinks_to_nothing_after_it():
    command = [sys.executable, "scripts/autoscale.py", "--nodes", "1"]
    command += ["--pairs", "256", "--batch-s", "0.1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["before"], told["most"], told["exit_code"]) == (0, 1, 0)
    assert told["first_s"] < told["job_ended_s"] < told["none_s"]
    assert told["pairs"] == 256 and not any(told[k] for k in ("missing", "doubled", "corrupt"))
