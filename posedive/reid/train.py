"""Training of the yardstick: images of known people -> a network that tells people apart.

In: images (N, H, W, 3) uint8, pids and camids (N,), which of them are generated, a Recipe. Out: a
ReidModel in eval mode. Step s draws its batch and its augmentation from (seed, s), so that a run
that goes on from a saved state is the run.
"""

import logging
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from posedive.errors import RunError
from posedive.reid.augment import augment
from posedive.reid.backbone import load_pretrained
from posedive.reid.losses import id_loss, triplet_loss
from posedive.reid.model import ReidModel
from posedive.reid.sampler import PkSampler

log = logging.getLogger(__name__)

STATE_EVERY_STEPS = 200
LOG_EVERY_STEPS = 50


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are for `resnet18-quarter` from scratch, 4 minutes of one core.

    real_alone_share: of the steps, the last ones, whose batches hold real images alone; so a model
    ends on what its own set looks like. margin: of the triplet loss, None for the soft one.
    pretrained: a state_dict of the backbone; a pretrained ResNet-50 wants learning_rate=3.5e-4,
    weight_decay=5e-4 (Luo et al. 2019). dtype: what convolutions compute in; bfloat16 is wrong on a
    CPU for pictures of 32 pixels' width or less (oneDNN's strided convolutions to one column).
    """

    backbone: str = "resnet18-quarter"
    pretrained: Path | None = None
    camera_wise: bool = False
    steps: int = 2500
    identities_per_batch: int = 16
    images_per_identity: int = 4
    generated_per_identity: int = 1
    real_alone_share: float = 0.2
    learning_rate: float = 1.6e-2
    weight_decay: float = 5e-2
    warmup_steps: int = 100
    margin: float | None = None
    dtype: torch.dtype = torch.bfloat16
    seed: int = 0


def train(
    images: UInt8[np.ndarray, "images height width 3"],
    pids: Int[np.ndarray, " images"],
    camids: Int[np.ndarray, " images"],
    recipe: Recipe,
    generated: Bool[np.ndarray, " images"] | None = None,
    state_path: Path | None = None,
    device: str = "cpu",
) -> ReidModel:
    """Trains, or goes on from what a killed run left at `state_path`.

    Raises DatasetError for too few identities, WeightsError for pretrained weights of another kind,
    RunError when the loss is no longer finite.
    """
    if generated is None:
        generated = np.zeros(len(pids), bool)
    people, labels = np.unique(pids, return_inverse=True)
    sampler = PkSampler(
        pids,
        generated,
        recipe.identities_per_batch,
        recipe.images_per_identity,
        recipe.generated_per_identity,
        recipe.seed,
    )
    torch.manual_seed(recipe.seed)
    model = ReidModel(recipe.backbone, len(people), recipe.camera_wise)
    if recipe.pretrained is not None:
        load_pretrained(model.backbone, recipe.pretrained)
    model = model.to(device)
    optimizer = torch.optim.AdamW(
        (p for p in model.parameters() if p.requires_grad),
        recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    first = 0
    if state_path is not None and state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        log.info("resumed step=%d", first)
    model.train()
    real_alone_from = recipe.steps - round(recipe.real_alone_share * recipe.steps)
    started = time.monotonic()
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        rows = sampler.batch(step, real_alone=step >= real_alone_from)
        batch = torch.from_numpy(augment(images[rows], recipe.seed, step)).to(device)
        of_person = torch.from_numpy(labels[rows]).to(device)
        of_camera = torch.from_numpy(camids[rows]).to(device)
        with torch.autocast(device, recipe.dtype, enabled=recipe.dtype != torch.float32):
            features, logits = model(batch, of_camera)
        loss = id_loss(logits, of_person) + triplet_loss(features, of_person, recipe.margin)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done = step + 1
        if done % LOG_EVERY_STEPS == 0 or done == recipe.steps:
            pace = (done - first) * len(rows) / (time.monotonic() - started)
            log.info(
                "step=%d of=%d loss=%.3f images_per_s=%.0f", done, recipe.steps, loss.item(), pace
            )
            if not torch.isfinite(loss):
                raise RunError(
                    f"training: expected a finite loss, got {loss.item()} at step {done};"
                    " lower learning_rate, or train in float32"
                )
        if state_path is not None and (done % STATE_EVERY_STEPS == 0 or done == recipe.steps):
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
            torch.save(state, state_path.with_suffix(".part"))
            os.replace(state_path.with_suffix(".part"), state_path)
    return model.eval()


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then half a cosine to nothing."""
    warm = (step + 1) / recipe.warmup_steps
    if warm <= 1:
        return recipe.learning_rate * warm
    done = (step - recipe.warmup_steps) / max(recipe.steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
