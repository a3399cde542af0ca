"""Checkpoints: a folder of config.json and one safetensors file per part.

    config.json  codec.safetensors  image_encoder.safetensors  pose_guiders.safetensors
    reference_unet.safetensors  denoising_unet.safetensors
The same layout for embedded, own and imported weights. "embedded" names the folder that ships.
"""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from posedive.diffusion.config import GeneratorConfig
from posedive.diffusion.generator import Generator
from posedive.errors import WeightsError
from posedive.storage import open_store

PARTS = ("codec", "image_encoder", "pose_guiders", "reference_unet", "denoising_unet")
CONFIG = "config.json"


def embedded_path() -> Path:
    return Path(str(files("posedive.diffusion") / "assets" / "generator"))


def save_generator(generator: Generator, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Writes the checkpoint; config.json last, so that a half-written folder has none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    for part in PARTS:
        state = {
            k: v.to(dtype).contiguous()
            for k, v in generator.get_submodule(part).state_dict().items()
        }
        (folder / f"{part}.safetensors").write_bytes(save(state))
    (folder / CONFIG).write_text(generator.config.to_json() + "\n")


def local_folder(name: str) -> Path:
    """Where a checkpoint lies on this machine; s3:// is fetched once into the user's cache."""
    if name == "embedded":
        return embedded_path()
    if "://" not in name:
        return Path(name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = Path.home() / ".cache" / "posedive" / "weights" / digest
    if not (folder / CONFIG).exists():
        store = open_store(name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*(f"{part}.safetensors" for part in PARTS), CONFIG):
            (folder / file).write_bytes(store.get(file))
    return folder


def load_generator(name: str, backend: str = "native") -> Generator:
    """Reads "embedded", a folder or a URI; on the CPU, fp32, in eval mode.

    Raises WeightsError when a part is missing, truncated, or of another architecture.
    """
    folder = local_folder(name)
    config_path = folder / CONFIG
    if not config_path.is_file():
        raise WeightsError(
            f"generator {name!r}: no {CONFIG} in {folder}; expected 'embedded' or a checkpoint "
            f"folder as `posedive train` writes it"
        )
    config = GeneratorConfig.from_json(config_path.read_text(), str(config_path))
    generator = Generator(config, backend)
    for part in PARTS:
        load_part(generator.get_submodule(part), folder / f"{part}.safetensors")
    return generator.eval().requires_grad_(False)


def load_part(module: nn.Module, path: Path) -> None:
    """Loads one file exactly: every tensor named and shaped as the module's own."""
    if not path.is_file():
        raise WeightsError(f"{path}: missing; a checkpoint has {', '.join(PARTS)}")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error})") from None
    expected = module.state_dict()
    missing, unknown = (
        sorted(expected.keys() - state.keys()),
        sorted(state.keys() - expected.keys()),
    )
    if missing or unknown:
        raise WeightsError(
            f"{path}: of another architecture; missing {missing[:4]} (of {len(missing)}), "
            f"unexpected {unknown[:4]} (of {len(unknown)})"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                f"{path}: {name}: expected {tuple(expected[name].shape)}, got {tuple(tensor.shape)}"
            )
    module.load_state_dict({k: v.float() for k, v in state.items()})


def weights_digest(name: str) -> str:
    """First 16 hex digits of a SHA-256 over the checkpoint's files, for provenance."""
    folder = local_folder(name)
    digest = hashlib.sha256()
    for file in (*(f"{part}.safetensors" for part in PARTS), CONFIG):
        path = folder / file
        if not path.is_file():
            raise WeightsError(f"generator {name!r}: {path} is missing")
        digest.update(json.dumps([file, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return digest.hexdigest()[:16]
