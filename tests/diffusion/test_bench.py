import pytest
import torch

from posedive.diffusion.bench import (
    count_tflop,
    draw,
    draw_plainly,
    picked,
    plain_twin,
    random_pixels,
)
from posedive.diffusion.config import PAPER_CONDITIONS, sd15_config
from posedive.diffusion.generator import Generator
from posedive.diffusion.sampler import draw_noise
from tests.diffusion.conftest import tiny_config


def test_ours_draws_what_the_published_procedure_draws(generator):
    twin, asked = plain_twin(generator), random_pixels(generator.config, 3)
    noise = draw_noise(range(3), (8, 16, 8))
    ours = draw(generator, asked, noise, steps=5, scale=3.5)
    for i in range(3):
        plain = draw_plainly(twin, picked(asked, i), noise[[i]], steps=5, scale=3.5)
        assert (ours[[i]] - plain).abs().max() <= 1e-4
    unguided = draw(generator, asked, noise, steps=5, scale=1.0)
    assert (ours - unguided).abs().max() > 0.1


def test_so_it_does_with_the_conditions_of_the_paper():
    torch.manual_seed(0)
    config = tiny_config(conditions=PAPER_CONDITIONS, residual_std=())
    generator = Generator(config).eval().requires_grad_(False)
    asked, noise = random_pixels(config, 1), draw_noise([7], (8, 16, 8))
    plain = draw_plainly(plain_twin(generator), asked, noise, steps=4, scale=3.5)
    ours = draw(generator, asked, noise, steps=4, scale=3.5)
    assert (ours - plain).abs().max() <= 1e-4


def test_guidance_doubles_a_step_less_what_its_null_half_does_not_read():
    config = tiny_config()

    def step(scale: float) -> float:
        return count_tflop(config, 1, 2, scale) - count_tflop(config, 1, 1, scale)

    assert 1.8 * step(1.0) < step(2.0) < 2 * step(1.0)


def test_pictures_of_one_reference_share_its_operations():
    config = tiny_config()
    assert count_tflop(config, 8, 1, 1.0) < 0.9 * 8 * count_tflop(config, 1, 1, 1.0)


@pytest.mark.slow
def test_operations_at_the_size_of_stable_diffusion():
    """199 GFLOP a UNet pass, 307 encoding and 700 decoding were counted apart."""
    config = sd15_config()
    first, second = (count_tflop(config, 1, steps, 1.0) for steps in (1, 2))
    assert second - first == pytest.approx(0.2, rel=0.05)
    fixed = first - (second - first)
    assert fixed == pytest.approx(0.307 + 0.7 + 0.199 + 0.16, rel=0.05)
