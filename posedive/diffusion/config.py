"""Sizes of a generator: one frozen record, from the embedded few millions to Stable Diffusion 1.5.

It is the checkpoint's `config.json`: training and sampling read the same scheduler, latent
statistics and conditions from here, so that they cannot disagree.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from posedive.errors import WeightsError

CONDITION_CHANNELS = {"depth": 3, "normals": 3, "skeleton": 3, "appearance": 4}
PAPER_CONDITIONS = ("depth", "normals", "skeleton")

# Velocity with a zero terminal signal-to-noise ratio: with plain epsilon the last timestep leaks
# the mean of the image, and dark or bright clothes wash out (Lin et al. 2024, arXiv 2305.08891).
V_ZERO_SNR = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}
EPSILON = V_ZERO_SNR | {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}


@dataclass(frozen=True)
class GeneratorConfig:
    """`unet`, `vae`, `image_encoder`, `scheduler` are the library classes' own arguments.

    size: (width, height) in pixels.
    vae_patch: pixels are unshuffled by this factor before the VAE, with a linear path beside it.
    latent_mean, latent_std: per latent channel; the UNets see (z - mean) / std.
    residual_std: per latent channel, when what is diffused is the difference to the composite's
        latents (appearance condition); empty when the latents themselves are.
    guider_channels: widths of each pose guider before its last layer, one stride of 2 between.
    fused_guider: Eq. 7's single guider over concatenated maps, in place of one per condition.
    guider_heads: of the self-attention before each guider's last layer, as Champ has it; 0: none.
    """

    size: tuple[int, int]
    conditions: tuple[str, ...]
    unet: dict[str, Any]
    vae: dict[str, Any]
    vae_patch: int
    image_encoder: dict[str, Any]
    guider_channels: tuple[int, ...]
    scheduler: dict[str, Any]
    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]
    residual_std: tuple[float, ...] = ()
    fused_guider: bool = False
    guider_heads: int = 0

    @property
    def latent_channels(self) -> int:
        return self.vae["latent_channels"]

    @property
    def downscale(self) -> int:
        """Pixels per latent cell."""
        return self.vae_patch * 2 ** (len(self.vae["block_out_channels"]) - 1)

    @property
    def latent_size(self) -> tuple[int, int]:
        """(width, height) of the latents."""
        return self.size[0] // self.downscale, self.size[1] // self.downscale

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> "GeneratorConfig":
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise WeightsError(f"{where}: not JSON ({error}); is the checkpoint whole?") from None
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or set(values) - known or "unet" not in values:
            got = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise WeightsError(f"{where}: expected a generator's fields {sorted(known)}, got {got}")
        tuples = {f.name for f in fields(cls) if str(f.type).startswith("tuple")}
        typed: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in values.items()}
        return cls(**typed)


def embedded_config(size: tuple[int, int] = (64, 128)) -> GeneratorConfig:
    """The generator that ships: a few million parameters, trained from scratch on CPUs."""
    channels = 8
    return GeneratorConfig(
        size=size,
        conditions=(*PAPER_CONDITIONS, "appearance"),
        unet={
            "in_channels": channels,
            "out_channels": channels,
            "block_out_channels": [64, 96, 128],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1,
            "cross_attention_dim": 64,
            "attention_head_dim": 4,
            "norm_num_groups": 16,
        },
        vae={
            "in_channels": 12,
            "out_channels": 12,
            "latent_channels": channels,
            "block_out_channels": [32, 64],
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "layers_per_block": 1,
            "norm_num_groups": 16,
            "mid_block_add_attention": False,
        },
        vae_patch=2,
        image_encoder={
            "image_size": 64,
            "patch_size": 16,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "projection_dim": 64,
        },
        guider_channels=(16, 32, 48),
        scheduler=V_ZERO_SNR,
        latent_mean=(0.0,) * channels,
        latent_std=(1.0,) * channels,
        residual_std=(1.0,) * channels,
    )


def sd15_config(size: tuple[int, int] = (192, 384)) -> GeneratorConfig:
    """The paper's size: Stable Diffusion 1.5 twice, sd-vae-ft-mse, CLIP ViT-L/14."""
    return GeneratorConfig(
        size=size,
        conditions=PAPER_CONDITIONS,
        unet={
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
            "layers_per_block": 2,
            "cross_attention_dim": 768,
            "attention_head_dim": 8,
        },
        vae={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
        },
        vae_patch=1,
        image_encoder={
            "image_size": 224,
            "patch_size": 14,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "projection_dim": 768,
        },
        guider_channels=(16, 32, 96, 256),
        scheduler=V_ZERO_SNR,
        latent_mean=(0.0,) * 4,
        latent_std=(1 / 0.18215,) * 4,
    )


CONFIGS = {"embedded": embedded_config, "sd15": sd15_config}
