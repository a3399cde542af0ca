"""Training the small VAE: pictures -> latents -> the same pictures.

The linear path starts as the PCA of patches; the AutoencoderKL learns what that leaves. Pictures
are uint8 (batch, H, W, 3).
"""

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from posedive.diffusion.encoders import LatentCodec
from posedive.diffusion.sampler import to_tensor


def start_from_patches(codec: LatentCodec, images: np.ndarray) -> None:
    """Sets the linear path to the best linear code of `images`' patches, and its inverse.

    The last layers of the VAE start at zero, so that the codec begins as the PCA alone.
    """
    if codec.linear_in is None or codec.linear_out is None:
        raise ValueError("only a codec with vae_patch > 1 has a linear path")
    stride = codec.linear_in.stride[0]  # type: ignore[index]
    pixels = to_tensor(images, codec.linear_in.weight)  # type: ignore[arg-type]
    patches = rearrange(pixels, "b c (h p) (w q) -> (b h w) (c p q)", p=stride, q=stride)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    channels = codec.linear_in.weight.shape[0]  # type: ignore[union-attr]
    basis = vectors.flip(1)[:, :channels]
    scale = values.flip(0)[:channels].sqrt()
    to_code, to_patch = (basis / scale).T, (basis * scale).T
    shape = (channels, 3, stride, stride)
    with torch.no_grad():
        codec.linear_in.weight.copy_(to_code.reshape(shape))  # type: ignore[union-attr]
        codec.linear_in.bias.copy_(-to_code @ mean)  # type: ignore[union-attr]
        codec.linear_out.weight.copy_(to_patch.reshape(shape))  # type: ignore[union-attr]
        codec.linear_out.bias.copy_(mean.reshape(3, stride, stride).mean((1, 2)))  # type: ignore[union-attr]
        for last in (codec.kl.quant_conv, codec.kl.decoder.conv_out):
            last.weight.zero_()  # type: ignore[union-attr]
            last.bias.zero_()  # type: ignore[union-attr]


def reconstruction_loss(codec: LatentCodec, images: np.ndarray) -> Tensor:
    """Squared and absolute error of pixels, and a light pull of the latents towards unit size."""
    like = next(codec.parameters())
    pixels = to_tensor(images, like)
    z = codec.encode_raw(pixels)
    out = codec.decode_raw(z + 0.03 * torch.randn_like(z))
    pull = (z.square().mean() - 1).square()
    return functional.mse_loss(out, pixels) + 0.05 * functional.l1_loss(out, pixels) + 1e-3 * pull


@torch.inference_mode()
def latent_statistics(
    codec: LatentCodec, images: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each latent channel over `images`."""
    z = codec.encode_raw(to_tensor(images, next(codec.parameters())))
    return tuple(z.mean((0, 2, 3)).tolist()), tuple(z.std((0, 2, 3)).tolist())


@torch.inference_mode()
def psnr(codec: LatentCodec, images: np.ndarray) -> float:
    """Of the reconstruction, in dB."""
    pixels = to_tensor(images, next(codec.parameters()))
    out = codec.decode_raw(codec.encode_raw(pixels)).clamp(-1, 1)
    return float(10 * torch.log10(4 / functional.mse_loss(out, pixels)))
