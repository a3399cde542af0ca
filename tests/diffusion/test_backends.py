import numpy as np
import pytest
import torch

from posedive.diffusion.backends import choose_backend, choose_dtype, place
from posedive.diffusion.sampler import generate
from posedive.errors import SpecError


def test_what_a_cpu_cannot_do_is_refused_in_words():
    with pytest.raises(SpecError, match="xformers needs a CUDA device"):
        choose_backend("xformers", "cpu")
    with pytest.raises(SpecError, match="fp16 needs CUDA; use auto, fp32 or bf16"):
        choose_dtype("fp16", "cpu")


def test_half_precision_draws_nearly_the_same_picture(generator, asked):
    how = {"steps": 3, "guidance_scale": 2.0}
    full = generate(generator, **asked, **how).astype(int)
    half = generate(place(generator, "cpu", torch.bfloat16), **asked, **how)
    unet = generator.denoising_unet
    assert unet.conv_in.weight.dtype == torch.bfloat16
    assert unet.conv_norm_out.weight.dtype == torch.float32
    assert 0 < np.abs(half - full).mean() < 1


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # a compiler has much to say about a library's code
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_nearly_the_same_picture(generator, asked):
    how = {"steps": 3, "guidance_scale": 2.0}
    full = generate(generator, **asked, **how).astype(int)
    half = generate(place(generator, "cuda", torch.float16), **asked, **how)
    assert np.abs(half - full).mean() < 1
