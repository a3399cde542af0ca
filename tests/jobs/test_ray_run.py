"""What Ray Train keeps under our configuration, and what its errors become."""

# Ray's controller is played by hand: what it would pass beside our arguments is left out.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

import asyncio
from pathlib import Path

import pytest
from ray.train import Checkpoint, ControllerError, WorkerGroupError
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import CheckpointManager
from ray.train.v2._internal.execution.training_report import _TrainingReport
from ray.train.v2.api.result import Result

from posedive.errors import RunError
from posedive.jobs.ray_run import (
    CLEANER,
    SNAPSHOT,
    QuietTrainer,
    best_of,
    explained,
    mend_snapshot,
    run_config,
)
from posedive.spec.train import Train
from tests.spec.test_train import train

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


def manager(spec: Train) -> CheckpointManager:
    config = run_config(spec)
    assert config.checkpoint_config is not None
    return CheckpointManager(config.checkpoint_config, config.storage_context)


def reported(spec: Train, losses: list[float]) -> CheckpointManager:
    """Checkpoints step-0, step-1, ... with these validation losses, as a training reports them."""
    folder = Path(spec.output) / "run"

    async def report() -> CheckpointManager:
        watch = (run_config(spec).callbacks or [])[0]
        ours = manager(spec)
        for step, loss in enumerate(losses):
            path = folder / f"step-{step}"
            path.mkdir(parents=True)
            checkpoint = Checkpoint(str(path), run_config(spec).storage_context.storage_filesystem)
            metrics = {"step": step, "validation_loss": loss}
            ours.register_checkpoint(_TrainingReport(checkpoint, metrics, False))
            watch.after_report(None, [metrics], checkpoint)
        return ours

    return asyncio.run(report())


def steps_kept(spec: Train) -> set[str]:
    return {path.name for path in (Path(spec.output) / "run").glob("step-*")}


def test_the_best_checkpoints_and_the_newest_are_kept(tmp_path):
    spec = train(output=str(tmp_path), checkpoint={"keep": 2})
    reported(spec, [0.9, 0.4, 0.5, 0.7, 0.8])
    assert steps_kept(spec) == {"step-1", "step-2", "step-4"}


def test_training_goes_on_from_the_newest_and_the_best_is_published(tmp_path):
    spec = train(output=str(tmp_path), checkpoint={"keep": 1})
    reported(spec, [0.9, 0.4, 0.7])
    again = manager(spec)
    given = again.before_init_train_context([None])["checkpoint"][0]
    assert given.path.endswith("step-2")
    result = Result.from_path(tmp_path / "run")
    best, metrics = best_of(result)
    assert best.path.endswith("step-1") and metrics["validation_loss"] == 0.4


def test_a_snapshot_that_a_kill_cut_off_is_mended(tmp_path):
    spec = train(output=str(tmp_path))
    reported(spec, [0.9, 0.4])
    snapshot = tmp_path / "run" / SNAPSHOT
    whole = snapshot.read_text()
    mend_snapshot(spec)
    assert snapshot.read_text() == whole
    snapshot.write_text(whole[: len(whole) // 2])
    mend_snapshot(spec)
    assert snapshot.read_text() == whole
    assert manager(spec).latest_checkpoint_result.metrics["step"] == 1


def test_an_error_of_ours_ends_the_job_and_another_does_not(tmp_path):
    watch = (run_config(train(output=str(tmp_path))).callbacks or [])[0]
    watch.after_exception(None, {0: ConnectionError("peer is gone")})
    with pytest.raises(RunError, match="no finite loss"):
        watch.after_exception(None, {0: ConnectionError("x"), 1: RunError("no finite loss")})


def test_errors_are_told_in_our_words():
    spec = train()
    ours = RunError("no finite loss in steps 3 to 22")
    assert explained(ControllerError(ours), spec) is ours
    lost = explained(WorkerGroupError("...", {1: ConnectionError("peer is gone")}), spec)
    assert str(lost) == (
        "training stopped short: ConnectionError: peer is gone; run it again to go on from the"
        " newest checkpoint"
    )
    full = explained(WorkerGroupError("...", {0: RuntimeError("CUDA out of memory")}), spec)
    assert "lower batch_size (now 4), to 2 with accumulate: 2 for the same loss" in str(full)


def test_best_without_a_checkpoint_is_an_error():
    with pytest.raises(RunError, match="without a checkpoint"):
        best_of(Result(metrics=None, checkpoint=None, error=None, path=""))


def test_a_local_ray_is_not_asked_each_second_for_a_dashboard_that_it_has_not():
    names = [
        {type(callback).__name__ for callback in trainer(print)._create_default_callbacks()}
        for trainer in (TorchTrainer, QuietTrainer)
    ]
    assert names[0] - names[1] == {CLEANER}
