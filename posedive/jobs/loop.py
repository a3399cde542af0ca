"""The loop that every training job runs on each of its workers: steps, numbers, checkpoints.

    get_checkpoint   the newest, not the best
      -> step        until `steps`; one that is not finite is skipped, too many in a row end the job
      -> log         every 50 steps: loss.jsonl, TensorBoard and kin
      -> report      every few minutes and at the end: validation loss, sample sheet, checkpoint
A checkpoint holds state.pt (step, weights, average, optimizer: tensors and plain values) and
weights/ (the averaged weights, ready to load). All workers agree on when to make one; rank 0 writes
it. One whose validation loss is not finite is not kept.
"""

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import ray.train
import torch
import torch.distributed as dist
from ray.train import Checkpoint
from ray.train.torch import get_device

from posedive.errors import RunError
from posedive.jobs.stages.rows import to_png
from posedive.jobs.tracking import Tracking
from posedive.spec.train import Train
from posedive.storage import open_store

log = logging.getLogger(__name__)
LOG_EVERY = 50
STATE, WEIGHTS = "state.pt", "weights"


class Trains(Protocol):
    """What is trained: diffusion.trainer.Trainer, or the codec's."""

    step: int
    skipped: int
    skipped_in_a_row: int

    @property
    def learning_rate(self) -> float: ...
    def train_step(
        self, batches: Mapping[int, Mapping[str, np.ndarray]], parts: int
    ) -> float | None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: Mapping[str, Any]) -> None: ...
    def averaged(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Hooks:
    """batch_at: step, part, parts -> arrays. The others run on rank 0 alone, with the averaged
    weights: the loss on held-out examples, the checkpoint's weights, a sheet of samples."""

    batch_at: Callable[[int, int, int], Mapping[str, np.ndarray]]
    validate: Callable[[], float]
    save: Callable[[Path], None]
    draw: Callable[[], np.ndarray] | None = None


def loop(spec: Train, trainer: Trains, hooks: Hooks) -> None:
    """Steps from wherever the last checkpoint was to spec.steps."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / STATE, map_location="cpu", weights_only=True)
        trainer.restore(state)
        log.info("going on step=%d", trainer.step)
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    parts = spec.resources.most_workers * spec.accumulate
    tracking = Tracking(spec, trainer.step) if rank == 0 else None
    last_saved = begun = time.monotonic()
    first, losses = trainer.step, []
    while trainer.step < spec.steps:
        batches = {
            part: hooks.batch_at(trainer.step, part, parts) for part in range(rank, parts, world)
        }
        rate = trainer.learning_rate
        with _memory_explained(spec, trainer.step):
            loss = trainer.train_step(batches, parts)
        if loss is None:
            _count_skipped(spec, trainer)
        else:
            losses.append(loss)
        step = trainer.step
        if step % LOG_EVERY and step < spec.steps:
            continue
        numbers = {
            "step": step,
            "loss": float(np.mean(losses)) if losses else math.nan,
            "learning_rate": rate,
            "steps_per_s": (step - first) / (time.monotonic() - begun),
            "skipped_steps": trainer.skipped,
        }
        losses = []
        late = time.monotonic() - last_saved > 60 * spec.checkpoint.every_minutes
        if _agreed(late) or step >= spec.steps:
            _report(spec, trainer, hooks, numbers, rank)
            last_saved = time.monotonic()
        if tracking is not None:
            log.info(
                "step=%d/%d loss=%.4f steps_per_s=%.2f skipped=%d",
                step,
                spec.steps,
                numbers["loss"],
                numbers["steps_per_s"],
                trainer.skipped,
            )
            tracking.write(numbers)
    if tracking is not None:
        tracking.close()


def _report(
    spec: Train, trainer: Trains, hooks: Hooks, numbers: dict[str, float], rank: int
) -> None:
    """Validates and, when all is finite, makes a checkpoint; adds to `numbers`."""
    state = trainer.state()
    with tempfile.TemporaryDirectory() as folder:
        with trainer.averaged():
            if rank == 0:
                numbers["validation_loss"] = hooks.validate()
                if hooks.draw is not None:
                    name = f"samples/step-{trainer.step:06d}.png"
                    open_store(spec.output).put(name, to_png(hooks.draw()))
                hooks.save(Path(folder) / WEIGHTS)
        finite = _agreed(math.isfinite(numbers.get("validation_loss", 0.0)))
        if not finite:
            log.warning("step=%d: no checkpoint, validation loss is not finite", trainer.step)
        elif rank == 0:
            torch.save(state, Path(folder) / STATE)
            log.info(
                "checkpoint step=%d validation_loss=%.4f", trainer.step, numbers["validation_loss"]
            )
            ray.train.report(dict(numbers), checkpoint=Checkpoint.from_directory(folder))
        else:
            ray.train.report(dict(numbers))


def _count_skipped(spec: Train, trainer: Trains) -> None:
    log.warning(
        "skipped step=%d, loss or gradients not finite; in a row=%d in all=%d",
        trainer.step,
        trainer.skipped_in_a_row,
        trainer.skipped,
    )
    if trainer.skipped_in_a_row >= spec.max_skipped_steps:
        raise RunError(
            f"no finite loss in steps {trainer.step - trainer.skipped_in_a_row + 1} to"
            f" {trainer.step}: stopped after {trainer.skipped_in_a_row} such steps in a row"
            f" (max_skipped_steps); the checkpoints before are kept. Try a lower learning_rate (now"
            f" {spec.learning_rate:g}), or precision: fp32 (now {spec.precision})"
        )


@contextmanager
def _memory_explained(spec: Train, step: int) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # the CPU's allocator raises a plain RuntimeError
        if type(error) is RuntimeError and "DefaultCPUAllocator" not in str(error):
            raise
        first_line = (str(error).splitlines() or ["MemoryError"])[0]
        raise RunError(f"{memory_advice(spec)} (step {step}: {first_line})") from error


def memory_advice(spec: Train) -> str:
    half = max(1, spec.batch_size // 2)
    advice = [f"lower batch_size (now {spec.batch_size})"]
    if spec.what == "generator":
        if half < spec.batch_size:
            accumulate = spec.accumulate * -(-spec.batch_size // half)
            advice[0] += f", to {half} with accumulate: {accumulate} for the same loss"
        if not spec.gradient_checkpointing:
            advice.append("set gradient_checkpointing: true")
        if spec.parallel == "ddp" and spec.resources.most_workers > 1:
            advice.append("set parallel: fsdp")
    return f"out of memory; {', or '.join(advice)}"


def _agreed(mine: bool) -> bool:
    """Rank 0's answer, everywhere: report() is a barrier."""
    if not (dist.is_available() and dist.is_initialized()):
        return mine
    answer = torch.tensor([int(mine)], device=get_device())
    dist.broadcast(answer, 0)
    return bool(answer.item())
