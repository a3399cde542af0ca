"""Biased splits by rule, as the paper's MSMT17-S: what training sees, the test does not.

In: what the SMPL fits of n images tell, viewpoints in degrees or body poses. Out: Halves, of which
one is for training and the other for the test; then keys by split, of people who are in one of the
two alone. Nothing is drawn by hand: the same fits and seed give the same split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from posedive.errors import DatasetError
from posedive.records import PersonImage

AXES = ("elevation", "front_back", "left_right")
MIN_IMAGES = 2  # of a person in training: one makes no pair


@dataclass(frozen=True)
class Halves:
    """side (n,): -1 the low half, 1 the high one, 0 neither. coordinate (n,): what they are cut
    along, at `cut`; `axis` says what it is, and in which unit. groups: the cameras, or the numbers
    of images of the clusters, of each half."""

    side: np.ndarray
    coordinate: np.ndarray
    cut: float
    axis: str
    groups: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


def axis_deg(azimuth_deg: np.ndarray, elevation_deg: np.ndarray, axis: str) -> np.ndarray:
    """(n,) degrees: elevation; or from the front (0) to the back (180); or from the left to the
    right side."""
    if axis == "elevation":
        return elevation_deg
    turned = azimuth_deg - (90 if axis == "left_right" else 0)
    return np.abs((turned + 180) % 360 - 180)


def halves_by_viewpoint(
    azimuth_deg: np.ndarray, elevation_deg: np.ndarray, axis: str, gap_share: float
) -> Halves:
    """Cut at the median of one axis; the `gap_share` of images about it are in neither half."""
    along = axis_deg(azimuth_deg, elevation_deg, axis)
    low, high = np.quantile(along, (0.5 - gap_share / 2, 0.5 + gap_share / 2))
    side = np.where(along < low, -1, np.where(along > high, 1, 0))
    return Halves(side, along, float(np.median(along)), f"{axis}, degrees")


def halves_by_camera(
    azimuth_deg: np.ndarray,
    elevation_deg: np.ndarray,
    camids: np.ndarray,
    axis: str,
    min_share: float,
) -> Halves:
    """Whole cameras, in the order of the median of what they see along the axis, cut where two
    neighbours are furthest apart; then the images of either half that lie beyond the value at which
    fewest do are dropped, so that the halves don't meet.

    axis "auto": that along which cameras differ most, measured by how much they differ within.
    """
    cameras = np.unique(camids)
    if axis == "auto":
        told = {a: axis_deg(azimuth_deg, elevation_deg, a) for a in AXES}
        axis = max(AXES, key=lambda a: _ratio_of_variances(told[a], camids))
    along = axis_deg(azimuth_deg, elevation_deg, axis)
    medians = np.array([np.median(along[camids == c]) for c in cameras])
    counts = np.array([np.sum(camids == c) for c in cameras])
    order = np.argsort(medians, kind="stable")
    at = _widest_gap(medians[order], counts[order], min_share, "cameras")
    low = np.isin(camids, cameras[order[:at]])
    cut = _fewest_beyond(along[low], along[~low])
    side = np.where(low & (along <= cut), -1, np.where(~low & (along > cut), 1, 0))
    first, second = np.sort(cameras[order[:at]]), np.sort(cameras[order[at:]])
    groups = (tuple(first.tolist()), tuple(second.tolist()))
    return Halves(side, along, cut, f"{axis}, degrees", groups)


def halves_by_pose(
    body_pose: np.ndarray, clusters: int, min_share: float, gap_share: float, seed: int
) -> Halves:
    """Clusters of joint rotations by k-means, in the order of their centres along the principal
    axis, cut where two neighbours are furthest apart.

    The coordinate is (a - b) / (a + b), a and b being the distances to the nearest centre of the
    low and of the high half; the `gap_share` of images that are nearest to 0 are in neither.
    """
    features = pose_features(body_pose)
    if len(features) < 2 * clusters:
        raise DatasetError(
            f"{clusters} clusters of poses want {2 * clusters} images with SMPL fits at least, got"
            f" {len(features)}"
        )
    centres, labels = kmeans2(features, clusters, minit="++", rng=np.random.default_rng(seed))
    counts = np.bincount(labels, minlength=clusters)
    centres, counts = centres[counts > 0], counts[counts > 0]
    place = principal_plane(centres, np.sqrt(counts))[:, 0]
    order = np.argsort(place, kind="stable")
    at = _widest_gap(place[order], counts[order], min_share, "clusters")
    distance = cdist(features, centres[order])
    to_low, to_high = distance[:, :at].min(axis=1), distance[:, at:].min(axis=1)
    along = (to_low - to_high) / np.maximum(to_low + to_high, 1e-12)
    near = np.abs(along) < np.quantile(np.abs(along), gap_share)
    side = np.where(near, 0, np.where(along < 0, -1, 1))
    groups = (tuple(counts[order[:at]].tolist()), tuple(counts[order[at:]].tolist()))
    return Halves(side, along, 0.0, "nearness to either half's clusters", groups)


def pose_features(body_pose: np.ndarray) -> np.ndarray:
    """(n, 69) axis-angle -> (n, 207): matrices, which don't jump at half a turn as vectors do."""
    rotations = Rotation.from_rotvec(np.asarray(body_pose, np.float64).reshape(-1, 3)).as_matrix()
    return rotations.reshape(len(body_pose), -1)


