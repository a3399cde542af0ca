"""A small piece of `make chaos`: commits killed before, during and after the PUT of a shard."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_commits_that_are_killed_in_the_act_leave_each_pair_once():
    command = [sys.executable, "scripts/kill_matrix.py", "--only", "commit", "--share", "0.1"]
    command += ["--nodes", "1", "--pairs", "256", "--batch-s", "0.1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["commit"]
    assert told["kills"] == {"before": 1, "during": 1, "after": 1}
    assert not any(told[k] for k in ("missing", "doubled", "corrupt", "foreign"))
    assert told["pairs"] == 256 * told["outputs"]
