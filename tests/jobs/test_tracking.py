import json
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from posedive.errors import SpecError
from posedive.jobs.tracking import Tracking, check_trackers
from posedive.storage import open_store
from tests.spec.test_train import train


def numbers(step: int, loss: float) -> dict[str, float]:
    return {"step": step, "loss": loss, "learning_rate": 1e-3, "skipped_steps": 0}


def lines(uri: str) -> list[dict]:
    return [json.loads(line) for line in open_store(uri).get("loss.jsonl").decode().splitlines()]


def scalars(folder: Path, name: str) -> dict[int, float]:
    events = EventAccumulator(str(folder)).Reload().Scalars(name)
    return {event.step: event.value for event in events}


def test_numbers_are_told_as_lines_and_to_tensorboard(tmp_path):
    tracking = Tracking(train(output=str(tmp_path)), 0)
    tracking.write(numbers(50, 0.5))
    tracking.write(numbers(100, 0.25) | {"validation_loss": 0.375})
    tracking.close()
    assert [line["loss"] for line in lines(str(tmp_path))] == [0.5, 0.25]
    assert lines(str(tmp_path))[1]["validation_loss"] == 0.375
    assert scalars(tmp_path / "tensorboard", "loss") == {50: 0.5, 100: 0.25}


def test_going_on_from_a_checkpoint_overwrites_what_was_told_beyond_it(tmp_path):
    spec = train(output=str(tmp_path))
    first = Tracking(spec, 0)
    for step in (50, 100, 150):
        first.write(numbers(step, 1.0))
    first.close()
    second = Tracking(spec, 100)
    second.write(numbers(150, 0.5))
    second.close()
    assert [(n["step"], n["loss"]) for n in lines(spec.output)] == [
        (50, 1.0),
        (100, 1.0),
        (150, 0.5),
    ]
    assert scalars(tmp_path / "tensorboard", "loss") == {50: 1.0, 100: 1.0, 150: 0.5}


def test_an_object_store_holds_the_same(s3_uri):
    tracking = Tracking(train(output=s3_uri), 0)
    tracking.write(numbers(50, 0.5))
    tracking.close()
    assert lines(s3_uri)[0]["step"] == 50
    (events,) = [n for n, size in open_store(s3_uri).list("tensorboard/") if size]
    assert "tfevents" in events


def test_a_loss_that_is_not_finite_is_left_out(tmp_path):
    tracking = Tracking(train(output=str(tmp_path)), 0)
    tracking.write(numbers(50, float("nan")))
    tracking.close()
    assert lines(str(tmp_path)) == [{"step": 50, "learning_rate": 1e-3, "skipped_steps": 0}]


@pytest.mark.parametrize("name,package", [("wandb", "wandb"), ("mlflow", "mlflow-skinny")])
def test_a_tracker_that_is_not_installed_is_named_with_its_package(name, package, monkeypatch):
    monkeypatch.setattr(sys, "path", [])  # as if nothing were installed
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SpecError, match=f"{name} is not installed here; pip install {package}"):
        check_trackers(train(trackers=[name]))


def test_mlflow_gets_the_numbers_of_one_run_however_often_training_goes_on(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    spec = train(output=str(tmp_path / "out"), trackers=["mlflow"])
    with pytest.raises(SpecError, match="MLFLOW_TRACKING_URI"):
        check_trackers(spec)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for begun in (0, 50):
        tracking = Tracking(spec, begun)
        tracking.write(numbers(begun + 50, 0.5))
        tracking.close()
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("posedive").experiment_id])
    assert {m.step for m in client.get_metric_history(run.info.run_id, "loss")} == {50, 100}


def test_wandb_gets_the_numbers(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tracking = Tracking(train(output=str(tmp_path / "out"), trackers=["wandb"]), 0)
    tracking.write(numbers(50, 0.5))
    tracking.close()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
