"""The generator's training loss, and the recipe that says how to train.

A batch is R references with K targets each (the reference branch runs once per reference):
    reference (R, H, W, 3) uint8        maps (R, K, H, W, sum of condition channels) uint8
    reference_latents (R, C, h, w)      target_latents, composite_latents (R, K, C, h, w)
    pid (R,)                            target (R, K, H, W, 3) uint8
Everything random comes from the generator given. VAE and, in pre-trained models, the image encoder
are frozen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from posedive.diffusion.attention import References
from posedive.diffusion.config import CONDITION_CHANNELS
from posedive.diffusion.generator import Generator
from posedive.diffusion.loss import (
    add_noise,
    denoising_loss,
    min_snr_weights,
    offset_noise,
    predicted_x_0,
    target_of,
)
from posedive.diffusion.perceptual import PerceptualLoss
from posedive.diffusion.sampler import to_tensor


@dataclass(frozen=True)
class Recipe:
    """How to train; the names of `kind: train`. Dropout is drawn per sample, never per batch."""

    learning_rate: float
    schedule: str  # "constant" or "cosine"
    weight_decay: float
    steps: int
    min_snr_gamma: float | None
    noise_offset: float
    condition_dropout: float
    foreground_weight: float
    huber: float | None
    perceptual_weight: float
    last_timestep_share: float
    ema_decay: float
    seed: int
    dtype: torch.dtype


class DenoisingTask(nn.Module):
    """batch -> loss per sample; a module, so that DDP and FSDP can wrap it whole."""

    channels: Tensor

    def __init__(
        self,
        generator: Generator,
        recipe: Recipe,
        train_image_encoder: bool,
        channels: Tensor | None = None,
        perceptual: PerceptualLoss | None = None,
    ):
        """channels: (latent channels,) weights in the loss, of mean 1; None weighs them alike.
        perceptual: compares what is drawn from pure noise with the true picture, too."""
        super().__init__()
        if channels is None:
            channels = torch.ones(generator.config.latent_channels)
        self.register_buffer("channels", channels, persistent=False)
        self.generator = generator
        self.recipe = recipe
        self.perceptual = perceptual
        generator.requires_grad_(True)
        generator.codec.requires_grad_(False)
        generator.image_encoder.requires_grad_(train_image_encoder)

    def recompute_activations(self) -> None:
        """Both UNets keep what lies between their layers, and compute the rest again for the
        gradients: more work in less memory."""
        for unet in (self.generator.reference_unet, self.generator.denoising_unet):
            unet.enable_gradient_checkpointing()

    def forward(self, batch: Mapping[str, np.ndarray], rng: torch.Generator) -> Tensor:
        generator, recipe = self.generator, self.recipe
        like = next(generator.denoising_unet.parameters())
        per_reference = batch["target_latents"].shape[1]

        def flat(name: str) -> Tensor:
            return rearrange(_float(batch[name], like), "r k ... -> (r k) ...")

        target_latents, maps = flat("target_latents"), self._maps(batch["maps"], like)
        n = len(target_latents)
        with torch.autocast(like.device.type, recipe.dtype, enabled=recipe.dtype != torch.float32):
            token = generator.image_encoder(to_tensor(batch["reference"], like))
            keys_values = generator.read_references(_float(batch["reference_latents"], like), token)
            start = None
            if generator.uses_appearance:
                keep = ~_chance(recipe.condition_dropout, n, rng).to(like.device)
                maps["appearance"] = torch.where(
                    keep[:, None, None, None], maps["appearance"], maps["appearance"].new_tensor(-1)
                )
                start = generator.start(flat("composite_latents"), maps["appearance"])
                start = start.where(keep)
            present = ~_chance(recipe.condition_dropout, n, rng).to(like.device)
            references = References(
                {
                    layer: (_each(k, per_reference), _each(v, per_reference))
                    for layer, (k, v) in keys_values.items()
                },
                present,
            )
            token = _each(token, per_reference) * present[:, None, None]
            x_0 = generator.to_diffused(target_latents, start)
            noise = torch.randn(x_0.shape, generator=rng)
            noise = offset_noise(noise, recipe.noise_offset, rng).to(like.device)
            last = len(generator.scheduler.alphas_cumprod) - 1
            t = torch.randint(0, last + 1, (n,), generator=rng)
            t[_chance(recipe.last_timestep_share, n, rng)] = last
            t = t.to(like.device)
            scheduler = generator.scheduler
            x_t = add_noise(scheduler, x_0, noise, t)
            guidance = generator.pose_guiders(maps)
            out = generator.denoise(x_t, t, token, guidance, references, start)
        weights = torch.ones(n, device=like.device)
        if recipe.min_snr_gamma is not None:
            weights = min_snr_weights(scheduler, t, recipe.min_snr_gamma)
        target = target_of(scheduler, x_0, noise, t)
        foreground = self._foreground(batch["maps"], like)
        loss = denoising_loss(
            out,
            target,
            foreground,
            recipe.foreground_weight,
            self.channels,
            weights,
            recipe.huber,
        )
        drawn = t == last
        if self.perceptual is None or not drawn.any():
            return loss
        with torch.autocast(like.device.type, recipe.dtype, enabled=recipe.dtype != torch.float32):
            found = predicted_x_0(scheduler, x_t, out.float(), t)
            pixels = generator.codec.decode(generator.from_diffused(found, start)[drawn])
            truth = to_tensor(rearrange(batch["target"], "r k h w c -> (r k) h w c"), like)[drawn]
            cells = 1 + (recipe.foreground_weight - 1) * foreground[drawn]
            unlike = self.perceptual(pixels, truth, cells)
        return loss.index_add(0, drawn.nonzero()[:, 0], recipe.perceptual_weight * unlike)

    def _maps(self, maps: np.ndarray, like: Tensor) -> dict[str, Tensor]:
        tensor = to_tensor(rearrange(maps, "r k h w c -> (r k) h w c"), like)
        conditions = self.generator.config.conditions
        parts = tensor.split([CONDITION_CHANNELS[c] for c in conditions], 1)
        return dict(zip(conditions, parts, strict=True))

    def _foreground(self, maps: np.ndarray, like: Tensor) -> Tensor:
        """Share of each latent cell near the body, (n, 1, h, w): clothes and hair stand off it."""
        drawn = rearrange(maps, "r k h w c -> (r k) h w c").max(-1) > 0
        body = torch.from_numpy(drawn[:, None]).to(like.device, like.dtype)
        cells = functional.avg_pool2d(body, self.generator.config.downscale)
        return functional.max_pool2d(cells, 3, stride=1, padding=1)


def _float(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device, like.dtype)


def _each(x: Tensor, times: int) -> Tensor:
    return repeat(x, "r ... -> (r k) ...", k=times)


def _chance(share: float, n: int, rng: torch.Generator) -> Tensor:
    return torch.rand(n, generator=rng) < share
