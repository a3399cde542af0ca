"""What poses are likely: a Gaussian mixture over the poses of a source and their mirror images.

In: a pose source (poses.pose_source), up to MAX_POSES of it. Out: PosePrior, which torch can
differentiate, and poses that stand for the whole source: a fit's first guesses.
A pose here is 72 numbers: how the pelvis tilts (global_orient less its heading), then body_pose.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits
from torch import Tensor

from posedive.body.poses import PoseSource
from posedive.body.skeleton import MIRROR_SMPL

MAX_POSES = 20_000
COMPONENTS, GUESSES = 8, 96
# Added to each variance, rad^2: a joint that never moves in the source may still move a little.
FLOOR = 2e-3


class PosePrior(NamedTuple):
    """log_tops (C,): each component's log density at its mean, less a constant; means (C, 72);
    precision_roots (C, 72, 72): L with precision L L^T; guesses (G, 72)."""

    log_tops: Tensor
    means: Tensor
    precision_roots: Tensor
    guesses: Tensor

    def energy(self, pose: Float[Tensor, "batch 72"]) -> Float[Tensor, " batch"]:
        """- log density, about 0 at the highest of the means."""
        offset = pose[:, None] - self.means
        whitened = torch.einsum("bcd,cde->bce", offset, self.precision_roots)
        log_density = self.log_tops - whitened.square().sum(-1) / 2
        return self.log_tops.max() - torch.logsumexp(log_density, 1)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in self._asdict().items()}

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> "PosePrior":
        return cls(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def pose_prior(source: PoseSource, seed: int) -> PosePrior:
    """Learnt from the source's poses, evenly drawn where there are more than MAX_POSES."""
    chosen = np.unique(np.linspace(0, len(source) - 1, MAX_POSES).round().astype(int))
    drawn = [source[int(i)] for i in chosen]
    poses = np.stack([np.concatenate([pose.global_orient, pose.body_pose]) for pose in drawn])
    poses = np.concatenate([poses, mirrored(poses)]).astype(np.float64)
    # A busy machine's threads wait for each other: here, twenty times as long as the work takes.
    with threadpool_limits(1):
        mixture = GaussianMixture(
            min(COMPONENTS, len(poses)),
            reg_covar=FLOOR,
            init_params="k-means++",
            random_state=seed,
        ).fit(poses)
        clusters = KMeans(min(GUESSES, len(poses)), n_init="auto", random_state=seed).fit(poses)
        nearest = clusters.transform(poses).argmin(0)
    roots, weights = np.asarray(mixture.precisions_cholesky_), np.asarray(mixture.weights_)
    log_tops = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1) + np.log(weights)
    arrays = {
        "log_tops": log_tops,
        "means": mixture.means_,
        "precision_roots": roots,
        "guesses": poses[nearest],
    }
    return PosePrior.of({name: array.astype(np.float32) for name, array in arrays.items()})


def mirrored(poses: Float[np.ndarray, "poses 72"]) -> Float[np.ndarray, "poses 72"]:
    """Each pose as a mirror shows it: sides swapped, rotations turned the other way about y, z."""
    joints = poses.reshape(-1, 24, 3)[:, list(MIRROR_SMPL)]
    return (joints * np.array([1.0, -1.0, -1.0], poses.dtype)).reshape(-1, 72)
