"""Checkpoints in the layouts that others publish, of any size, made here with random weights.

Keys and shapes are the libraries' own classes' where there is one. Motion modules, guiders and the
original single file are spelled out as public code names them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from posedive.diffusion.config import GeneratorConfig

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Published:
    """What was written: `source` is what one would import; tensors by their diffusers names."""

    source: Path
    denoising: State
    reference: State
    vae: State
    image_encoder: State
    guiders: dict[str, State]


@cache
def _pool(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0)).mul(0.05).half()


def random_state(shapes: Shapes, seed: int) -> State:
    """Tensors that are windows of one pool, twice as long as the largest: a file is then small."""
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    rng, pool = torch.Generator().manual_seed(seed), _pool(2 * max(sizes.values()))
    state: State = {}
    for name, size in sizes.items():
        start = int(torch.randint(len(pool) - size + 1, (), generator=rng))
        state[name] = pool[start : start + size].view(shapes[name])
    return state


def shapes_of(make: Callable[[], nn.Module]) -> Shapes:
    with init_empty_weights():
        return {name: tuple(value.shape) for name, value in make().state_dict().items()}


def unet_shapes(config: GeneratorConfig) -> Shapes:
    return shapes_of(lambda: UNet2DConditionModel(**config.unet))


def motion_shapes(config: GeneratorConfig) -> Shapes:
    """One motion module behind each attention of the peers' video UNets, mid block included."""
    widths, layers = config.unet["block_out_channels"], config.unet["layers_per_block"]
    places = {"mid_block.motion_modules.0": widths[-1]}
    for i, c in enumerate(widths):
        places |= {f"down_blocks.{i}.motion_modules.{j}": c for j in range(layers)}
    for i, c in enumerate(reversed(widths)):
        places |= {f"up_blocks.{i}.motion_modules.{j}": c for j in range(layers + 1)}
    shapes: Shapes = {}
    for place, c in places.items():
        block = "transformer_blocks.0"
        module = _linear("proj_in", c, c) | _linear("proj_out", c, c) | _norm("norm", c)
        for i in range(2):
            attention = f"{block}.attention_blocks.{i}"
            module |= _attention(attention, c) | _norm(f"{block}.norms.{i}", c)
            module[f"{attention}.pos_encoder.pe"] = (1, 32, c)
        module |= _feed_forward(f"{block}.ff", c) | _norm(f"{block}.ff_norm", c)
        shapes |= {f"{place}.temporal_transformer.{name}": s for name, s in module.items()}
    return shapes


def guider_shapes(widths: tuple[int, ...], out: int, attends: bool) -> Shapes:
    shapes = _conv("conv_in", 3, widths[0]) | _conv("conv_out", widths[-1], out)
    for i, (narrow, wide) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        shapes |= _conv(f"blocks.{2 * i}", narrow, narrow)
        shapes |= _conv(f"blocks.{2 * i + 1}", narrow, wide)
        if attends:
            shapes |= _transformer(f"attentions.{2 * i}", narrow)
            shapes |= _transformer(f"attentions.{2 * i + 1}", wide)
    return shapes | (_transformer("guidance_attention", widths[-1]) if attends else {})


def _transformer(name: str, c: int) -> Shapes:
    block = f"{name}.transformer_blocks.0"
    return (
        _norm(f"{name}.norm", c)
        | _conv(f"{name}.proj_in", c, c, 1)
        | _attention(f"{block}.attn1", c)
        | _norm(f"{block}.norm1", c)
        | _feed_forward(f"{block}.ff", c)
        | _norm(f"{block}.norm3", c)
        | _conv(f"{name}.proj_out", c, c, 1)
    )


def _attention(name: str, c: int) -> Shapes:
    qkv: Shapes = {f"{name}.to_{x}.weight": (c, c) for x in "qkv"}
    return qkv | _linear(f"{name}.to_out.0", c, c)


def _feed_forward(name: str, c: int) -> Shapes:
    return _linear(f"{name}.net.0.proj", c, 8 * c) | _linear(f"{name}.net.2", 4 * c, c)


def _linear(name: str, c_in: int, c_out: int) -> Shapes:
    return {f"{name}.weight": (c_out, c_in), f"{name}.bias": (c_out,)}


def _conv(name: str, c_in: int, c_out: int, kernel: int = 3) -> Shapes:
    return {f"{name}.weight": (c_out, c_in, kernel, kernel), f"{name}.bias": (c_out,)}


def _norm(name: str, c: int) -> Shapes:
    return {f"{name}.weight": (c,), f"{name}.bias": (c,)}


