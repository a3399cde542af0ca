"""What to generate: a set's images, poses and ranges -> pairs with key and seed, shard by shard.

A pure function of its arguments: the same on every machine, in any process, and whatever the order
of `images`. Shards hold whole identities, shuffled by the seed. Each pair draws anew: a reference
among its identity's images, a pose, an azimuth and an elevation. Pairs are made when asked for.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from posedive.errors import DatasetError
from posedive.records import Body, Condition, Fit, Pair, PersonImage, ShardPlan
from posedive.shards.layout import (
    Identity,
    Layout,
    draw,
    index_below,
    pair_key,
    pair_seed,
    shuffled_pids,
    uniform,
)

MAX_POSES = 1024  # a motion library has millions; so many tell one from another


class Pose(Protocol):
    @property
    def body_pose(self) -> np.ndarray: ...
    @property
    def global_orient(self) -> np.ndarray: ...
    @property
    def name(self) -> str: ...


class Poses(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Pose: ...


@dataclass(frozen=True, eq=False)
class Plan:
    """Every pair of a job. `description` is what it was made from, as plain JSON values."""

    layout: Layout
    images: dict[int, tuple[PersonImage, ...]]
    poses: Poses
    azimuth_deg: tuple[float, float]
    elevation_deg: tuple[float, float]
    focal: float
    description: dict[str, Any]
    views: Sequence[tuple[float, float]] = ()

    @property
    def num_pairs(self) -> int:
        return self.layout.num_pairs

    @property
    def num_shards(self) -> int:
        return self.layout.num_shards

    @cached_property
    def digest(self) -> str:
        return digest(self.description)

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What the numbers behind the names look like: tells fits or poses that were made anew.

        Means, to be compared with a tolerance: CPUs differ in a number's last bits.
        """
        fits = [image.fit for of_pid in self.images.values() for image in of_pid if image.fit]
        return {
            "fits": {"count": len(fits), "mean": _mean_abs(map(_fit_numbers, fits))},
            "poses": {"mean": _mean_abs(pose.body_pose for pose in _some(self.poses))},
        }

    def shard(self, index: int) -> ShardPlan:
        pairs = tuple(
            self._pair(identity.pid, seq)
            for identity in self.layout.members(index)
            for seq in range(self.layout.images_per_identity)
        )
        return ShardPlan(index, self.layout.name(index), pairs)

    def _pair(self, pid: int, seq: int) -> Pair:
        drawn = draw(self.layout.seed, pid, seq)
        images = self.images[pid]
        reference = images[index_below(drawn.reference, len(images))]
        pose = self.poses[index_below(drawn.pose, len(self.poses))]
        betas = np.zeros(10, np.float32) if reference.fit is None else reference.fit.body.betas
        if self.views:
            azimuth_deg, elevation_deg = self.views[index_below(drawn.azimuth, len(self.views))]
        else:
            azimuth_deg = uniform(drawn.azimuth, *self.azimuth_deg)
            elevation_deg = uniform(drawn.elevation, *self.elevation_deg)
        key = pair_key(pid, reference.camid, seq)
        return Pair(
            key=key,
            seed=pair_seed(self.layout.seed, key),
            pid=pid,
            camid=reference.camid,
            reference=reference.key,
            condition=Condition(
                body=Body(betas, pose.body_pose, pose.global_orient),
                azimuth_deg=azimuth_deg,
                elevation_deg=elevation_deg,
                focal=self.focal,
                pose_source=pose.name,
            ),
        )


