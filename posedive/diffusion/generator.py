"""The dual-branch generator: a person's reference image and condition maps -> that person, anew.

    reference (B, 3, H, W) -> codec -> reference_unet at t=0 -> tokens of every self-attention layer
                           -> image_encoder -> one token for the cross-attention
    maps, uint8 at the image's size -> pose_guiders -> features after conv_in
    appearance -> codec -> the composite's latents and validity, beside the noisy latents
    noise -> denoising_unet, steered by all of these -> latents -> codec -> image
With the appearance condition what is diffused is the residual to the composite's latents, in units
of its own deviation (config.residual_std): the network starts from knowing the clothes.
"""

from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional

from posedive.diffusion.attention import (
    KeysValues,
    References,
    reference_keys_values,
    use_reference_attention,
)
from posedive.diffusion.config import GeneratorConfig
from posedive.diffusion.encoders import ImageEncoder, LatentCodec
from posedive.diffusion.pose_guider import GuidedConvIn, PoseGuiders


@dataclass
class Start:
    """Where the denoiser starts from: composite latents (B, C, h, w), validity (B, 1, h, w)."""

    latents: Tensor
    validity: Tensor

    def where(self, keep: Tensor) -> "Start":
        """`keep` (B,) bool: the others start from nothing, as without the condition."""
        mask = keep[:, None, None, None].to(self.latents.dtype)
        return Start(self.latents * mask, self.validity * mask)


def end_at_last_attention(unet: UNet2DConditionModel) -> None:
    """Takes off what follows the last attention: a reference branch's output is never read."""
    blocks = list(unet.up_blocks)
    while not hasattr(blocks[-1], "attentions"):
        blocks.pop()
    unet.up_blocks = nn.ModuleList(blocks)
    unet.conv_norm_out = None
    unet.conv_out = nn.Identity()  # type: ignore[assignment]


class Generator(nn.Module):
    residual_std: Tensor

    def __init__(self, config: GeneratorConfig, backend: str = "native"):
        super().__init__()
        self.config = config
        self.codec = LatentCodec(config)
        self.image_encoder = ImageEncoder(config)
        self.pose_guiders = PoseGuiders(config)
        self.reference_unet = UNet2DConditionModel(**config.unet)
        self.denoising_unet = UNet2DConditionModel(**config.unet)
        self.scheduler = DDIMScheduler(**config.scheduler)
        channels, width = config.latent_channels, config.unet["block_out_channels"][0]
        self.uses_appearance = "appearance" in config.conditions
        extra = channels + 1 if self.uses_appearance else 0
        self.denoising_unet.conv_in = GuidedConvIn(channels + extra, width, 3, padding=1)
        end_at_last_attention(self.reference_unet)
        for unet in (self.reference_unet, self.denoising_unet):
            use_reference_attention(unet, backend)
        self.set_residual_std(config.residual_std or (1.0,) * channels)

    def set_residual_std(self, std: tuple[float, ...]) -> None:
        self.register_buffer("residual_std", torch.tensor(std)[:, None, None], persistent=False)

    def read_references(self, latents: Tensor, token: Tensor) -> KeysValues:
        """Once per reference image. latents (R, C, h, w), token (R, 1, dim) of the same images."""
        tokens: dict[str, Tensor] = {}
        timestep = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        self.reference_unet(latents, timestep, token, cross_attention_kwargs={"collect": tokens})
        return reference_keys_values(self.denoising_unet, tokens)

    def start(self, composite_latents: Tensor, appearance: Tensor) -> Start:
        """composite_latents (B, C, h, w); appearance (B, 4, H, W) in [-1, 1], last its validity."""
        validity = functional.avg_pool2d(appearance[:, 3:] * 0.5 + 0.5, self.config.downscale)
        return Start(composite_latents, validity)

    def denoise(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        token: Tensor,
        guidance: Tensor,
        references: References | None,
        start: Start | None,
    ) -> Tensor:
        """The scheduler's target (v or epsilon) at noisy latents (B, C, h, w); the same shape.

        guidance: (B, width, h, w), the sum of the pose guiders; token: (B, 1, dim).
        """
        inputs = [noisy] if start is None else [noisy, start.latents, start.validity]
        kwargs = {"references": references} if references is not None else None
        sample = torch.cat([*inputs, guidance], 1)
        return self.denoising_unet(
            sample, timesteps, token, cross_attention_kwargs=kwargs, return_dict=False
        )[0]

    def to_diffused(self, latents: Tensor, start: Start | None) -> Tensor:
        """Latents of a picture -> what is diffused (x_0)."""
        return latents if start is None else (latents - start.latents) / self.residual_std

    def from_diffused(self, x_0: Tensor, start: Start | None) -> Tensor:
        return x_0 if start is None else x_0 * self.residual_std + start.latents
