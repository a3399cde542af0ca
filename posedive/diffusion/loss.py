"""Training loss: noise a picture's latents at a random timestep, predict, compare.

All latents are (batch, channels, h, w), whitened; timesteps (batch,) int.
"""

from collections.abc import Callable

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor
from torch.nn import functional

PROBE = 0.5  # units by which a channel is moved to see what it changes
ENERGY_POWER = 0.75


def add_noise(scheduler: DDIMScheduler, x_0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """x_t = sqrt(alpha_t) x_0 + sqrt(1 - alpha_t) eps (Ho et al. 2020, Eq. 4)."""
    return scheduler.add_noise(x_0, noise, timesteps)  # type: ignore[arg-type]


def offset_noise(noise: Tensor, offset: float, generator: torch.Generator) -> Tensor:
    """Adds a shift shared by all cells of a channel, so that brightness is learnt at all."""
    if not offset:
        return noise
    return noise + offset * torch.randn(*noise.shape[:2], 1, 1, generator=generator)


def target_of(scheduler: DDIMScheduler, x_0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the network predicts: eps, or v = sqrt(alpha) eps - sqrt(1 - alpha) x_0."""
    if scheduler.config["prediction_type"] == "epsilon":
        return noise
    return scheduler.get_velocity(x_0, noise, timesteps)  # type: ignore[arg-type]


def predicted_x_0(
    scheduler: DDIMScheduler, x_t: Tensor, prediction: Tensor, timesteps: Tensor
) -> Tensor:
    """x_0 = sqrt(alpha) x_t - sqrt(1 - alpha) v (Salimans and Ho 2022); of a v-prediction."""
    alpha = scheduler.alphas_cumprod.to(x_t.device)[timesteps][:, None, None, None]
    return alpha.sqrt() * x_t - (1 - alpha).sqrt() * prediction


def min_snr_weights(scheduler: DDIMScheduler, timesteps: Tensor, gamma: float) -> Tensor:
    """(batch,) weights min(SNR, gamma) / (SNR + 1) for v, / SNR for epsilon (Hang et al. 2023).

    At zero terminal SNR the v weight is 0: the last timestep, where everything comes from the
    conditions, would not be trained. Hence a floor of one hundredth of the largest weight.
    """
    alpha = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    snr = alpha / (1 - alpha).clamp(min=1e-8)
    capped = snr.clamp(max=gamma)
    if scheduler.config["prediction_type"] == "epsilon":
        return capped / snr.clamp(min=1e-8)
    return (capped / (snr + 1)).clamp(min=0.01 * gamma / (gamma + 1))


@torch.no_grad()
def channel_weights(
    decode: Callable[[Tensor], Tensor], latents: Tensor, unit: Tensor, generator: torch.Generator
) -> Tensor:
    """(channels,) weights of mean 1: how much a unit of each channel changes the decoded picture.

    Whitened latents hold brightness and grain alike; unweighted, most of the loss is grain that
    nobody can predict. The power keeps colour and texture from vanishing beside brightness.
    unit: (channels, 1, 1), a unit of what is diffused, in latents.
    """
    picture = decode(latents)
    energy = []
    for channel in range(latents.shape[1]):
        moved = latents.clone()
        noise = torch.randn(moved[:, channel].shape, generator=generator).to(moved)
        moved[:, channel] += PROBE * unit[channel] * noise
        energy.append((decode(moved) - picture).square().mean())
    weights = torch.stack(energy) ** ENERGY_POWER
    return weights / weights.mean()


def denoising_loss(
    prediction: Tensor,
    target: Tensor,
    foreground: Tensor,
    foreground_weight: float,
    channels: Tensor,
    weights: Tensor,
    huber: float | None = None,
) -> Tensor:
    """Weighted mean squared error per sample, (batch,); channels: (channels,) weights of mean 1.

    huber: the error beyond which its square root counts in place of its square (pseudo-Huber,
    Charbonnier et al. 1997): of a residual that is mostly nothing and at times much, squares give
    the mean, which blurs all of it, and absolute values the median, which leaves most as it was.

    foreground: (batch, 1, h, w) share of each latent cell that the body covers. The person counts
    `foreground_weight` times what the background does; the weights are normalised per image.
    """
    cells = 1 + (foreground_weight - 1) * foreground
    cells = cells / cells.mean((1, 2, 3), keepdim=True)
    error = functional.mse_loss(prediction.float(), target.float(), reduction="none")
    if huber is not None:
        error = 2 * huber * ((error + huber**2).sqrt() - huber)
    return weights * (error * cells * channels[:, None, None]).mean((1, 2, 3))
