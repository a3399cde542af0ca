"""Drawing: references, condition maps and seeds -> pictures.

    condition -> what depends on no timestep, once per picture: the reference's keys and values, the
                 cross-attention's outputs, the guiders' features, the composite's latents
    sample    -> noise to latents, in few steps of a deterministic solver
    decode    -> pictures, uint8 (batch, H, W, 3)
Maps are uint8 (batch, H, W, C) by condition's name. One noise generator per picture, so that a
picture does not depend on its batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from einops import rearrange
from torch import Tensor

from posedive.diffusion.attention import References, cross_outputs
from posedive.diffusion.generator import Generator, Start

Solver = DPMSolverMultistepScheduler | UniPCMultistepScheduler

# The solver and its order. DPM-Solver++ of first order is DDIM (Lu et al. 2022), and ends without
# noise after any number of steps, where DDIMScheduler's rounding leaves some (6, 7, 11, ...) or
# draws nothing (61).
SAMPLERS: dict[str, tuple[type[Solver], int]] = {
    "ddim": (DPMSolverMultistepScheduler, 1),
    "dpm++": (DPMSolverMultistepScheduler, 2),
    "unipc": (UniPCMultistepScheduler, 2),
}


@dataclass(frozen=True)
class Conditioning:
    """What all steps of a batch share; Generator.denoise's arguments less x_t and t."""

    token: Tensor
    guidance: Tensor
    references: References
    start: Start | None


def to_tensor(images: np.ndarray, like: Tensor) -> Tensor:
    """uint8 (batch, H, W, C) -> (batch, C, H, W) in [-1, 1], of `like`'s device and dtype."""
    channels_first = rearrange(torch.from_numpy(np.ascontiguousarray(images)), "b h w c -> b c h w")
    return channels_first.to(like.device, like.dtype) / 127.5 - 1


def to_images(pixels: Tensor) -> np.ndarray:
    """(batch, 3, H, W) in [-1, 1] -> uint8 (batch, H, W, 3)."""
    rounded = (pixels.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return rearrange(rounded, "b c h w -> b h w c").cpu().numpy()


def draw_noise(seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """(len(seeds), *shape) standard normal; on the CPU, so that every device draws the same."""
    each = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(each)


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
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    sampler: str = "ddim",
) -> np.ndarray:
    """Pictures (batch, H, W, 3) uint8; the arguments are `condition`'s and `sample`'s."""
    weight = generator.denoising_unet.conv_in.weight
    width, height = generator.config.latent_size
    noise = draw_noise(seeds, (generator.config.latent_channels, height, width)).to(weight.device)
    with torch.autocast(weight.device.type, weight.dtype, enabled=weight.dtype != torch.float32):
        own = condition(generator, references, reference_index, maps, composite)
        latents = sample(generator, own, noise, steps, guidance_scale, guidance_interval, sampler)
        return to_images(generator.codec.decode(latents))


def condition(
    generator: Generator,
    references: np.ndarray,
    reference_index: Sequence[int],
    maps: dict[str, np.ndarray],
    composite: np.ndarray,
) -> Conditioning:
    """references (R, H, W, 3): the distinct ones; reference_index: which one each picture shows.

    composite (batch, H, W, 3): the appearance pasted on a background; not read by a
        generator without the appearance condition. Where the appearance map is empty (a set
        without SMPL fits) the picture starts from nothing, as it does in training when dropped.
    """
    like = generator.residual_std  # fp32 on the generator's device
    pixels = to_tensor(references, like)
    token = generator.image_encoder(pixels)
    keys_values = generator.read_references(generator.codec.encode(pixels), token)
    index = torch.as_tensor(reference_index, device=like.device)
    tensors = {name: to_tensor(maps[name], like) for name in generator.config.conditions}
    start = None
    if generator.uses_appearance:
        known = torch.from_numpy(maps["appearance"].any((1, 2, 3))).to(like.device)
        latents = generator.codec.encode(to_tensor(composite, like))
        start = generator.start(latents, tensors["appearance"]).where(known)
    own = {layer: (k[index], v[index]) for layer, (k, v) in keys_values.items()}
    cross = cross_outputs(generator.denoising_unet, token[index])
    guidance = generator.pose_guiders(tensors)
    return Conditioning(token[index], guidance, References(own, cross=cross), start)


def with_unconditional(generator: Generator, own: Conditioning) -> Conditioning:
    """Both halves of guidance, one behind the other: `own`, and the same with neither reference nor
    image token, but with pose and appearance. One pass of twice the rows costs less than two."""
    token = torch.cat([own.token, torch.zeros_like(own.token)])
    cross = cross_outputs(generator.denoising_unet, token)
    start = own.start
    if start is not None:
        start = Start(start.latents.repeat(2, 1, 1, 1), start.validity.repeat(2, 1, 1, 1))
    references = References(own.references.keys_values, cross=cross)
    return Conditioning(token, own.guidance.repeat(2, 1, 1, 1), references, start)


def sample(
    generator: Generator,
    own: Conditioning,
    noise: Tensor,
    steps: int,
    guidance_scale: float,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    sampler: str = "ddim",
) -> Tensor:
    """noise (batch, channels, h, w) -> latents of the pictures, in noise's dtype.

    guidance_scale 1 draws without the unconditional half, at half the cost. So does a timestep
    beyond guidance_interval: (low, high] as shares of the training timesteps, 0 without noise
    (Kynkaanniemi et al. 2024: guidance does harm at high noise and nothing at low).
    """
    scheduler = _scheduler(generator, sampler, steps)
    both = with_unconditional(generator, own) if guidance_scale != 1 else own
    low, high = guidance_interval
    x_t = noise
    for timestep in scheduler.timesteps:
        share = (int(timestep) + 1) / scheduler.config["num_train_timesteps"]
        if guidance_scale != 1 and low < share <= high:
            guided, null = _predict(generator, x_t.repeat(2, 1, 1, 1), timestep, both).chunk(2)
            out = null + guidance_scale * (guided - null)
        else:
            out = _predict(generator, x_t, timestep, own)
        x_t = scheduler.step(out, timestep, x_t, return_dict=False)[0]
    return generator.from_diffused(x_t, own.start)


def _scheduler(generator: Generator, sampler: str, steps: int) -> Solver:
    """A fresh one from the checkpoint's own scheduler config, as a solver keeps its last steps."""
    solver, order = SAMPLERS[sampler]
    scheduler: Solver = solver.from_config(generator.scheduler.config, solver_order=order)  # type: ignore[assignment]
    if generator.scheduler.config["rescale_betas_zero_snr"]:
        # these classes take 2^-24 for the last one, a zero, which shows in latents; fp32 bears this
        scheduler.alphas_cumprod[-1] = 2**-60
    scheduler.set_timesteps(steps)
    return scheduler


def _predict(generator: Generator, x_t: Tensor, timestep: Tensor, given: Conditioning) -> Tensor:
    t = timestep.expand(len(x_t)).to(x_t.device)
    out = generator.denoise(x_t, t, given.token, given.guidance, given.references, given.start)
    return out.to(x_t.dtype)
