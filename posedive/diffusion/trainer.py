"""Steps of training, on one worker or on many, and all that must survive a kill.

The batch of a step has numbered parts, shared out among the workers; the loss is the mean over all
parts, wherever they are computed, and everything random in a part follows from (seed, step, part).
So a run that went on from a checkpoint, with more workers or with fewer, sees what an uninterrupted
one would have seen.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from posedive.diffusion.parallel import gathered, num_workers, place_like, synchronised, whole
from posedive.diffusion.training import DenoisingTask, Recipe

WARMUP_STEPS = 200
Batch = Mapping[str, np.ndarray]


class Trainer:
    """Optimizer, averaged weights and step counter around a DenoisingTask.

    skipped: steps whose loss or gradients were not finite, and that changed nothing;
    skipped_in_a_row: those just before now.
    """

    def __init__(self, task: DenoisingTask, wrapped: nn.Module, recipe: Recipe):
        """`wrapped`: the task itself, or what `parallel.distribute` made of it."""
        self.task, self.wrapped, self.recipe = task, wrapped, recipe
        self.parameters: list[Tensor] = [p for p in task.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.average = [p.detach().clone() for p in self.parameters]
        # fp16 gradients vanish unless the loss is scaled up; the other precisions need no scale
        self.scaler = torch.amp.GradScaler(
            self.parameters[0].device.type, enabled=recipe.dtype == torch.float16
        )
        self.step = self.skipped = self.skipped_in_a_row = 0

    @property
    def learning_rate(self) -> float:
        return learning_rate(self.recipe, self.step)

    def train_step(self, batches: Mapping[int, Batch], parts: int) -> float | None:
        """One update from the step's `parts`, of which `batches` holds this worker's, by number.

        Returns the mean loss over all parts of all workers. None: on some worker the loss or the
        gradients were not finite, and the step changed nothing on any of them.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        last = max(batches)
        total = torch.zeros((), device=self.parameters[0].device)
        for part, batch in batches.items():
            seed = hash((self.recipe.seed, self.step, part)) % 2**63
            with synchronised(self.wrapped, part == last):
                loss = self.wrapped(batch, torch.Generator().manual_seed(seed)).mean() / parts
                # gradients are averaged over the workers, where the parts want their sum
                self.scaler.scale(loss * num_workers()).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimizer)
        norm = whole(nn.utils.clip_grad_norm_(self.parameters, 1.0))
        agreed = _agreed(total, norm.to(total.device))
        if agreed is not None:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if agreed is None:
            self.skipped += 1
            self.skipped_in_a_row += 1
            return None
        self.skipped_in_a_row = 0
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(self.average, self.parameters, self.step)
        return agreed

    def state(self) -> dict[str, Any]:
        """Tensors and plain values only: loads with weights_only, and alike however the weights
        lay. All workers call it."""
        state = {
            "step": self.step,
            "weights": self.task.generator.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "skipped": self.skipped,
        }
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        return whole(state)

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.skipped = state["step"], state.get("skipped", 0)
        generator = self.task.generator
        generator.load_state_dict(place_like(state["weights"], generator.state_dict()))
        moments = state["optimizer"]["state"]
        like = {i: {name: self.parameters[i] for name in moments[i]} for i in moments}
        placed = {"state": place_like(moments, like)}
        self.optimizer.load_state_dict(dict(state["optimizer"]) | placed)
        if "scaler" in state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        for mine, theirs in zip(
            self.average, place_like(state["average"], self.average), strict=True
        ):
            mine.copy_(theirs)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The task with the averaged weights, in eval mode, whole on each worker. All workers
        enter and leave; what they do in between is their own."""
        self._swap()
        self.task.eval()
        try:
            with gathered(self.task):
                yield
        finally:
            self.task.train()
            self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for p, average in zip(self.parameters, self.average, strict=True):
                kept = p.detach().clone()
                p.copy_(average)
                average.copy_(kept)


def learning_rate(recipe: Recipe, step: int) -> float:
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    if recipe.schedule == "constant":
        return recipe.learning_rate * warm
    done = min(1.0, step / recipe.steps)
    return recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def _agreed(loss: Tensor, norm: Tensor) -> float | None:
    """The loss summed over the workers; None when it, or the norm, is not finite on any."""
    finite = torch.isfinite(loss) & torch.isfinite(norm)
    told = torch.stack([torch.where(finite, loss, 0.0), (~finite).to(loss.dtype)])
    if num_workers() > 1:
        dist.all_reduce(told)
    total, not_finite = told.tolist()
    return None if not_finite else total
