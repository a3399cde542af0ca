"""Drawing: references, condition maps and seeds -> pictures, by deterministic DDIM.

Pictures are uint8 (batch, H, W, 3); maps uint8 (batch, H, W, C) by condition's name. One noise
generator per picture, so that a picture does not depend on its batch. A reference's keys and
values, the guiders' features and the composite's latents are computed once per picture.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from posedive.diffusion.attention import References
from posedive.diffusion.generator import Generator


def to_tensor(images: np.ndarray, like: Tensor) -> Tensor:
    """uint8 (batch, H, W, C) -> (batch, C, H, W) in [-1, 1], of `like`'s device and dtype."""
    channels_first = rearrange(torch.from_numpy(np.ascontiguousarray(images)), "b h w c -> b c h w")
    return channels_first.to(like.device, like.dtype) / 127.5 - 1


def to_images(pixels: Tensor) -> np.ndarray:
    """(batch, 3, H, W) in [-1, 1] -> uint8 (batch, H, W, 3)."""
    rounded = (pixels.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return rearrange(rounded, "b c h w -> b h w c").cpu().numpy()


def draw_noise(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """(len(seeds), *shape) standard normal; on the CPU, so that every device draws the same."""
    each = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(each).to(like.device, like.dtype)


@torch.inference_mode()
def generate(
    generator: Generator,
    references: np.ndarray,
    reference_index: Sequence[int],
    maps: dict[str, np.ndarray],
    composite: np.ndarray,
    seeds: Sequence[int],
    steps: int,
    guidance_scale: float,
) -> np.ndarray:
    """Pictures (batch, H, W, 3) uint8.

    references (R, H, W, 3): the distinct ones; reference_index: which one each picture shows.
    composite (batch, H, W, 3): the appearance pasted on the reference's background; not read by a
        generator without the appearance condition. Where the appearance map is empty (a set
        without SMPL fits) the picture starts from nothing, as it does in training when dropped.
    guidance_scale 1 draws without the unconditional half (no reference, zero image token, pose and
    appearance kept), at half the cost.
    """
    like = next(generator.denoising_unet.parameters())
    config = generator.config
    pixels = to_tensor(references, like)
    token = generator.image_encoder(pixels)
    keys_values = generator.read_references(generator.codec.encode(pixels), token)
    index = torch.as_tensor(reference_index, device=like.device)
    tensors = {name: to_tensor(maps[name], like) for name in config.conditions}
    guidance = generator.pose_guiders(tensors)
    start = None
    if generator.uses_appearance:
        known = torch.from_numpy(maps["appearance"].any((1, 2, 3))).to(like.device)
        latents = generator.codec.encode(to_tensor(composite, like))
        start = generator.start(latents, tensors["appearance"]).where(known)
    own = References({layer: (k[index], v[index]) for layer, (k, v) in keys_values.items()})
    token = token[index]

    scheduler = copy.deepcopy(generator.scheduler)
    scheduler.set_timesteps(steps, device=str(like.device))
    width, height = config.latent_size
    x_t = draw_noise(seeds, (config.latent_channels, height, width), like)
    for timestep in scheduler.timesteps:
        t = timestep.expand(len(x_t))
        out = generator.denoise(x_t, t, token, guidance, own, start)
        if guidance_scale != 1:
            null = generator.denoise(x_t, t, torch.zeros_like(token), guidance, None, start)
            out = null + guidance_scale * (out - null)
        x_t = scheduler.step(out, timestep, x_t, return_dict=False)[0]  # type: ignore[arg-type]
    return to_images(generator.codec.decode(generator.from_diffused(x_t, start)))
