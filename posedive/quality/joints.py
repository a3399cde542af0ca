"""How far a fitted body's joints are from the true ones.

In: joints (joints, 3) of both in camera space, metres, the first the root. Out: millimetres.
"""

import numpy as np
from jaxtyping import Float


def joint_error_mm(
    found: Float[np.ndarray, "joints 3"], true: Float[np.ndarray, "joints 3"]
) -> float:
    """Mean per-joint position error when the roots lie on each other (MPJPE)."""
    return _mean_mm((found - found[0]) - (true - true[0]))


def aligned_joint_error_mm(
    found: Float[np.ndarray, "joints 3"], true: Float[np.ndarray, "joints 3"]
) -> float:
    """The same after the rotation, shift and size that suit best (Procrustes; PA-MPJPE).

    Least squares without mirroring (Umeyama 1991).
    """
    found, true = found - found.mean(0), true - true.mean(0)
    left, stretch, right = np.linalg.svd(true.T @ found)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * sign) @ right
    size = (stretch * sign).sum() / max((found**2).sum(), 1e-12)
    return _mean_mm(size * found @ rotation.T - true)


def _mean_mm(offsets: np.ndarray) -> float:
    return float(1000 * np.linalg.norm(offsets, axis=1).mean())
