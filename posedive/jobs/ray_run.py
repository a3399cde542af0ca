"""What Ray Train is told, and what it tells: where checkpoints lie, which are kept, what ends it.

Kept are the `keep` of the lowest validation loss, and always the newest, whatever its loss: from
there a run that was killed goes on.
"""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from pyarrow.fs import S3FileSystem
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    ControllerError,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    UserCallback,
    WorkerGroupError,
)
from ray.train.torch import TorchTrainer

from posedive.errors import RunError
from posedive.jobs.loop import memory_advice
from posedive.spec.train import Train
from posedive.storage import FileStore, open_store

log = logging.getLogger(__name__)
NAME = "run"
SCORE = "validation_loss"
MAX_FAILURES = 8  # of workers, by accident; a node that is taken away is not counted
SNAPSHOT = "checkpoint_manager_snapshot.json"
CLEANER = "PlacementGroupCleanerCallback"


class QuietTrainer(TorchTrainer):
    """For a Ray that ends with its driver. Ray's cleaner of what a dead driver leaves asks for it
    by the dashboard, each second; without one, each answer is a warning in the user's log."""

    def _create_default_callbacks(self):
        made = super()._create_default_callbacks()
        return [callback for callback in made if type(callback).__name__ != CLEANER]


def scaling_config(spec: Train) -> ScalingConfig:
    asked = spec.resources
    resources = {"CPU": asked.num_cpus} | ({"GPU": asked.num_gpus} if asked.num_gpus else {})
    return ScalingConfig(
        num_workers=asked.num_workers,
        use_gpu=asked.num_gpus > 0,
        resources_per_worker=resources,
    )


def run_config(spec: Train) -> RunConfig:
    """Checkpoints at the output's `run/`; s3:// by way of pyarrow, whose endpoint is ours."""
    scored = {} if spec.what == "pose_estimator" else {"checkpoint_score_attribute": SCORE}
    kept = CheckpointConfig(
        num_to_keep=spec.checkpoint.keep, checkpoint_score_order="min", **scored
    )
    store = open_store(spec.output)
    if isinstance(store, FileStore):
        place: dict[str, Any] = {"storage_path": str(store.root)}
        callback = Watch(store.root / NAME / SNAPSHOT)
    else:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        place = {
            "storage_path": spec.output.removeprefix("s3://"),
            "storage_filesystem": S3FileSystem(endpoint_override=endpoint)
            if endpoint
            else S3FileSystem(),
        }
        callback = Watch(None)
    return RunConfig(
        name=NAME,
        checkpoint_config=kept,
        failure_config=FailureConfig(max_failures=MAX_FAILURES),
        callbacks=[callback],
        **place,
    )


class Watch(UserCallback):
    """Ends the job on an error that another attempt would meet again, and keeps a second copy of
    Ray's snapshot, which it overwrites in place: a kill at that moment leaves half of it. Objects
    of S3 are replaced whole."""

    def __init__(self, snapshot: Path | None):
        self.snapshot = snapshot

    def after_report(self, run_context, metrics, checkpoint) -> None:
        if self.snapshot is None or checkpoint is None:
            return
        partial = self.snapshot.with_suffix(".partial")
        shutil.copyfile(self.snapshot, partial)
        os.replace(partial, self.snapshot.with_suffix(".copy"))

    def after_exception(self, run_context, worker_exceptions: dict[int, Exception]) -> None:
        for error in worker_exceptions.values():
            if isinstance(error, RunError):
                raise error


def mend_snapshot(spec: Train) -> None:
    """Puts the copy of Ray's snapshot in its place when a kill left half of it there."""
    store = open_store(spec.output)
    if not isinstance(store, FileStore):
        return
    snapshot = store.root / NAME / SNAPSHOT
    copy = snapshot.with_suffix(".copy")
    if not snapshot.exists() or not copy.exists():
        return
    try:
        json.loads(snapshot.read_text())
    except json.JSONDecodeError:
        log.warning("%s: cut off by a kill; the one before takes its place", snapshot)
        shutil.copyfile(copy, snapshot)


def best_of(result: Result) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint to publish, and its metrics: the lowest validation loss of those kept."""
    scored = [(c, m) for c, m in result.best_checkpoints or [] if SCORE in m]
    if scored:
        return min(scored, key=lambda kept: kept[1][SCORE])
    if result.checkpoint is None:
        raise RunError("training ended without a checkpoint; run it again to go on")
    return result.checkpoint, result.metrics or {}


def explained(error: TrainingFailedError, spec: Train) -> RunError:
    """Ray's error in a line of ours; ours, as it was raised in a worker, unchanged."""
    cause: BaseException = error
    if isinstance(error, ControllerError):
        cause = error.controller_failure
    elif isinstance(error, WorkerGroupError) and error.worker_failures:
        cause = next(iter(error.worker_failures.values()))
    if isinstance(cause, RunError):
        return cause
    text = f"{type(cause).__name__}: {cause}"
    hint = memory_advice(spec) if "OutOfMemory" in text or "out of memory" in text else ""
    return RunError(
        f"training stopped short: {hint and f'{hint}: '}{text}; run it again to go on from the"
        " newest checkpoint"
    )
