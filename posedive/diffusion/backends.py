"""What this machine does best, and clear words when it can't do what was asked for."""

import importlib.util

import torch
from torch import nn

from posedive.diffusion.generator import Generator
from posedive.errors import SpecError


def choose_backend(asked: str, device: str) -> str:
    """Attention backend by diffusers' name. xformers runs on CUDA only."""
    has_xformers = device == "cuda" and importlib.util.find_spec("xformers") is not None
    if asked == "xformers" and not has_xformers:
        raise SpecError(
            "generator.attention: xformers needs a CUDA device and the package (pip install "
            f"'posedive[gpu]'); this worker has {device}; use auto or native"
        )
    return "xformers" if asked != "native" and has_xformers else "native"


def choose_dtype(asked: str, device: str) -> torch.dtype:
    """auto: fp16 on CUDA, fp32 on the CPU."""
    if asked == "auto":
        return torch.float16 if device == "cuda" else torch.float32
    if asked == "fp16" and device == "cpu":
        raise SpecError("generator.precision: fp16 needs CUDA; use auto, fp32 or bf16 on a CPU")
    if asked == "bf16" and device == "cuda":
        # PyTorch would emulate it, slower than fp32.
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise SpecError(
                "generator.precision: bf16 needs a GPU of compute capability 8.0 or more; this"
                f" worker has {torch.cuda.get_device_name()}; use auto, fp16 or fp32"
            )
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[asked]


def place(generator: Generator, device: str, dtype: torch.dtype) -> Generator:
    """Readies `generator` for drawing on `device`, in place; a GPU compiles at the first pass.

    Under autocast only convolutions and linear layers work in `dtype`: theirs are the weights cast
    here, once, where autocast alone would cast them at each step. All else stays in fp32.
    """
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.to(dtype)
    if device == "cuda":
        generator.denoising_unet.compile()
    return generator
