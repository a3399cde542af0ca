"""Heatmaps: keypoints in an input image -> targets to train on, and heatmaps -> keypoints again.

Unbiased data processing (Huang et al. 2020): heatmap cell h of n is input pixel h (N - 1) / (n - 1)
of N, in pixel indices (0 is the first pixel's centre). A target is a Gaussian with peak 1, so a
peak of the prediction is a confidence: an estimator that errs by s cells at random is trained
towards peaks of sigma^2 / (sigma^2 + s^2), and towards 0 where there is no joint.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

SIGMA_CELLS = 1.5
# What the published post-processing smooths with before it looks at curvature.
BLUR_SIGMA, BLUR_RADIUS = 0.8, 5


def gaussian_heatmaps(
    points: Float[np.ndarray, "batch joints 2"],
    present: Bool[np.ndarray, "batch joints"],
    input_size: tuple[int, int],
    heatmap_size: tuple[int, int],
) -> Float[np.ndarray, "batch joints height width"]:
    """points are pixels of the input, centres at half-integers; sizes are (width, height).

    An absent joint has an empty heatmap. The Gaussian's centre may lie between cells.
    """
    cells = (np.asarray(heatmap_size) - 1) / (np.asarray(input_size) - 1)
    centre = (points - 0.5) * cells
    columns, rows = np.arange(heatmap_size[0]), np.arange(heatmap_size[1])
    across = np.exp(-((columns - centre[..., :1]) ** 2) / (2 * SIGMA_CELLS**2))
    down = np.exp(-((rows - centre[..., 1:]) ** 2) / (2 * SIGMA_CELLS**2))
    heatmaps = down[..., :, None] * across[..., None, :] * present[..., None, None]
    return heatmaps.astype(np.float32)


def decode(
    heatmaps: Float[np.ndarray, "batch joints height width"], input_size: tuple[int, int]
) -> Float[np.ndarray, "batch joints 3"]:
    """Keypoints x px, y px of the input (centres at half-integers), and the peak in [0, 1].

    Argmax, then one Newton step on the log of the smoothed heatmap (DARK, Zhang et al. 2020), as
    the published post-processing does; a step of more than a cell finds no peak and is dropped.
    """
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    peak = flat.argmax(-1)
    confidence = np.take_along_axis(flat, peak[..., None], -1)[..., 0]
    y, x = np.divmod(peak, width)
    step = _newton_step(heatmaps, x, y)
    step[np.abs(step).max(-1) > 1] = 0
    cells = np.stack([x, y], -1) + step
    pixels = cells * (np.asarray(input_size) - 1) / (np.array([width, height]) - 1) + 0.5
    keypoints = np.concatenate([pixels, np.clip(confidence, 0, 1)[..., None]], -1)
    return keypoints.astype(np.float32)


def _newton_step(heatmaps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """- H^-1 g of log heatmaps at cells (x, y), in cells (batch, joints, 2)."""
    smooth = gaussian_filter(
        heatmaps,
        sigma=(0, 0, BLUR_SIGMA, BLUR_SIGMA),
        radius=(0, 0, BLUR_RADIUS, BLUR_RADIUS),
    )
    logs = np.log(np.clip(smooth, 0.001, 50)).astype(np.float64)
    logs = np.pad(logs, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    batch, joint = np.indices(x.shape)

    def at(right: int, below: int) -> np.ndarray:
        return logs[batch, joint, y + 1 + below, x + 1 + right]

    here = at(0, 0)
    gradient = np.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], -1) / 2
    dxx = at(1, 0) - 2 * here + at(-1, 0)
    dyy = at(0, 1) - 2 * here + at(0, -1)
    dxy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    hessian = np.stack([np.stack([dxx, dxy], -1), np.stack([dxy, dyy], -1)], -2)
    hessian = hessian + np.finfo(np.float32).eps * np.eye(2)
    return -np.linalg.solve(hessian, gradient[..., None])[..., 0]
