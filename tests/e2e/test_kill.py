"""The driver ended by a signal, then the same command again: nothing lost, doubled or corrupt."""

import os
import signal
import subprocess
import sys
import time

import pytest

from posedive.shards.verify import verify
from posedive.storage import open_store

pytestmark = pytest.mark.slow


def test_a_killed_driver_is_made_good_by_running_again(job, tmp_path):
    command = [sys.executable, "-m", "posedive", "generate", str(job.path)]
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    shards = tmp_path / "out" / "shards"
    while started.poll() is None and not (shards.exists() and any(shards.iterdir())):
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    there = sorted(path.name for path in shards.iterdir())
    bytes_before = {name: (shards / name).read_bytes() for name in there}
    assert there
    subprocess.run(command, check=True, capture_output=True)
    found = verify(open_store(str(tmp_path / "out")))
    assert found.ok and found.kept + found.rejected == 16
    assert {name: (shards / name).read_bytes() for name in there} == bytes_before


def test_sigterm_ends_a_run_like_ctrl_c_and_leaves_whole_shards(job, tmp_path):
    command = [sys.executable, "-m", "posedive", "generate", str(job.path)]
    command += ["--set", "images_per_identity=200"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    shards = tmp_path / "out" / "shards"
    while started.poll() is None and not (shards.exists() and any(shards.iterdir())):
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate()
    assert started.returncode == 130 and "interrupted; what is committed stays" in said
    found = verify(open_store(str(tmp_path / "out")))
    assert found.kept + found.rejected >= 200
    assert not (found.doubled or found.corrupt or found.foreign)
