"""Weights made elsewhere -> a Generator: Stable Diffusion 1.5 to start from, and the peers' own.

in: a folder laid out as those projects lay theirs (layouts.PLACES), with
        denoising_unet.pth, reference_unet.pth, and
        pose_guider.pth or guidance_encoder_*.pth    AnimateAnyone (Moore Threads), Pose2ID; Champ
    or  unet/                                        SD1.5, copied into both branches
    and sd-vae-ft-mse/ or vae/, image_encoder/       both frozen, from where those projects say
    or a file of SD1.5's UNet, the last two beside it
out: a Generator on the CPU, in eval mode; weights.save_generator writes it in our own layout

Files are read as plain tensors or not at all. A tensor without counterpart here (motion modules,
say) is dropped and counted in the log; any other that is missing or left over is an error.
Pose2ID's cross-attention was trained on tokens of a Re-ID network, for which CLIP's stands in: its
weights are a start for training, not a generator.
"""

import logging
import pickle
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from posedive.diffusion.config import GeneratorConfig
from posedive.diffusion.encoders import LatentCodec
from posedive.diffusion.generator import Generator
from posedive.diffusion.layouts import (
    CHAMP_HEADS,
    DENOISING_UNET,
    GUIDERS,
    IMAGE_ENCODER,
    OLD_VAE,
    ORIGINAL_UNET,
    PLACES,
    REFERENCE_UNET,
    UNET,
    VAE,
    KeyMap,
    guider_keys,
)
from posedive.diffusion.pose_guider import PoseGuiders
from posedive.errors import WeightsError

log = logging.getLogger(__name__)


def made_elsewhere(name: str) -> bool:
    """Whether `name` is a local file, or a folder with a UNet in another layout than ours."""
    return _find(Path(name), "unet") is not None


def import_generator(
    source: Path, config: GeneratorConfig, dtype: torch.dtype = torch.float32
) -> Generator:
    """The generator of `config`, with the weights at `source` in all that they have a place for.

    What is new here (guiders of further conditions, inputs for the appearance) starts as it does
    in an untrained generator. Guiders become as wide as the files'. Raises WeightsError when a
    file is missing, is more or less than plain tensors, or lacks a tensor or has one too many.
    """
    path = _found(source, "unet")
    by_peers = path.name == DENOISING_UNET
    guiders = _read_guiders(path.parent) if by_peers else {}
    if guiders:
        config = _sized_as(next(iter(guiders.values())), config)
    with init_empty_weights(include_buffers=False):
        generator = Generator(config)
    generator.codec = import_codec(source, config, dtype)
    encoder = _read(_found(source, "image_encoder"))
    _load(generator.image_encoder, encoder, IMAGE_ENCODER, dtype)
    generator.pose_guiders = PoseGuiders(config).to(dtype)
    for condition, file in guiders.items():
        _load_guider(generator, condition, file, dtype)
    unet = _read_unet(path, config)
    _load_denoising(generator, unet, dtype)
    if by_peers:
        unet = _read_unet(path.with_name(REFERENCE_UNET), config)
    _load_reference(generator, unet, dtype)
    return generator.eval().requires_grad_(False)


def import_codec(
    source: Path, config: GeneratorConfig, dtype: torch.dtype = torch.float32
) -> LatentCodec:
    """The VAE alone: latents are made before there is a generator to train."""
    file = _read(_found(source, "vae"))
    old = any(".query." in key for key in file.state)
    with init_empty_weights(include_buffers=False):
        codec = LatentCodec(config)
    _load(codec, file, OLD_VAE if old else VAE, dtype)
    return codec.eval().requires_grad_(False)


@dataclass(frozen=True)
class _File:
    path: Path
    state: dict[str, Tensor]


def _find(source: Path, part: str) -> Path | None:
    if source.is_file():
        if part == "unet":
            return source
        source = source.parent
    return next((source / place for place in PLACES[part] if (source / place).is_file()), None)


def _found(source: Path, part: str) -> Path:
    path = _find(source, part)
    if path is None:
        raise WeightsError(
            f"{source}: no {part} there; expected one of {', '.join(PLACES[part])}; "
            f"put the published folder, or a link to it, in its place"
        )
    return path


def _read(path: Path) -> _File:
    """Raises WeightsError when the file is not whole, or is more than tensors by name."""
    if not path.is_file():
        raise WeightsError(f"{path}: missing; the peers have {DENOISING_UNET}, {REFERENCE_UNET}")
    try:
        if path.suffix == ".safetensors":
            return _File(path, load_file(path))
        if not zipfile.is_zipfile(path):
            raise WeightsError(f"{path}: not a whole file of torch.save; is it all there?")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "GLOBAL" in line), error)
        raise WeightsError(
            f"{path}: more than plain tensors, and reading that can run code ({reason}); "
            f"nothing was run. Ask its maker for safetensors, or for a plain state_dict"
        ) from None
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(f"{path}: not a whole file of tensors ({error})") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        got = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise WeightsError(f"{path}: expected tensors by name, as of a state_dict; got {got}")
    return _File(path, state)