DOWN = {"resnets": "0", "attentions": "1", "downsamplers": "0.op"}
WHOLE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def original_name(name: str, layers: int) -> str:
    """A diffusers name of a Stable Diffusion UNet's tensor -> its name in the original file."""

    def place(match: re.Match[str]) -> str:
        side, i, kind, j = match[1], int(match[2]), match[3], int(match[4])
        if kind.endswith("samplers"):
            j = layers
        if side == "down":
            return f"input_blocks.{i * (layers + 1) + 1 + j}.{DOWN[kind]}"
        # The first up block has no attention before its upsampler.
        after = 1 if kind == "attentions" or i == 0 else 2
        return f"output_blocks.{i * (layers + 1) + j}.{0 if kind == 'resnets' else after}"

    name = re.sub(r"^(down|up)_blocks\.(\d+)\.([a-z]+)\.(\d+)", place, name)
    name = name.replace(".op.conv.", ".op.")
    for ours, theirs in WHOLE.items():
        name = re.sub(rf"^{re.escape(ours)}\.", f"{theirs}.", name)
    if "transformer_blocks" not in name:
        for ours, theirs in RESNET.items():
            name = name.replace(f".{ours}.", f".{theirs}.")
    return "model.diffusion_model." + name


def _save(state: State, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


def _frozen(folder: Path, config: GeneratorConfig) -> tuple[State, State]:
    """sd-vae-ft-mse, under the names of its day, and sd-image-variations' image encoder."""
    vae = random_state(shapes_of(lambda: AutoencoderKL(**config.vae)), 1)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    spelled = re.compile("|".join(map(re.escape, old)))
    (folder / "sd-vae-ft-mse").mkdir(parents=True)
    save_file(
        {spelled.sub(lambda m: old[m[0]], name): value.clone() for name, value in vae.items()},
        folder / "sd-vae-ft-mse" / "diffusion_pytorch_model.safetensors",
    )
    clip = CLIPVisionConfig(**config.image_encoder)
    encoder = random_state(shapes_of(lambda: CLIPVisionModelWithProjection(clip)), 2)
    position_ids = {"vision_model.embeddings.position_ids": torch.arange(257)[None]}
    _save(encoder | position_ids, folder / "image_encoder" / "pytorch_model.bin")
    return vae, encoder


def sd15(folder: Path, config: GeneratorConfig) -> Published:
    unet = random_state(unet_shapes(config), 3)
    _save(unet, folder / "unet" / "diffusion_pytorch_model.bin")
    return Published(folder, unet, unet, *_frozen(folder, config), {})


def sd15_original(folder: Path, config: GeneratorConfig) -> Published:
    unet = random_state(unet_shapes(config), 3)
    layers = config.unet["layers_per_block"]
    whole = {original_name(name, layers): value for name, value in unet.items()}
    whole["cond_stage_model.transformer.text_model.final_layer_norm.bias"] = torch.zeros(8)
    whole["first_stage_model.decoder.conv_in.bias"] = torch.zeros(8)
    source = folder / "v1-5-pruned-emaonly.ckpt"
    _save(whole, source)
    return Published(source, unet, unet, *_frozen(folder, config), {})


def _peer(
    folder: Path, config: GeneratorConfig, place: str, motion: bool, guiders: dict[str, Shapes]
) -> Published:
    shapes = unet_shapes(config)
    denoising = random_state(shapes | (motion_shapes(config) if motion else {}), 4)
    ends = re.compile(r"conv_(norm_)?out\.")
    reference = random_state({k: s for k, s in shapes.items() if not ends.match(k)}, 5)
    _save(denoising, folder / place / "denoising_unet.pth")
    _save(reference, folder / place / "reference_unet.pth")
    states = {name: random_state(s, 6 + i) for i, (name, s) in enumerate(guiders.items())}
    for name, state in states.items():
        _save(state, folder / place / f"{name}.pth")
    return Published(folder, denoising, reference, *_frozen(folder, config), states)


def animate_anyone(folder: Path, config: GeneratorConfig) -> Published:
    out = config.unet["block_out_channels"][0]
    guider = guider_shapes(config.guider_channels, out, attends=False)
    made = _peer(folder, config, "", True, {"pose_guider": guider})
    _save(random_state(motion_shapes(config), 9), folder / "motion_module.pth")
    return made


def pose2id(folder: Path, config: GeneratorConfig) -> Published:
    """Its guider ends narrower, in 64-128. Its tokens come from IFR.pth and a Re-ID network."""
    out = config.unet["block_out_channels"][0]
    guider = guider_shapes((*config.guider_channels[:-2], 64, 128), out, attends=False)
    made = _peer(folder, config, "", False, {"pose_guider": guider})
    _save(random_state(_linear("proj_motion", 3840, 768), 9), folder / "IFR.pth")
    return made


def champ(folder: Path, config: GeneratorConfig) -> Published:
    out = config.unet["block_out_channels"][0]
    guider = guider_shapes(config.guider_channels, out, attends=True)
    names = ("depth", "normal", "semantic_map", "dwpose")
    return _peer(
        folder, config, "champ", True, {f"guidance_encoder_{name}": guider for name in names}
    )


LAYOUTS = {f.__name__: f for f in (sd15, sd15_original, animate_anyone, pose2id, champ)}
