from dataclasses import replace

import numpy as np
import pytest
import torch

from posedive.diffusion.generator import Generator
from posedive.diffusion.perceptual import PerceptualLoss
from posedive.diffusion.training import DenoisingTask, Recipe, Trainer, learning_rate
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


def test_loss_falls_on_a_batch_that_is_seen_again():
    trainer = make(replace(RECIPE, condition_dropout=0.0, learning_rate=3e-3))
    task, rng = trainer.task, torch.Generator()
    before = float(task(batch(0), rng.manual_seed(1)).mean().detach())
    for _ in range(30):
        trainer.train_step(batch(0), 0)
    assert float(task(batch(0), rng.manual_seed(1)).mean().detach()) < 0.92 * before


def test_going_on_from_a_checkpoint_is_as_if_nothing_had_happened():
    whole = make()
    losses = [whole.train_step(batch(i), 0) for i in range(6)]
    first = make()
    for i in range(3):
        first.train_step(batch(i), 0)
    second = make()
    second.restore(first.state())
    again = [second.train_step(batch(i), 0) for i in range(3, 6)]
    assert again == pytest.approx(losses[3:], abs=1e-6)
    for mine, theirs in zip(second.average, whole.average, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_loss_that_is_not_finite_changes_no_weight():
    trainer = make()
    trainer.train_step(batch(0), 0)
    before = [p.clone() for p in trainer.parameters]
    spoiled = batch(1)
    spoiled["target_latents"][0, 0, 0, 0, 0] = np.inf
    trainer.train_step(spoiled, 0)
    for p, was in zip(trainer.parameters, before, strict=True):
        torch.testing.assert_close(p, was)


def test_codec_is_frozen_and_everything_else_that_is_read_learns():
    trainer = make()
    generator = trainer.task.generator
    codec = [p.clone() for p in generator.codec.parameters()]
    names = ("denoising_unet", "reference_unet", "pose_guiders", "image_encoder")
    before = {
        n: torch.cat([p.flatten().clone() for p in generator.get_submodule(n).parameters()])
        for n in names
    }
    for i in range(3):
        trainer.train_step(batch(i), 0)
    for p, was in zip(generator.codec.parameters(), codec, strict=True):
        torch.testing.assert_close(p, was)
    for n in names:
        now = torch.cat([p.flatten() for p in generator.get_submodule(n).parameters()])
        assert (now - before[n]).abs().max() > 1e-6, n


def test_dropped_conditions_are_those_of_sampling():
    """All dropped: what the reference and the composite are makes no difference to the loss."""
    task = make(replace(RECIPE, condition_dropout=1.0)).task.eval()
    one, other = batch(0), batch(0)
    other["reference"] = 255 - other["reference"]
    other["reference_latents"] = -other["reference_latents"]
    other["composite_latents"] = -other["composite_latents"]
    rng = torch.Generator()
    with torch.no_grad():
        torch.testing.assert_close(task(one, rng.manual_seed(0)), task(other, rng.manual_seed(0)))


def test_learning_rate_warms_up_and_the_cosine_ends_low():
    cosine = replace(RECIPE, schedule="cosine", steps=10_000)
    assert learning_rate(cosine, 0) == pytest.approx(1e-3 / 200)
    assert learning_rate(cosine, 5000) == pytest.approx(1e-3 * (0.02 + 0.98 / 2))
    assert learning_rate(cosine, 10_000) == pytest.approx(2e-5)
    assert learning_rate(replace(RECIPE, steps=10_000), 9000) == 1e-3


def test_a_perceptual_loss_counts_only_what_is_drawn_from_pure_noise():
    network = torch.nn.Conv2d(3, 4, 3)
    perceptual = PerceptualLoss(network, lambda pixels: [network(pixels)])
    losses = {}
    for share in (0.0, 1.0):
        for weight in (0.0, 1.0):
            recipe = replace(RECIPE, last_timestep_share=share, perceptual_weight=weight)
            task = make(recipe).task
            task.perceptual = perceptual
            rng = torch.Generator().manual_seed(3)
            losses[share, weight] = task(batch(0), rng).detach()
    torch.testing.assert_close(losses[0.0, 1.0], losses[0.0, 0.0])
    assert (losses[1.0, 1.0] > losses[1.0, 0.0] + 0.1).all()


def test_a_perceptual_loss_trains_the_generator_and_no_judge():
    network = torch.nn.Conv2d(3, 4, 3)
    trainer = make(replace(RECIPE, last_timestep_share=1.0, perceptual_weight=1.0))
    trainer.task.perceptual = PerceptualLoss(network, lambda pixels: [network(pixels)])
    trainer.train_step(batch(0), 0)
    assert network.weight.grad is None
    codec = trainer.task.generator.codec
    assert all(p.grad is None for p in codec.parameters())
