"""A generator small enough to run in milliseconds, with every part that the real ones have."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from posedive.diffusion.config import GeneratorConfig, embedded_config
from posedive.diffusion.generator import Generator
from posedive.diffusion.pose_guider import PoseGuider


def tiny_config(**changes) -> GeneratorConfig:
    config = embedded_config((32, 64))
    unet = config.unet | {
        "block_out_channels": [16, 16, 32],
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    vae = config.vae | {"block_out_channels": [8, 8], "norm_num_groups": 4}
    encoder = config.image_encoder | {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
    }
    return replace(
        config, unet=unet, vae=vae, image_encoder=encoder, guider_channels=(4, 8, 16), **changes
    )


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(tiny_config()).eval().requires_grad_(False)
    with torch.no_grad():  # guiders start at zero; a test that sees them must see something
        for guider in made.pose_guiders.guiders.values():
            assert isinstance(guider, PoseGuider)
            last = guider[-1]
            assert isinstance(last, nn.Conv2d)
            last.weight.normal_(0, 0.1)
    return made


@pytest.fixture
def asked() -> dict:
    """What sampler.generate takes, for three pictures of two references."""
    rng = np.random.default_rng(0)

    def images(n: int, channels: int = 3) -> np.ndarray:
        return rng.integers(0, 256, (n, 64, 32, channels), np.uint8)

    return {
        "references": images(2),
        "reference_index": [0, 1, 1],
        "maps": {
            "depth": images(3),
            "normals": images(3),
            "skeleton": images(3),
            "appearance": images(3, 4),
        },
        "composite": images(3),
        "seeds": [5, 6, 7],
    }