def principal_plane(features: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(n, d) -> (n, 2) along the two principal components; an axis' largest entry is positive."""
    weights = np.ones(len(features)) if weights is None else weights
    middle = np.average(features, axis=0, weights=weights**2)
    centred = features - middle
    _, _, axes = np.linalg.svd(centred * weights[:, None], full_matrices=False)
    axes = axes[:2]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], 1))
    return centred @ axes.T


def overlap(a: np.ndarray, b: np.ndarray, bins: int = 36) -> float:
    """Share that two samples have in common: the intersection of their histograms."""
    span = (float(min(a.min(), b.min())), float(max(a.max(), b.max())))
    shares = [np.histogram(x, bins, span)[0] / len(x) for x in (a, b)]
    return float(np.minimum(*shares).sum())


def part_people(pids: Sequence[int], test_share: float, seed: int) -> set[int]:
    """The pids that are for the test, drawn by the seed."""
    people = np.unique(np.asarray(pids))
    order = np.random.default_rng((seed, 0xB1)).permutation(len(people))
    return {int(people[i]) for i in order[: round(test_share * len(people))]}


def biased_split(
    images: Sequence[PersonImage], of_test: np.ndarray, halves: Halves, seed: int
) -> dict[str, list[PersonImage]]:
    """train, query and gallery. of_test (n,) bool: images of people who are for the test.

    The half with more images of the others is theirs. Of a person before two cameras or more, one
    image of each of half the cameras asks, drawn by the seed; all else is searched, so that each
    query has a match before another camera.
    """
    mine = [int(np.sum((halves.side == half) & ~of_test)) for half in (-1, 1)]
    half = -1 if mine[0] >= mine[1] else 1
    train = _by_pid(images, (halves.side == half) & ~of_test)
    test = _by_pid(images, (halves.side == -half) & of_test)
    rng = np.random.default_rng((seed, 0xB2))
    split: dict[str, list[PersonImage]] = {"train": [], "query": [], "gallery": []}
    for of_pid in train.values():
        split["train"] += of_pid if len(of_pid) >= MIN_IMAGES else []
    for of_pid in test.values():
        cameras = rng.permutation(sorted({image.camid for image in of_pid}))
        asks = set()
        for camid in cameras[: len(cameras) // 2]:
            seen = [image.key for image in of_pid if image.camid == camid]
            asks.add(seen[int(rng.integers(len(seen)))])
        for image in of_pid:
            split["query" if image.key in asks else "gallery"].append(image)
    empty = [name for name, chosen in split.items() if not chosen]
    if empty:
        raise DatasetError(
            f"the split has no {' and no '.join(empty)}: of {len(images)} images with SMPL fits"
            f" {int(np.sum(halves.side == half))} lie in the half for training,"
            f" {int(np.sum(halves.side == -half))} in the one for the test;"
            " take more people, or a smaller gap_share"
        )
    return split


def _by_pid(images: Sequence[PersonImage], chosen: np.ndarray) -> dict[int, list[PersonImage]]:
    found: dict[int, list[PersonImage]] = {}
    for image, taken in zip(images, chosen, strict=True):
        if taken:
            found.setdefault(image.pid, []).append(image)
    return found


def _ratio_of_variances(values: np.ndarray, groups: np.ndarray) -> float:
    names, index = np.unique(groups, return_inverse=True)
    means = np.bincount(index, values) / np.bincount(index)
    between = np.var(means[index])
    return float(between / max(np.mean((values - means[index]) ** 2), 1e-12)) * (len(names) > 1)


def _widest_gap(places: np.ndarray, counts: np.ndarray, min_share: float, what: str) -> int:
    """How many of the ordered groups are below the cut."""
    below = np.cumsum(counts)[:-1] / counts.sum()
    allowed = (below >= min_share) & (below <= 1 - min_share)
    if not allowed.any():
        raise DatasetError(
            f"no cut between {len(counts)} {what} leaves {min_share:.0%} of the images on both"
            " sides; lower min_share"
        )
    return int(np.argmax(np.where(allowed, np.diff(places), -np.inf))) + 1


def _fewest_beyond(low: np.ndarray, high: np.ndarray) -> float:
    """The value beyond which fewest of both lie: of the low above it, of the high at or below."""
    values = np.unique(np.concatenate([low, high]))
    low_above = len(low) - np.searchsorted(np.sort(low), values, "right")
    high_below = np.searchsorted(np.sort(high), values, "right")
    best = np.flatnonzero((low_above + high_below) == (low_above + high_below).min())
    at = int(best[len(best) // 2])
    after = values[min(at + 1, len(values) - 1)]
    return float((values[at] + after) / 2)
