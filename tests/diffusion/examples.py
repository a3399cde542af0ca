"""Batches and trainers of the tiny generator, for tests of training."""

import numpy as np
import torch

from posedive.diffusion.generator import Generator
from posedive.diffusion.trainer import Trainer
from posedive.diffusion.training import DenoisingTask, Recipe
from tests.diffusion.conftest import tiny_config

RECIPE = Recipe(
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0.01,
    steps=100,
    min_snr_gamma=None,
    noise_offset=0.05,
    condition_dropout=0.3,
    foreground_weight=2.0,
    huber=None,
    perceptual_weight=0.0,
    last_timestep_share=0.2,
    ema_decay=0.9,
    seed=0,
    dtype=torch.float32,
)


def batch(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)

    def latents(*lead: int) -> np.ndarray:
        return rng.standard_normal((*lead, 8, 16, 8)).astype(np.float16)

    return {
        "reference": rng.integers(0, 256, (2, 64, 32, 3), np.uint8),
        "target": rng.integers(0, 256, (2, 3, 64, 32, 3), np.uint8),
        "reference_latents": latents(2),
        "target_latents": latents(2, 3),
        "composite_latents": latents(2, 3),
        "maps": rng.integers(0, 256, (2, 3, 64, 32, 13), np.uint8),
    }


def make(recipe: Recipe = RECIPE) -> Trainer:
    torch.manual_seed(0)
    task = DenoisingTask(Generator(tiny_config()), recipe, train_image_encoder=True)
    return Trainer(task, task, recipe)
