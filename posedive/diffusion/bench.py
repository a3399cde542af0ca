"""How fast the generator draws, beside the plain published procedure: `posedive bench generator`.

Plain is how AnimateAnyone and Champ are run in public code, one picture at a time; ours is
`sampler`. Both draw the same pictures with the embedded weights, from the same noise, in fp32, by
20 DDIM steps with guidance 3.5, encoders and decoder included. Maps and references are random
pixels: what is drawn changes neither the speed nor the agreement. Rates are per second of processor
time of one thread, so that a busy neighbour or a second core changes little.
"""

import copy
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from posedive.diffusion.backends import place
from posedive.diffusion.config import CONDITION_CHANNELS, GeneratorConfig, sd15_config
from posedive.diffusion.generator import Generator
from posedive.diffusion.sampler import condition, draw_noise, generate, sample, to_images, to_tensor
from posedive.diffusion.weights import load_generator

BATCH = 8
STEPS = 20
SCALE = 3.5
MATMUL_SIDE = 2048

Asked = dict[str, Any]  # the arguments of `sampler.condition`, by name


class PlainAttention:
    """Attention of one layer as published: the library's own, over the reference's tokens too.

    `bank` has them by layer, for both halves of guidance; they follow the own tokens along space,
    and their keys and values are computed at each call. The unconditional half, which comes first,
    is then attended once more, without them.
    """

    def __init__(self, layer: str):
        self.layer = layer
        self.attend = AttnProcessor2_0()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        bank: dict[str, Tensor],
    ) -> Tensor:
        if encoder_hidden_states is not None:
            return self.attend(attn, hidden_states, encoder_hidden_states)
        both = torch.cat([hidden_states, bank[self.layer]], 1)
        out = self.attend(attn, hidden_states, both)
        null = hidden_states[: len(hidden_states) // 2]
        out[: len(null)] = self.attend(attn, null)
        return out


def plain_twin(generator: Generator) -> Generator:
    """The same weights with the published attention."""
    twin = copy.deepcopy(generator)
    unet = twin.denoising_unet
    unet.set_attn_processor({name: PlainAttention(name) for name in unet.attn_processors})  # type: ignore[arg-type]
    return twin


@torch.inference_mode()
def draw_plainly(twin: Generator, asked: Asked, noise: Tensor, steps: int, scale: float) -> Tensor:
    """Latents of one picture, (1, channels, h, w), by a generator with the published attention."""
    like = twin.residual_std
    pixels = to_tensor(asked["references"], like)
    token = twin.image_encoder(pixels)
    tokens = torch.cat([torch.zeros_like(token), token])
    latents = twin.codec.encode(pixels)
    bank: dict[str, Tensor] = {}
    twin.reference_unet(
        torch.cat([latents, latents]), 0, tokens, cross_attention_kwargs={"collect": bank}
    )
    maps = {name: to_tensor(asked["maps"][name], like) for name in twin.config.conditions}
    steady, start = [twin.pose_guiders(maps)], None
    if twin.uses_appearance:
        composite = twin.codec.encode(to_tensor(asked["composite"], like))
        start = twin.start(composite, maps["appearance"])
        steady = [start.latents, start.validity, *steady]
    scheduler = DDIMScheduler(**twin.config.scheduler)
    scheduler.set_timesteps(steps)
    x_t = noise
    for timestep in scheduler.timesteps:
        one = torch.cat([x_t, *steady], 1)
        out = twin.denoising_unet(
            torch.cat([one, one]), timestep, tokens, cross_attention_kwargs={"bank": bank}
        ).sample
        null, own = out.chunk(2)
        out = null + scale * (own - null)
        x_t = scheduler.step(out, int(timestep), x_t, return_dict=False)[0]
    return twin.from_diffused(x_t, start)


@torch.inference_mode()
def draw(generator: Generator, asked: Asked, noise: Tensor, steps: int, scale: float) -> Tensor:
    """Latents of a batch, (batch, channels, h, w), by `sampler`."""
    return sample(generator, condition(generator, **asked), noise, steps, scale)


def random_pixels(config: GeneratorConfig, pictures: int) -> Asked:
    """What is asked for: so many pictures of one reference."""
    rng, (width, height) = np.random.default_rng(0), config.size

    def pixels(n: int, channels: int) -> np.ndarray:
        return rng.integers(0, 256, (n, height, width, channels), np.uint8)

    return {
        "references": pixels(1, 3),
        "reference_index": [0] * pictures,
        "maps": {name: pixels(pictures, CONDITION_CHANNELS[name]) for name in config.conditions},
        "composite": pixels(pictures, 3),
    }


def picked(asked: Asked, i: int) -> Asked:
    """The i-th picture alone."""
    return {
        "references": asked["references"],
        "reference_index": [0],
        "maps": {name: images[[i]] for name, images in asked["maps"].items()},
        "composite": asked["composite"][[i]],
    }


def count_tflop(config: GeneratorConfig, pictures: int, steps: int, scale: float) -> float:
    """Of matrix products and convolutions, forward, for so many pictures of one reference.

    Counted on the meta device, where nothing is computed. Each step costs the same: two are enough.
    """
    with torch.device("meta"):
        generator = Generator(config)
        noise = torch.empty(pictures, config.latent_channels, *reversed(config.latent_size))

    def count(steps: int) -> int:
        with FlopCounterMode(display=False) as counter:
            latents = draw(generator, random_pixels(config, pictures), noise, steps, scale)
            generator.codec.decode(latents)
        return counter.get_total_flops()

    first, second = count(1), count(2)
    return (first + (steps - 1) * (second - first)) / 1e12


def measure(rounds: int = 4) -> dict[str, Any]:
    """Named figures. speedup is of a batch of 8, speedup_batch1 of one picture; max_abs_diff is
    between latents; matmul_peak_share is of the rate of a large torch matmul in the same run.
    sd15_* are of one 192x384 picture at the size of Stable Diffusion 1.5, random weights in fp32,
    4 steps with guidance: processor seconds, and the peak memory of this whole process.
    """
    torch.set_num_threads(1)
    sd15 = sd15_config()
    tflop = {
        "20_steps_cfg": count_tflop(sd15, 1, 20, SCALE),
        "20_steps": count_tflop(sd15, 1, 20, 1.0),
        "4_steps": count_tflop(sd15, 1, 4, 1.0),
    }
    return _compare(rounds) | {"tflop_per_image_sd15": tflop} | _draw_once(sd15)


def _compare(rounds: int) -> dict[str, float]:
    generator = load_generator("embedded")
    twin = plain_twin(generator)
    place(generator, "cpu", torch.float32)
    config = generator.config
    asked = random_pixels(config, BATCH)
    noise = draw_noise(range(BATCH), (config.latent_channels, *reversed(config.latent_size)))
    matrix = torch.ones(MATMUL_SIDE, MATMUL_SIDE)

    def decoded(generator: Generator, latents: Tensor) -> Tensor:
        to_images(generator.codec.decode(latents))
        return latents

    works: dict[str, Callable[[int], Tensor]] = {
        "plain": lambda i: decoded(
            twin, draw_plainly(twin, picked(asked, i), noise[[i]], STEPS, SCALE)
        ),
        "one": lambda i: decoded(
            generator, draw(generator, picked(asked, i), noise[[i]], STEPS, SCALE)
        ),
        "batch": lambda i: decoded(generator, draw(generator, asked, noise, STEPS, SCALE))[[i]],
        "matmul": lambda _: matrix @ matrix,
    }
    seconds = dict.fromkeys(works, 0.0)
    apart = []
    for turn in range(rounds + 1):
        out = {}
        for name, work in works.items():
            begun = time.process_time()
            out[name] = work(turn % BATCH)
            if turn > 0:  # the first one warms up
                seconds[name] += time.process_time() - begun
        apart.append(torch.cat([out["one"], out["batch"]]) - out["plain"])
    flop_per_s = count_tflop(config, BATCH, STEPS, SCALE) * 1e12 * rounds / seconds["batch"]
    return {
        "images_per_s": BATCH * rounds / seconds["batch"],
        "reference_images_per_s": rounds / seconds["plain"],
        "speedup": BATCH * seconds["plain"] / seconds["batch"],
        "speedup_batch1": seconds["plain"] / seconds["one"],
        "max_abs_diff": float(torch.stack(apart).abs().max()),
        "matmul_peak_share": flop_per_s / (2 * MATMUL_SIDE**3 * rounds / seconds["matmul"]),
    }


def _draw_once(config: GeneratorConfig) -> dict[str, float]:
    generator = Generator(config).eval().requires_grad_(False)
    place(generator, "cpu", torch.float32)
    asked = random_pixels(config, 1)
    begun = time.process_time()
    generate(generator, **asked, seeds=[0], steps=4, guidance_scale=SCALE)
    return {
        "sd15_seconds": time.process_time() - begun,
        "sd15_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