def plan_shards(
    images: Sequence[PersonImage],
    poses: Poses,
    *,
    azimuth_deg: tuple[float, float],
    elevation_deg: tuple[float, float],
    focal: float,
    images_per_identity: int,
    seed: int,
    min_shards: int = 32,
    shard_size: int = 256,
    views: Sequence[tuple[float, float]] = (),
) -> Plan:
    """The plan for `images_per_identity` new images of everyone in `images`.

    images: the usable references; junk (pid -1) and distractors (pid 0) among them are no identity.
    There are at least min_shards shards, and more when they would pass shard_size pairs, but never
    more than identities. Ranges are [low, high) in degrees, focal in image heights.
    views: (azimuth, elevation) to draw from, in place of the ranges.
    Raises DatasetError when there is nobody to generate, or two images have one key.
    """
    if images_per_identity < 1 or min_shards < 1 or shard_size < 1:
        raise ValueError("images_per_identity, min_shards and shard_size begin at 1")
    if not len(poses):
        raise DatasetError("no poses: the source is empty; choose another")
    by_pid = _by_pid(images)
    identities = tuple(
        Identity(pid, _cameras(by_pid[pid])) for pid in shuffled_pids(list(by_pid), seed)
    )
    wanted = max(min_shards, -(-len(identities) * images_per_identity // shard_size))
    layout = Layout(seed, images_per_identity, min(wanted, len(identities)), identities)
    ordered = [image for pid in sorted(by_pid) for image in by_pid[pid]]
    description = {
        "seed": seed,
        "images_per_identity": images_per_identity,
        "shards": layout.num_shards,
        "pairs": layout.num_pairs,
        "azimuth_deg": [float(bound) for bound in azimuth_deg],
        "elevation_deg": [float(bound) for bound in elevation_deg],
        "focal": float(focal),
        "images": {"count": len(ordered), "sha256": _sha256(map(_image_line, ordered))},
        "identities": {"count": len(identities), "sha256": identities_sha256(identities)},
        "poses": {"count": len(poses), "sha256": _sha256(pose.name for pose in _some(poses))},
    }
    if views:
        lines = (f"{azimuth:.2f} {elevation:.2f}" for azimuth, elevation in views)
        description["views"] = {"count": len(views), "sha256": _sha256(lines)}
    return Plan(layout, by_pid, poses, azimuth_deg, elevation_deg, float(focal), description, views)


def digest(description: dict[str, Any]) -> str:
    """sha256 of a description in canonical JSON, hexadecimal."""
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def identities_sha256(identities: Iterable[Identity]) -> str:
    return _sha256(f"{identity.pid} {identity.cameras}" for identity in identities)


def _by_pid(images: Sequence[PersonImage]) -> dict[int, tuple[PersonImage, ...]]:
    grouped: dict[int, list[PersonImage]] = defaultdict(list)
    for image in images:
        if image.pid > 0:
            grouped[image.pid].append(image)
    if not grouped:
        raise DatasetError(
            f"nobody to generate: none of {len(images)} images has a pid above 0; "
            "choose another split, or look at why its images were skipped"
        )
    for pid, of_pid in grouped.items():
        of_pid.sort(key=lambda image: (image.camid, image.key))
        if len({image.key for image in of_pid}) < len(of_pid):
            raise DatasetError(f"pid {pid}: two images have the same key; keys name the pixels")
    return {pid: tuple(of_pid) for pid, of_pid in grouped.items()}


def _cameras(images: Sequence[PersonImage]) -> tuple[tuple[int, int], ...]:
    counts: dict[int, int] = defaultdict(int)
    for image in images:
        counts[image.camid] += 1
    return tuple(counts.items())


def _image_line(image: PersonImage) -> str:
    return f"{image.key}\t{image.pid}\t{image.camid}"


def _some(poses: Poses) -> Iterable[Pose]:
    """Poses spread evenly over the source, its first and last among them."""
    count, looked_at = len(poses), min(len(poses), MAX_POSES)
    return (poses[at * (count - 1) // max(looked_at - 1, 1)] for at in range(looked_at))


def _fit_numbers(fit: Fit) -> np.ndarray:
    body, camera = fit.body, fit.camera
    parts = (body.betas, body.body_pose, body.global_orient, camera.rotation, camera.translation)
    return np.concatenate([np.ravel(part) for part in parts])


def _mean_abs(arrays: Iterable[np.ndarray]) -> float:
    means = [float(np.abs(array).mean()) for array in arrays]
    return math.fsum(means) / max(len(means), 1)


def _sha256(lines: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for line in lines:
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()
