"""Scores by case -> the figures of an evaluation: of all cases, by pose and by elevation.

Cases are columns as the stage Score makes them, one row a case. A figure is the mean over cases,
but for rank-1 and mAP, which are of searches among real images, and KID, which is of the whole set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedive.jobs.stages.score import ARMS
from posedive.quality.kid import kid
from posedive.records import Pair
from posedive.reid.metrics import score

MEANS = ("oks", "pck", "iou", "psnr_foreground", "ssim_foreground")
ELEVATION_BIN_DEG = 15
DIGITS = 4
Cases = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Real images of the people evaluated: features (N, dim) of length 1; pids, camids (N,)."""

    features: np.ndarray
    pids: np.ndarray
    camids: np.ndarray

    def cosine(self) -> float:
        """Of two images of one person, mean over all such pairs."""
        of_one = np.triu(self.pids[:, None] == self.pids, k=1)
        return float((self.features @ self.features.T)[of_one].mean())


def tables(cases: Cases, pairs: Sequence[Pair], gallery: Gallery) -> dict[str, Any]:
    """`pairs`: what each case was to show, in the cases' order. The generator's figures have plain
    names; those of the other arms begin with the arm's."""
    pids, camids = (np.array([getattr(p, name) for p in pairs]) for name in ("pid", "camid"))

    def figures(rows: np.ndarray) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for arm in ARMS:
            of_arm = _figures(cases, arm, rows, pids[rows], camids[rows], gallery)
            prefix = "" if arm == "generated" else f"{arm}_"
            told |= {prefix + name: round(value, DIGITS) for name, value in of_arm.items()}
        return told

    def by(group: Sequence[str]) -> dict[str, Any]:
        members = {name: np.flatnonzero(np.array(group) == name) for name in sorted(set(group))}
        return {name: {"cases": len(rows)} | figures(rows) for name, rows in members.items()}

    return figures(np.arange(len(pairs))) | {
        "real_identity_cosine": round(gallery.cosine(), DIGITS),
        "by_pose": by([pose_group(pair.condition.pose_source) for pair in pairs]),
        "by_elevation": by([elevation_group(pair.condition.elevation_deg) for pair in pairs]),
    }


def identity_cosines(cases: Cases, arm: str) -> np.ndarray:
    """(N,) of each picture's features and those of the truth."""
    return (cases[f"{arm}_features"] * cases["truth_features"]).sum(1)


def pose_group(pose_source: str) -> str:
    """The clip of an embedded pose, the set of another: embedded/kick:0031 -> kick."""
    return pose_source.split("/")[1].split(":")[0]


def elevation_group(elevation_deg: float) -> str:
    low = int(elevation_deg // ELEVATION_BIN_DEG) * ELEVATION_BIN_DEG
    return f"{low}..{low + ELEVATION_BIN_DEG}"


def _figures(
    cases: Cases,
    arm: str,
    rows: np.ndarray,
    pids: np.ndarray,
    camids: np.ndarray,
    gallery: Gallery,
) -> dict[str, float]:
    features, truth = cases[f"{arm}_features"][rows], cases["truth_features"][rows]
    distances = 1 - features @ gallery.features.T
    searches = score(distances, pids, camids, gallery.pids, gallery.camids)
    told = {name: float(cases[f"{arm}_{name}"][rows].mean()) for name in MEANS} | {
        "identity_rank1": searches.cmc(1),
        "identity_mAP": searches.mAP,
        "identity_cosine": float(identity_cosines(cases, arm)[rows].mean()),
    }
    # A set of one has no spread. Of features of length sqrt(dim) the kernel sees the cosine.
    if len(rows) > 1:
        scale = np.sqrt(features.shape[1])
        told["kid"] = kid(scale * features, scale * truth)
    return told
