"""`posedive plan` against sums by hand; no Ray."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from posedive.errors import SpecError
from posedive.jobs.forecast import UNMEASURED, plan_summary
from posedive.spec import load_job
from posedive.spec.generate import Generate

JOB: dict[str, Any] = {
    "kind": "generate",
    "dataset": {"name": "embedded", "seed": 7, "identities": 4},
    "images_per_identity": 4,
}
STAGES = dict.fromkeys(("render", "judge", "commit"), 1e-4) | {"denoise": 100.0}


def asked(folder: Path, *overrides: str) -> Generate:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(JOB | {"output": {"uri": str(folder / "out")}}))
    spec = load_job(path, overrides)
    assert isinstance(spec, Generate)
    return spec


@pytest.fixture
def run_before(tmp_path) -> Path:
    """An output whose summary says 100 s per pair for denoise."""
    stages = {name: {"s_per_pair": seconds, "cv": 0.0} for name, seconds in STAGES.items()}
    measured = {"stages": stages, "bytes_per_pair": 5000, "startup_s": 0.0}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/summary.json").write_text(json.dumps({"measured": measured}))
    return tmp_path


def test_hours_money_and_bottleneck_follow_from_a_runs_own_times(run_before):
    told = plan_summary(
        asked(
            run_before,
            "resources.num_gpus=1",
            "resources.gpu_node={gpus: 1, price_per_hour: 3.0}",
            "resources.cpu_node={price_per_hour: 0.6}",
        ),
        [1, 2],
    )
    assert (told["pairs"], told["shards"], told["bytes"]) == (16, 4, 80_000)
    assert told["bottleneck"] == "denoise"
    assert told["seconds"] == pytest.approx(1600, rel=1e-3)
    assert told["gpu_hours"] == pytest.approx(1600 / 3600, rel=1e-2)
    assert told["cost"] == pytest.approx(3.6 * 1600 / 3600, rel=1e-2)  # one GPU node and the head
    assert told["nodes"]["2"]["seconds"] == pytest.approx(800, rel=1e-3)
    assert told["nodes"]["2"]["gpu_hours"] == pytest.approx(1600 / 3600, rel=1e-2)


def test_two_actors_on_a_gpu_halve_the_time_of_a_node(run_before):
    told = plan_summary(asked(run_before, "resources.num_gpus=0.5"), [1])
    assert told["nodes"]["1"]["seconds"] == pytest.approx(800, rel=1e-3)


def test_a_generator_that_nobody_measured_has_no_hours_and_says_what_to_do(tmp_path):
    told = plan_summary(asked(tmp_path, "generator.weights=s3://bucket/weights"))
    assert told["pairs"] == 16 and told["gpu_hours"] is None and told["cost"] is None
    assert told["measured_from"] == UNMEASURED and "--times" in UNMEASURED


def test_the_embedded_generator_is_known(tmp_path):
    told = plan_summary(asked(tmp_path, "generator.steps=4"))
    assert told["seconds"] > 0 and told["gpu_hours"] == 0
    assert "embedded generator" in told["measured_from"]


def test_times_are_asked_of_an_output_that_has_some(tmp_path):
    with pytest.raises(SpecError, match="no summary.json with times"):
        plan_summary(asked(tmp_path), times_uri=str(tmp_path / "nowhere"))
