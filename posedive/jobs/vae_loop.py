"""The VAE's training: one worker, minutes of work. Ends as a whole checkpoint whose UNets are
untrained."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posedive.diffusion.generator import Generator
from posedive.diffusion.vae_training import (
    latent_statistics,
    psnr,
    reconstruction_loss,
    start_from_patches,
)
from posedive.diffusion.weights import save_generator
from posedive.jobs.blocks import Blocks, split
from posedive.jobs.initial import config_of
from posedive.jobs.loop import Hooks, loop
from posedive.spec.train import Train


class VaeTrainer:
    """diffusion.trainer.Trainer's shape for the codec: AdamW, no average."""

    def __init__(self, generator: Generator, spec: Train):
        self.generator, self.spec = generator, spec
        self.parameters = list(generator.codec.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, spec.learning_rate, weight_decay=0)
        self.step = self.skipped = self.skipped_in_a_row = 0

    @property
    def learning_rate(self) -> float:
        return self.spec.learning_rate * (1 - self.step / self.spec.steps) ** 0.5

    def train_step(
        self, batches: Mapping[int, Mapping[str, np.ndarray]], parts: int
    ) -> float | None:
        (batch,) = batches.values()
        torch.manual_seed(self.spec.seed * 1_000_003 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = reconstruction_loss(self.generator.codec, batch["images"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        finite = bool(torch.isfinite(loss) & torch.isfinite(norm))
        if finite:
            self.optimizer.step()
        self.step += 1
        self.skipped += not finite
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        return float(loss.detach()) if finite else None

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "weights": self.generator.codec.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "skipped": self.skipped,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.skipped = state["step"], state.get("skipped", 0)
        self.generator.codec.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])

    def averaged(self) -> AbstractContextManager[None]:
        return nullcontext()


def train_vae(config: dict[str, Any]) -> None:
    spec = Train.model_validate_json(config["spec"])
    held_out, blocks = split(config["blocks"])
    reader = Blocks(config["uri"], blocks, spec.batch_size, spec.seed)
    sample = reader.read(blocks[0])["images"]
    unseen = Blocks(config["uri"], held_out, spec.batch_size, spec.seed).read(held_out[0])["images"]
    torch.manual_seed(spec.seed)
    generator = Generator(config_of(spec))
    start_from_patches(generator.codec, sample)

    def save(folder: Path) -> None:
        mean, std = latent_statistics(generator.codec, sample)
        generator.config = replace(generator.config, latent_mean=mean, latent_std=std)
        save_generator(generator, folder)

    def validate() -> float:
        return -psnr(generator.codec, unseen[:128])

    loop(spec, VaeTrainer(generator, spec), Hooks(reader.batch, validate, save))
