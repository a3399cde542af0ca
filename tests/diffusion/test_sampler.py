from dataclasses import replace

import numpy as np
import pytest
import torch

from posedive.diffusion.attention import References
from posedive.diffusion.config import EPSILON, V_ZERO_SNR
from posedive.diffusion.generator import Generator
from posedive.diffusion.sampler import (
    SAMPLERS,
    Conditioning,
    condition,
    draw_noise,
    generate,
    sample,
    with_unconditional,
)
from tests.diffusion.conftest import tiny_config

NOTHING = Conditioning(torch.empty(0), torch.empty(0), References({}), None)


def one(asked: dict, i: int) -> dict:
    """The i-th picture of the batch, asked for alone."""
    return {
        "references": asked["references"][[asked["reference_index"][i]]],
        "reference_index": [0],
        "maps": {name: m[[i]] for name, m in asked["maps"].items()},
        "composite": asked["composite"][[i]],
        "seeds": [asked["seeds"][i]],
    }


class Bell(Generator):
    """Its pictures are normal around MEAN: the best denoiser is known, and so is where the exact
    solution ends from a noise: MEAN + SPREAD * noise, when the last timestep is pure noise."""

    MEAN, SPREAD = 0.5, 0.3

    def denoise(self, noisy, timesteps, token, guidance, references, start):
        alpha = self.scheduler.alphas_cumprod[timesteps][:, None, None, None]
        signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
        share = signal * self.SPREAD**2 / (alpha * self.SPREAD**2 + 1 - alpha)
        x_0 = self.MEAN + share * (noisy - signal * self.MEAN)
        eps = (noisy - signal * x_0) / sigma
        velocity = self.config.scheduler["prediction_type"] == "v_prediction"
        return signal * eps - sigma * x_0 if velocity else eps


def error_of(sampler: str, steps: int) -> float:
    """Mean distance to the exact solution."""
    noise = draw_noise(range(50), (8, 16, 8))
    got = sample(Bell(tiny_config()), NOTHING, noise, steps, 1.0, sampler=sampler)
    return float((got - (Bell.MEAN + Bell.SPREAD * noise)).abs().mean())


def ddim(generator: Generator, own: Conditioning, x_t: torch.Tensor, steps: int) -> torch.Tensor:
    """Song et al. 2021, Eq. 12 with sigma 0, for v; trailing timesteps, then no noise at all."""
    alphas = generator.scheduler.alphas_cumprod
    timesteps = [round(1000 - i * 1000 / steps) - 1 for i in range(steps)]
    for t, after in zip(timesteps, [*timesteps[1:], None], strict=True):
        alpha, alpha_after = alphas[t], torch.tensor(1.0) if after is None else alphas[after]
        batch = torch.full((len(x_t),), t)
        v = generator.denoise(x_t, batch, own.token, own.guidance, own.references, own.start)
        x_0 = alpha.sqrt() * x_t - (1 - alpha).sqrt() * v
        eps = alpha.sqrt() * v + (1 - alpha).sqrt() * x_t
        x_t = alpha_after.sqrt() * x_0 + (1 - alpha_after).sqrt() * eps
    return generator.from_diffused(x_t, own.start)


