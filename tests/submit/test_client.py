"""Jobs submitted to a real Ray cluster of one node: once, followed, looked at, stopped, resumed."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from posedive.shards.verify import verify
from posedive.storage import open_store
from tests.ray_head import RayHead

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
CANARY = "canary-7f3a9c"
SMALL: dict[str, Any] = {
    "kind": "generate",
    "dataset": {"name": "embedded", "seed": 7, "identities": 4},
    "generator": {"weights": "composite", "batch_size": 4},
    "filter": {"generated_threshold": 0, "min_oks": 0, "max_confidence_difference": 1},
    "images_per_identity": 4,
    "output": {"min_shards": 4},
}


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with tempfile.TemporaryDirectory(prefix="pd") as folder:
        # The driver runs in a folder of its own: what the tests import must be found from there.
        with RayHead(Path(folder), {"PYTHONPATH": str(ROOT)}) as head:
            yield head


def written(folder: Path, **changes: Any) -> str:
    path = folder / "job.yaml"
    document = SMALL | changes
    document["output"] = document["output"] | {"uri": str(folder / "out")}
    path.write_text(yaml.safe_dump(document))
    return str(path)


def posedive(head: RayHead, *args: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the result, and what went to stderr; with a credential in the environment."""
    command = [sys.executable, "-m", "posedive", *args, "--address", head.address, "--json"]
    environ = head.environ | {"AWS_SECRET_ACCESS_KEY": CANARY, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ)
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_job_is_followed_to_its_end_told_and_done_once(head, tmp_path):
    job = written(tmp_path)
    code, told, log = posedive(head, "submit", job, "--follow")
    assert (code, told["status"], told["exit_code"]) == (0, "SUCCEEDED", 0)
    assert "committed shard=000003" in log
    assert verify(open_store(str(tmp_path / "out"))).ok
    _, state, _ = posedive(head, "status", told["job"])
    assert state["progress"]["done"] == 16 == state["progress"]["pairs"]
    # Again: another attempt, which finds all done.
    code, again, log = posedive(head, "submit", job, "--follow")
    assert (code, again["job"]) == (0, f"{told['job']}-2")
    assert "resuming shards_left=0" in log and "committed shard" not in log


def test_follow_ends_with_the_jobs_own_exit_code_and_no_log_has_a_credential(head, tmp_path):
    job = written(tmp_path, body="/nowhere.pkl")
    code, told, log = posedive(head, "submit", job, "--follow")
    assert (code, told["status"]) == (2, "FAILED") and "/nowhere.pkl" in log
    _, printed, _ = posedive(head, "logs", told["job"])
    assert "/nowhere.pkl" in printed["log"]
    assert CANARY not in log + json.dumps(told) + json.dumps(printed)
    logs = [path for path in Path(head.folder).rglob("*") if path.is_file()]
    assert logs and not any(CANARY.encode() in path.read_bytes() for path in logs)


def test_a_running_job_is_joined_and_stops_without_being_killed(head, tmp_path):
    job = written(tmp_path, images_per_identity=400)
    _, first, _ = posedive(head, "submit", job)
    shards = tmp_path / "out/shards"
    while not (shards.exists() and any(shards.iterdir())):
        assert posedive(head, "status", first["job"])[1]["status"] in ("PENDING", "RUNNING")
        time.sleep(1)
    _, second, log = posedive(head, "submit", job)
    assert second["job"] == first["job"] and second["already_running"]
    assert "already running" in log
    _, stopped, _ = posedive(head, "stop", first["job"])
    assert stopped["status"] == "STOPPED"
    _, printed, _ = posedive(head, "logs", first["job"])
    assert "interrupted; what is committed stays" in printed["log"]
    found = verify(open_store(str(tmp_path / "out")))
    assert not (found.doubled or found.corrupt or found.foreign) and found.kept


def test_a_job_that_is_not_there_is_named(head):
    code, told, _ = posedive(head, "status", "posedive-generate-000000000000")
    assert code == 2 and "no such job on this cluster" in told["error"]
