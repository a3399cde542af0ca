"""A picture against the true one, where the person is.

Pictures are (H, W, 3) uint8 RGB; masks are (H, W) bool, and the mask of a foreground has at least
one pixel.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

ROUNDING = 1 / 12  # the mean squared error of rounding to whole numbers: less can't be told
# Wang et al. 2004: an 11x11 Gaussian window, and constants that keep flat areas apart from noise.
WINDOW, SIGMA = (11, 11), 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(
    picture: UInt8[np.ndarray, "height width 3"],
    truth: UInt8[np.ndarray, "height width 3"],
    foreground: Bool[np.ndarray, "height width"],
) -> float:
    """Decibels over the foreground; 58.9 where the two are equal."""
    difference = picture[foreground].astype(np.float64) - truth[foreground]
    return float(10 * np.log10(255**2 / max((difference**2).mean(), ROUNDING)))


def ssim(
    picture: UInt8[np.ndarray, "height width 3"],
    truth: UInt8[np.ndarray, "height width 3"],
    foreground: Bool[np.ndarray, "height width"],
) -> float:
    """Structural similarity (Wang et al. 2004, Eq. 13) of each channel, mean over the foreground.
    Windows at its edge see some of the background."""
    x, y = picture.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return float((luminance * structure)[foreground].mean())


def iou(
    found: Bool[np.ndarray, "height width"], expected: Bool[np.ndarray, "height width"]
) -> float:
    """Intersection over union; 1 where both are empty."""
    union = (found | expected).sum()
    return float((found & expected).sum() / union) if union else 1.0


def _blur(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, WINDOW, SIGMA)