def _read_unet(path: Path, config: GeneratorConfig) -> _File:
    """With diffusers' names; those of the original UNet that it has none for keep their own."""
    file = _read(path)
    original = {k: v for k, v in file.state.items() if k.startswith(ORIGINAL_UNET)}
    if not original:
        return file
    state = convert_ldm_unet_checkpoint(original, config.unet)
    taken = {id(value) for value in state.values()}
    return _File(path, state | {k: v for k, v in original.items() if id(v) not in taken})


def _read_guiders(folder: Path) -> dict[str, _File]:
    """Condition -> its guider's file, of those that lie in a peer's folder."""
    names = {path.name for path in folder.glob("*.pth")}
    if not names & GUIDERS.keys():
        raise WeightsError(f"{folder}: no guider; expected one of {', '.join(GUIDERS)}")
    for name in sorted(names - GUIDERS.keys() - {DENOISING_UNET, REFERENCE_UNET}):
        log.warning("dropped file=%s", folder / name)
    return {GUIDERS[name]: _read(folder / name) for name in GUIDERS if name in names}


def _sized_as(file: _File, config: GeneratorConfig) -> GeneratorConfig:
    """Moore Threads and Champ made guiders of 16-32-96-256 channels, Pose2ID of 16-32-64-128."""
    strides = config.downscale.bit_length() - 1
    layers = ["conv_in.weight", *(f"blocks.{2 * n + 1}.weight" for n in range(strides))]
    if not file.state.keys() >= set(layers):
        return config  # loading names what is missing
    attends = any(key.startswith("attentions.") for key in file.state)
    return replace(
        config,
        guider_channels=tuple(len(file.state[layer]) for layer in layers),
        guider_heads=CHAMP_HEADS if attends else 0,
    )


def _load_guider(generator: Generator, condition: str, file: _File, dtype: torch.dtype) -> None:
    """The peers' maps are in [0, 1], ours in [-1, 1]: the first layer takes up the difference.
    Beyond the border they pad with black and we with grey, so the outermost pixels still differ."""
    guiders = generator.pose_guiders.guiders
    if condition not in guiders:
        log.warning("dropped file=%s condition=%s", file.path, condition)
        return
    _load(guiders[condition], file, guider_keys(generator.config), dtype)
    first = guiders[condition].get_submodule("0")
    assert isinstance(first, nn.Conv2d) and first.bias is not None
    with torch.no_grad():
        first.bias += first.weight.sum((1, 2, 3)) / 2
        first.weight /= 2


def _load_denoising(generator: Generator, unet: _File, dtype: torch.dtype) -> None:
    """Further inputs of conv_in (the appearance's, behind the latents) start at zero."""
    module, state = generator.denoising_unet, unet.state
    extra = module.conv_in.in_channels - generator.config.latent_channels
    if "conv_in.weight" in state:
        widened = functional.pad(state["conv_in.weight"], (0, 0, 0, 0, 0, extra))
        unet = replace(unet, state=state | {"conv_in.weight": widened})
    _load(module, unet, UNET, dtype)


def _load_reference(generator: Generator, unet: _File, dtype: torch.dtype) -> None:
    """What follows the last attention has been taken off, and is not asked for."""
    module = generator.reference_unet
    off = generator.denoising_unet.state_dict().keys() - module.state_dict().keys()
    kept = {key: value for key, value in unet.state.items() if key not in off}
    _load(module, replace(unet, state=kept), UNET, dtype)


def _load(module: nn.Module, file: _File, keys: KeyMap, dtype: torch.dtype) -> None:
    """Gives each tensor of `module` a copy of its own from `file`, or raises WeightsError."""
    expected = module.state_dict()
    ours = {keys.name(name): name for name in expected}
    got = {key: value for key, value in file.state.items() if not re.search(keys.dropped, key)}
    wrong = [f"missing {key}" for key in sorted(ours.keys() - got.keys())]
    wrong += [f"unexpected {key}" for key in sorted(got.keys() - ours.keys())]
    for key in sorted(ours.keys() & got.keys()):
        want, have = tuple(expected[ours[key]].shape), tuple(got[key].shape)
        if want != have:
            wrong.append(f"{key}: expected {want}, got {have}")
    if wrong:
        raise WeightsError(
            f"{file.path}: not a {type(module).__name__} of this generator's sizes (published "
            f"weights have those of `model: sd15`): {'; '.join(wrong)}"
        )
    dropped = len(file.state) - len(got)
    log.info("imported file=%s tensors=%d dropped=%d", file.path, len(got), dropped)
    state = {ours[key]: value.to(dtype, copy=True) for key, value in got.items()}
    module.load_state_dict(state, assign=True)
