"""Pose guiders: a condition map at the image's size -> features that join the denoising UNet.

in: (batch, C, H, W) in [-1, 1]     out: (batch, block_out_channels[0], H/downscale, W/downscale)
As in AnimateAnyone and Champ: SiLU convolutions, strides of two, and a last layer that starts at
zero, so that an untrained guider leaves the UNet as it was. One guider per condition, their
outputs summed; or Eq. 7's single guider over the concatenated maps. Champ's guiders also attend,
before the last layer.
"""

import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

from posedive.diffusion.config import CONDITION_CHANNELS, GeneratorConfig


class GuiderAttention(nn.Module):
    """Self-attention over all cells, (batch, channels, h, w); channels are a multiple of 32."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.transformer = Transformer2DModel(heads, channels // heads, channels)

    def forward(self, features: Tensor) -> Tensor:
        return self.transformer(features, return_dict=False)[0]


class PoseGuider(nn.Sequential):
    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        out_channels: int,
        stride: int,
        heads: int,
    ):
        """`stride`: pixels per output cell, a power of two of at most 2 ** (len(channels) - 1).
        `heads`: of the attention before the last layer; 0 leaves it out."""
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels[0], 3, padding=1), nn.SiLU()]
        for narrow, wide in zip(channels[:-1], channels[1:], strict=True):
            step = 2 if stride > 1 else 1
            stride //= step
            layers += [nn.Conv2d(narrow, narrow, 3, padding=1), nn.SiLU()]
            layers += [nn.Conv2d(narrow, wide, 3, padding=1, stride=step), nn.SiLU()]
        if stride != 1:
            raise ValueError(f"guider channels {channels} leave a stride of {stride}; add a level")
        if heads:
            layers.append(GuiderAttention(channels[-1], heads))
        last = nn.Conv2d(channels[-1], out_channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        super().__init__(*layers, last)


class PoseGuiders(nn.Module):
    """All conditions of a generator; a condition that is absent from the maps adds nothing."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        width, stride = config.unet["block_out_channels"][0], config.downscale
        self.conditions, self.fused = config.conditions, config.fused_guider
        groups = (
            {"fused": sum(CONDITION_CHANNELS[c] for c in config.conditions)}
            if self.fused
            else {c: CONDITION_CHANNELS[c] for c in config.conditions}
        )
        self.guiders = nn.ModuleDict(
            {
                name: PoseGuider(n, config.guider_channels, width, stride, config.guider_heads)
                for name, n in groups.items()
            }
        )

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        """maps: condition -> (batch, C, H, W) in [-1, 1]."""
        if self.fused:
            return self.guiders["fused"](torch.cat([maps[c] for c in self.conditions], 1))
        return torch.stack([self.guiders[c](maps[c]) for c in self.conditions]).sum(0)


class GuidedConvIn(nn.Conv2d):
    """A UNet's conv_in whose input carries the guiders' features behind the latents.

    in: (batch, in_channels + out_channels, h, w)   out: conv(latents) + features
    Its weights keep conv_in's names and shape, so that published checkpoints load as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        latents, features = input.split([self.in_channels, self.out_channels], 1)
        return super().forward(latents) + features
