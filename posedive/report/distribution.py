"""How people are seen and how they stand: viewpoints and poses -> counts, coverage, a plane.

In: azimuth and elevation in degrees (records.py's frame), body_pose (n, 69) axis-angle radians.
Out: counts on a 1-degree grid, which add up over shards; Coverage of coarser cells; a 2-D embedding
of poses by principal components of their joint rotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROSE_DEG = 20  # of azimuth; a bin is centred on 0, so that a set of frontal views is one petal
AZIMUTH_CELL_DEG, ELEVATION_CELL_DEG = 30, 15
POSE_CELLS = 12  # along each axis of the plane


@dataclass(frozen=True)
class Coverage:
    """How evenly cells are filled: entropy of their shares, and how many hold nothing."""

    cells: int
    empty_share: float
    entropy_bits: float
    max_bits: float


def coverage(counts: np.ndarray) -> Coverage:
    """Of any array of non-negative counts; of nothing at all, zero bits and everything empty."""
    shares = counts[counts > 0] / max(counts.sum(), 1e-9)
    entropy_bits = abs(float(-(shares * np.log2(shares)).sum()))
    return Coverage(
        cells=counts.size,
        empty_share=float((counts == 0).mean()),
        entropy_bits=entropy_bits,
        max_bits=float(np.log2(counts.size)),
    )


def view_counts(azimuth_deg: Sequence[float], elevation_deg: Sequence[float]) -> np.ndarray:
    """(360, 180): images per degree of azimuth [0, 360) and of elevation [-90, 90)."""
    azimuth = np.floor(np.mod(np.asarray(azimuth_deg, np.float64), 360)).astype(int) % 360
    elevation = np.floor(np.asarray(elevation_deg, np.float64)).astype(int).clip(-90, 89) + 90
    counts = np.zeros((360, 180))
    np.add.at(counts, (azimuth, elevation), 1)
    return counts


def azimuth_bins(views: np.ndarray, width_deg: int = ROSE_DEG) -> np.ndarray:
    """Counts of `width_deg` bins; bin i is centred on azimuth i * width_deg."""
    return np.roll(views.sum(axis=1), width_deg // 2).reshape(-1, width_deg).sum(axis=1)


def elevation_span(views: np.ndarray, width_deg: int) -> tuple[int, int]:
    """The lowest and highest degree, in multiples of `width_deg`, between which images lie."""
    (occupied,) = np.nonzero(views.sum(axis=0))
    if occupied.size == 0:
        return 0, width_deg
    low_deg, high_deg = int(occupied[0]) - 90, int(occupied[-1]) - 90 + 1
    return low_deg // width_deg * width_deg, -(-high_deg // width_deg) * width_deg


def elevation_bins(views: np.ndarray, span: tuple[int, int], width_deg: int) -> np.ndarray:
    low, high = span[0] + 90, span[1] + 90
    return views.sum(axis=0)[low:high].reshape(-1, width_deg).sum(axis=1)


def view_cells(views: np.ndarray, span: tuple[int, int]) -> np.ndarray:
    """(12, elevation cells): the cells that coverage is told of."""
    rows = np.roll(views[:, span[0] + 90 : span[1] + 90], AZIMUTH_CELL_DEG // 2, axis=0)
    rows = rows.reshape(360 // AZIMUTH_CELL_DEG, AZIMUTH_CELL_DEG, -1, ELEVATION_CELL_DEG)
    return rows.sum(axis=(1, 3))


def joint_rotations(body_pose: np.ndarray) -> np.ndarray:
    """(n, 69) axis-angle -> (n, 23, 3, 3): axis-angle itself jumps at half a turn."""
    vectors = np.asarray(body_pose, np.float64).reshape(-1, 23, 3)
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def embed_poses(rotations: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, 23, 3, 3) -> (n, 2) along the two principal components, and their share of variance."""
    features = rotations.reshape(len(rotations), -1)
    features = features - features.mean(axis=0)
    variances, axes = np.linalg.eigh(features.T @ features)
    axes = axes[:, :-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])  # an axis has no sign
    total = float(variances.sum())
    return features @ axes, float(variances[-2:].sum()) / total if total > 1e-9 else 1.0


def pose_cells(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Counts of a POSE_CELLS x POSE_CELLS grid between two corners of the plane."""
    index = (points - low) / np.maximum(high - low, 1e-9) * POSE_CELLS
    index = index.astype(int).clip(0, POSE_CELLS - 1)
    counts = np.zeros((POSE_CELLS, POSE_CELLS))
    np.add.at(counts, tuple(index.T), 1)
    return counts


def pose_spread_deg(rotations: np.ndarray, seed: int = 0) -> float:
    """Mean angle between the same joint of two images drawn at random (1,000 draws)."""
    rng = np.random.default_rng(seed)
    a, b = rotations[rng.integers(0, len(rotations), (2, 1000))]
    cosine = (np.einsum("njik,njik->nj", a, b) - 1) / 2
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())