def conditioned(generator: Generator, asked: dict) -> Conditioning:
    return condition(generator, **{k: v for k, v in asked.items() if k != "seeds"})


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_depends_on_its_seed_and_not_on_its_batch(generator, asked, sampler, steps):
    how = {"steps": steps, "guidance_scale": 2.0, "sampler": sampler}
    together = generate(generator, **asked, **how)
    assert together.shape == (3, 64, 32, 3) and together.dtype == np.uint8
    np.testing.assert_array_equal(together, generate(generator, **asked, **how))
    for i in range(3):
        alone = generate(generator, **one(asked, i), **how)[0]
        assert np.abs(alone.astype(int) - together[i]).max() <= 2


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("scheduler", [V_ZERO_SNR, EPSILON], ids=["v", "epsilon"])
def test_latents_are_finite_from_pure_noise(asked, sampler, scheduler):
    generator = Generator(tiny_config(scheduler=scheduler)).eval().requires_grad_(False)
    noise = draw_noise(asked["seeds"], (8, 16, 8))
    for steps in (1, 2, 4):
        own = conditioned(generator, asked)
        assert sample(generator, own, noise, steps, 1.0, sampler=sampler).isfinite().all()


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_ddim_is_ddim(generator, asked, steps):
    own, noise = conditioned(generator, asked), draw_noise(asked["seeds"], (8, 16, 8))
    expected = ddim(generator, own, noise, steps)
    torch.testing.assert_close(sample(generator, own, noise, steps, 1.0), expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_steps_come_nearer_to_the_exact_solution(sampler):
    # 61: rounding gives it a 62nd step, which must do no harm
    errors = [error_of(sampler, steps) for steps in (1, 2, 4, 8, 20, 61)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(0.3 * 0.797, abs=0.01)  # one step draws the mean
    assert errors[-1] < 0.03


def test_second_order_comes_nearer_in_as_many_steps():
    for steps in (4, 8, 20):
        first = error_of("ddim", steps)
        assert error_of("dpm++", steps) < first and error_of("unipc", steps) < first
    assert error_of("ddim", 1000) < 0.003


def test_seed_reference_and_each_condition_change_the_picture(generator, asked):
    base = one(asked, 0)
    plain = generate(generator, **base, steps=2, guidance_scale=1.0).astype(int)
    others = {
        "seed": base | {"seeds": [99]},
        "reference": base | {"references": asked["references"][[1]]},
        "composite": base | {"composite": asked["composite"][[1]]},
    }
    for name in base["maps"]:
        others[name] = base | {"maps": base["maps"] | {name: asked["maps"][name][[1]]}}
    for name, changed in others.items():
        picture = generate(generator, **changed, steps=2, guidance_scale=1.0)
        assert (picture != plain).any(), name


def test_guidance_scale_moves_away_from_the_picture_without_reference(generator, asked):
    plain = generate(generator, **asked, steps=2, guidance_scale=1.0).astype(int)
    guided = generate(generator, **asked, steps=2, guidance_scale=3.0)
    assert np.abs(guided - plain).mean() > 0.5


def test_guidance_applies_in_its_interval_only(generator, asked):
    own, noise = conditioned(generator, asked), draw_noise(asked["seeds"], (8, 16, 8))

    def latents(scale: float, interval: tuple[float, float]) -> torch.Tensor:
        return sample(generator, own, noise, 4, scale, interval)

    without, throughout = latents(1.0, (0, 1)), latents(3.0, (0, 1))
    assert torch.equal(latents(3.0, (0, 0)), without)
    # of timesteps 999, 749, 499, 249, shares 1, 3/4, 1/2, 1/4
    assert torch.equal(latents(3.0, (0.8, 0.99)), without)
    assert torch.equal(latents(3.0, (0.2, 1)), throughout)
    middle = latents(3.0, (0.25, 0.75))
    assert not torch.equal(middle, without) and not torch.equal(middle, throughout)


def test_both_halves_in_one_pass_are_the_two_passes(generator, asked):
    own, noise = conditioned(generator, asked), draw_noise(asked["seeds"], (8, 16, 8))
    both, t = with_unconditional(generator, own), torch.tensor([500])

    def predict(x: torch.Tensor, given: Conditioning) -> torch.Tensor:
        at = t.expand(len(x))
        return generator.denoise(x, at, given.token, given.guidance, given.references, given.start)

    guided, null = predict(noise.repeat(2, 1, 1, 1), both).chunk(2)
    unconditional = replace(own, token=torch.zeros_like(own.token), references=References({}))
    torch.testing.assert_close(guided, predict(noise, own), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(null, predict(noise, unconditional), atol=1e-5, rtol=1e-4)
    # what was computed once is what each layer computes by itself
    itself = replace(own, references=replace(own.references, cross={}))
    assert own.references.cross
    torch.testing.assert_close(predict(noise, own), predict(noise, itself), atol=1e-6, rtol=1e-5)


def test_an_empty_appearance_map_makes_the_composite_irrelevant(generator, asked):
    empty = asked | {"maps": asked["maps"] | {"appearance": np.zeros((3, 64, 32, 4), np.uint8)}}
    other = empty | {"composite": 255 - asked["composite"]}
    first = generate(generator, **empty, steps=2, guidance_scale=1.0)
    second = generate(generator, **other, steps=2, guidance_scale=1.0)
    np.testing.assert_array_equal(first, second)
