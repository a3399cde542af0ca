from dataclasses import replace

import torch

from posedive.diffusion.perceptual import PerceptualLoss
from tests.diffusion.examples import RECIPE, batch, make


def test_loss_falls_on_a_batch_that_is_seen_again():
    trainer = make(replace(RECIPE, condition_dropout=0.0, learning_rate=3e-3))
    task, rng = trainer.task, torch.Generator()
    before = float(task(batch(0), rng.manual_seed(1)).mean().detach())
    for _ in range(30):
        trainer.train_step({0: batch(0)}, 1)
    assert float(task(batch(0), rng.manual_seed(1)).mean().detach()) < 0.92 * before


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
        trainer.train_step({0: batch(i)}, 1)
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
    trainer.train_step({0: batch(0)}, 1)
    assert network.weight.grad is None
    codec = trainer.task.generator.codec
    assert all(p.grad is None for p in codec.parameters())
