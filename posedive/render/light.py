"""What cameras make of cloth: how their light falls, and how they show colours.

In: what some images of each camera show of people's bodies (sun.Seen), whoever they are. Out: for
each camera a Light, by which pixels are freed of the light and the camera that they were taken in
before another pose wears them, and lit again as that pose would be there.

log(colour + 8) = offset + matrix @ cloth + shade(point), the shade by a sun and a sky (sun.py).
Cloth is a constant for each part of each person: within a camera it tells where the sun stands;
across cameras the same cloth tells of exposure and white balance (offset), contrast, haze and
saturation (matrix), of each against the mean camera, in whose colours cloth is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

from posedive.render.kinship import Kinship
from posedive.render.sun import ALIKE, BLACK, PATTERN, SURE, Seen, Sun, logarithm, sun_of

_MIDDLE = np.log(100.0 + BLACK)  # cloth that changes little when contrast does
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Light:
    """sun: None is an even light; offset (3,), matrix (3, 3): of cloth, for red, green and blue."""

    sun: Sun | None
    offset: Float[np.ndarray, "3"]
    matrix: Float[np.ndarray, "3 3"]

    def shade(
        self,
        positions: Float[np.ndarray, "points 3"],
        normals: Float[np.ndarray, "points 3"],
        axes: Float[np.ndarray, "3 3"],
        faces: np.ndarray,
    ) -> Float[np.ndarray, "points 1"]:
        """What `lit` and `unlit` ask for, of each point of a body (Sun.shade)."""
        if self.sun is None:
            return np.zeros((len(positions), 1), np.float32)
        return self.sun.shade(positions, normals, axes, faces)[:, None]

    def lit(
        self, colours: Float[np.ndarray, "*shape 3"], shade: Float[np.ndarray, "*shape 1"]
    ) -> Float[np.ndarray, "*shape 3"]:
        """Colours as this camera shows them."""
        return np.exp(logarithm(colours) @ self.matrix.T + self.offset + shade) - BLACK

    def unlit(
        self, colours: Float[np.ndarray, "*shape 3"], shade: Float[np.ndarray, "*shape 1"]
    ) -> Float[np.ndarray, "*shape 3"]:
        """Colours as the mean camera would have shown them in an even light: lit, backwards."""
        seen = logarithm(colours) - self.offset - shade
        return np.exp(seen @ np.linalg.inv(self.matrix).T) - BLACK


EVEN = Light(None, np.zeros(3, np.float32), np.eye(3, dtype=np.float32))


class Told(NamedTuple):
    """What a camera's images tell by themselves: its sun; pids (N,) of whom they show; the mean
    logarithm of each part's colours without the light, shown (N, parts, 3), and its weight."""

    sun: Sun
    pids: np.ndarray
    shown: np.ndarray
    weight: np.ndarray


def told_by(body: Kinship, seen: Sequence[tuple[int, Seen]]) -> Told:
    """Of one camera, by (pid, sighting)."""
    sun = sun_of(body, seen)
    light = Light(sun, EVEN.offset, EVEN.matrix)
    parts = int(body.part.max()) + 1
    of_parts = [_mean_of_parts(body, sighting, light) for _, sighting in seen]
    return Told(
        sun,
        np.array([pid for pid, _ in seen], int),
        np.array([shown for shown, _ in of_parts]).reshape(-1, parts, 3),
        np.array([weight for _, weight in of_parts]).reshape(-1, parts),
    )


def lights_of(told: Mapping[int, Told]) -> dict[int, Light]:
    """By camid. EVEN where a camera's images show nobody."""
    some = {camid: of for camid, of in told.items() if of.weight.any()}
    if not some:
        return dict.fromkeys(told, EVEN)
    parts = next(iter(some.values())).weight.shape[1]
    pids = np.concatenate([of.pids for of in some.values()])
    offsets, matrices = _tones(
        len(some),
        np.repeat(np.arange(len(some)), [of.weight.size for of in some.values()]),
        (pids[:, None] * parts + np.arange(parts)).ravel(),
        np.concatenate([of.shown.reshape(-1, 3) for of in some.values()]),
        np.concatenate([of.weight.ravel() for of in some.values()]),
    )
    lights = {
        camid: Light(of.sun, offset, matrix)
        for (camid, of), offset, matrix in zip(some.items(), offsets, matrices, strict=True)
    }
    return {camid: lights.get(camid, EVEN) for camid in told}


def _mean_of_parts(body: Kinship, sighting: Seen, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3), (P,): the mean logarithm of each part's colours without its light, and its weight."""
    num, count = len(body.part), int(body.part.max()) + 1
    shade = light.shade(sighting.positions[:num], sighting.normals[:num], sighting.axes, body.faces)
    sure = np.flatnonzero(sighting.confidence[:num] > SURE)
    part, weight = body.part[sure], sighting.confidence[sure]
    unlit = light.unlit(sighting.colours[sure], shade[sure])
    return _means(part, weight, logarithm(unlit), count), np.bincount(part, weight, count) / ALIKE


def _tones(
    num: int, camera: np.ndarray, cloth: np.ndarray, shown: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """offset (num, 3) and matrix (num, 3, 3) of cameras, from what they showed (N, 3) of cloths, by
    turns with the cloths themselves. A cloth that one camera alone saw tells nothing."""
    _, cloth = np.unique(cloth, return_inverse=True)
    seen_by = np.zeros((cloth.max() + 1, num), bool)
    seen_by[cloth[prior > 0], camera[prior > 0]] = True
    prior = prior * (seen_by.sum(axis=1) > 1)[cloth]
    offset, matrix = np.zeros((num, 3)), np.tile(np.eye(3), (num, 1, 1))
    weights = prior
    for _ in range(_ROUNDS):
        back = np.linalg.solve(matrix[camera], (shown - offset[camera])[..., None])[..., 0]
        itself = _means(cloth, weights, back)[cloth]
        for c in range(num):
            of = camera == c
            told = np.column_stack([itself[of] - _MIDDLE, np.ones(of.sum())])
            weighed = told.T * weights[of]
            change = np.linalg.solve(weighed @ told + np.eye(4), weighed @ (shown - itself)[of])
            matrix[c], offset[c] = np.eye(3) + change[:3].T, change[3] - _MIDDLE * change[:3].sum(0)
        # The mean camera shows cloth as it is.
        matrix = matrix @ np.linalg.inv(matrix.mean(axis=0))
        offset = offset - matrix @ offset.mean(axis=0)
        residue = shown - offset[camera] - np.einsum("nij,nj->ni", matrix[camera], itself)
        weights = prior * np.minimum(1.0, PATTERN / np.maximum(np.abs(residue).mean(axis=1), 1e-6))
    return offset.astype(np.float32), matrix.astype(np.float32)


def _means(
    group: np.ndarray, weights: np.ndarray, values: np.ndarray, count: int = 0
) -> np.ndarray:
    """(G, D): of values (N, D) by their group's number (N,), 0 of none; at least `count` groups."""
    total = np.maximum(np.bincount(group, weights, count), 1e-9)
    sums = [np.bincount(group, weights * column, count) for column in values.T]
    return np.stack(sums, axis=1) / total[:, None]


def spread_outward(
    values: Float[np.ndarray, "height width channels"], known: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width channels"]:
    """Where not known, what the nearest known pixel has."""
    if not known.any():
        return values
    _, found = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(found, int)
    nearest = np.zeros(labels.max() + 1, int)
    nearest[labels[known]] = np.flatnonzero(known)
    return values.reshape(-1, values.shape[-1])[nearest[labels]]
