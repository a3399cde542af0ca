"""Pixels to latents and back (VAE), and pixels to the cross-attention's image token (CLIP vision).

Pixels are (batch, 3, H, W) in [-1, 1]. Latents leave here whitened per channel.
"""

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from posedive.diffusion.config import GeneratorConfig

# CLIP's own mean and deviation, in [0, 1] pixels.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class LatentCodec(nn.Module):
    """AutoencoderKL, on unshuffled pixels with a linear path beside it when vae_patch > 1.

    The linear path starts as the best linear code (PCA of patches), so that a VAE trained from
    scratch for minutes learns what is left instead of stalling in grey.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.patch = config.vae_patch
        self.kl = AutoencoderKL(**config.vae)
        stride, channels = config.downscale, config.latent_channels
        self.linear_in: nn.Module | None = None
        self.linear_out: nn.Module | None = None
        if self.patch > 1:
            self.linear_in = nn.Conv2d(3, channels, stride, stride)
            self.linear_out = nn.ConvTranspose2d(channels, 3, stride, stride)
        self.set_statistics(config.latent_mean, config.latent_std)

    def set_statistics(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        for name, values in (("latent_mean", mean), ("latent_std", std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def encode_raw(self, pixels: Tensor) -> Tensor:
        z = self.kl.encode(functional.pixel_unshuffle(pixels, self.patch)).latent_dist.mode()  # type: ignore[union-attr]
        return z if self.linear_in is None else z + self.linear_in(pixels)

    def decode_raw(self, z: Tensor) -> Tensor:
        pixels = functional.pixel_shuffle(self.kl.decode(z).sample, self.patch)  # type: ignore[union-attr]
        return pixels if self.linear_out is None else pixels + self.linear_out(z)

    def encode(self, pixels: Tensor) -> Tensor:
        """(batch, 3, H, W) -> whitened latents (batch, channels, H/downscale, W/downscale)."""
        return (self.encode_raw(pixels) - self.latent_mean) / self.latent_std

    def decode(self, latents: Tensor) -> Tensor:
        return self.decode_raw(latents * self.latent_std + self.latent_mean)


class ImageEncoder(nn.Module):
    """CLIP's vision model: one token per image, (batch, 1, projection_dim).

    No image is the zero token, in training and in sampling alike.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**config.image_encoder))
        self.image_size = config.image_encoder["image_size"]

    def forward(self, pixels: Tensor) -> Tensor:
        side = (self.image_size, self.image_size)
        square = functional.interpolate(pixels, side, mode="bilinear", antialias=True)
        mean = torch.tensor(CLIP_MEAN, device=pixels.device, dtype=pixels.dtype)[:, None, None]
        std = torch.tensor(CLIP_STD, device=pixels.device, dtype=pixels.dtype)[:, None, None]
        return self.clip((square * 0.5 + 0.5 - mean) / std).image_embeds[:, None]
