"""Augmentation of a training batch: mirror, shift, erase.

In and out: (batch, height, width, 3) uint8; what is done to it follows from (seed, step).
"""

import numpy as np
from jaxtyping import UInt8

FLIP_SHARE = 0.5
PADDING = 0.04  # of the height, on all sides: 10 pixels of 256
# Random erasing (Zhong et al. 2020): share of images, area of the image, height to width.
ERASE_SHARE = 0.5
ERASE_AREA = (0.02, 0.4)
ERASE_ASPECT = (0.3, 1 / 0.3)
ERASE_COLOUR = (124, 116, 104)  # ImageNet's mean


def augment(
    images: UInt8[np.ndarray, "batch height width 3"], seed: int, step: int
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Random horizontal flip, random crop of the padded picture, random erasing."""
    rng = np.random.default_rng((seed, 2, step))  # 0 and 1 are the sampler's
    _, height, width, _ = images.shape
    pad = round(PADDING * height)
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    out = np.empty_like(images)
    for row, (top, left) in enumerate(rng.integers(0, 2 * pad + 1, (len(images), 2))):
        crop = padded[row, top : top + height, left : left + width]
        out[row] = crop[:, ::-1] if rng.random() < FLIP_SHARE else crop
        if rng.random() < ERASE_SHARE:
            _erase(out[row], rng)
    return out


def _erase(image: np.ndarray, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    area = rng.uniform(*ERASE_AREA) * height * width
    aspect = np.exp(rng.uniform(*np.log(ERASE_ASPECT)))
    # A box that would not fit is cut to the picture.
    box_height = min(round(np.sqrt(area * aspect)), height)
    box_width = min(round(np.sqrt(area / aspect)), width)
    top = rng.integers(0, height - box_height + 1)
    left = rng.integers(0, width - box_width + 1)
    image[top : top + box_height, left : left + box_width] = ERASE_COLOUR
