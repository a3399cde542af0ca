"""What cameras make of cloth: how their light falls, and how they show colours.

In: what some images of each camera show of people's bodies (Sightings), whoever they are. Out: for
each camera a Light, by which pixels are freed of the light and the camera that they were taken in
before another pose wears them, and lit again as that pose would be there.

log(colour + 8) = offset + matrix @ cloth + coefficients @ harmonics(normal), where normals are in
floor axes (camera.floor_axes): sun and sky stay where they are when the camera is raised. The
harmonics are those up to second order, which hold what distant light does to a matt surface
(Ramamoorthi and Hanrahan 2001). Cloth is a constant for each part of each person: within a camera
it is eliminated; across cameras the same cloth tells of exposure and white balance (offset),
contrast, haze and saturation (matrix), of each against the mean camera, in whose colours cloth is
given. Shadows that one limb throws on another stay in the cloth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Bool, Float

from posedive.render.kinship import Kinship

BLACK = 8.0  # grey levels: nearer to black, a ratio of colours says little
_LIMIT = 0.9  # of the gain's logarithm, where no image showed a surface that faces so
_SURE = 0.15  # a vertex seen with less confidence may be something else
_MIDDLE = np.log(100.0 + BLACK)  # cloth that changes little when contrast does
# Vertices are many and alike: so many count as one; a pattern's edge is no light, so a residue of
# more than this counts less (Huber); and a light starts from none, as firmly as one such count.
_ALIKE, _PATTERN, _ROUNDS = 200.0, 0.15, 4


class Seen(Protocol):
    """What an image shows of a body: Sighting, here in part. normals (V, 3) in camera space."""

    @property
    def colours(self) -> np.ndarray: ...

    @property
    def confidence(self) -> np.ndarray: ...

    @property
    def normals(self) -> np.ndarray: ...

    @property
    def axes(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Light:
    """coefficients (8, 3), of _harmonics; offset (3,), matrix (3, 3): of cloth, for red, green and
    blue."""

    coefficients: Float[np.ndarray, "8 3"]
    offset: Float[np.ndarray, "3"]
    matrix: Float[np.ndarray, "3 3"]

    def lit(
        self, colours: Float[np.ndarray, "*shape 3"], normals: Float[np.ndarray, "*shape 3"]
    ) -> Float[np.ndarray, "*shape 3"]:
        """Colours as this camera shows them; normals in floor axes, of any length."""
        cloth = _log(colours)
        return np.exp(cloth @ self.matrix.T + self.offset + self._shade(normals)) - BLACK

    def unlit(
        self, colours: Float[np.ndarray, "*shape 3"], normals: Float[np.ndarray, "*shape 3"]
    ) -> Float[np.ndarray, "*shape 3"]:
        """Colours as the mean camera would have shown them in an even light: lit, backwards."""
        seen = _log(colours) - self.offset - self._shade(normals)
        return np.exp(seen @ np.linalg.inv(self.matrix).T) - BLACK

    def _shade(self, normals: np.ndarray) -> np.ndarray:
        return (_harmonics(normals) @ self.coefficients).clip(-_LIMIT, _LIMIT)


EVEN = Light(np.zeros((8, 3), np.float32), np.zeros(3, np.float32), np.eye(3, dtype=np.float32))


def lights_of(body: Kinship, seen: Mapping[int, Sequence[tuple[int, Seen]]]) -> dict[int, Light]:
    """By camid, from (pid, sighting) pairs as each camera took them."""
    lights = {camid: light_of(body, of) for camid, of in seen.items()}
    rows = [
        (camera, pid, *_mean_of_parts(body, sighting, lights[camid]))
        for camera, camid in enumerate(seen)
        for pid, sighting in seen[camid]
    ]
    if not rows:
        return lights
    parts = len(rows[0][-1])
    cameras = np.repeat([row[0] for row in rows], parts)
    cloths = np.concatenate([row[1] * parts + np.arange(parts) for row in rows])
    shown, weights = (np.concatenate([row[i] for row in rows]) for i in (2, 3))
    offsets, matrices = _tones(len(seen), cameras, cloths, shown, weights)
    return {
        camid: Light(lights[camid].coefficients, offset, matrix)
        for camid, offset, matrix in zip(seen, offsets, matrices, strict=True)
    }


def light_of(body: Kinship, seen: Sequence[tuple[int, Seen]]) -> Light:
    """Of one camera by itself, as lights_of; EVEN of none, near it of few."""
    facing, log_colours, weight, cloth = [], [], [], []
    parts = int(body.part.max()) + 1
    people = {pid: row for row, pid in enumerate(dict.fromkeys(pid for pid, _ in seen))}
    for pid, sighting in seen:
        sure = sighting.confidence > _SURE
        facing.append(_harmonics(sighting.normals[sure] @ sighting.axes.T))
        log_colours.append(_log(sighting.colours[sure]))
        weight.append(sighting.confidence[sure] / _ALIKE)
        cloth.append(body.part[sure] + parts * people[pid])
    if not seen:
        return EVEN
    x, y = np.concatenate(facing), np.concatenate(log_colours)
    prior, group = np.concatenate(weight), np.concatenate(cloth)

    def of_cloth(values: np.ndarray) -> np.ndarray:
        """(N, D): the mean over each row's cloth."""
        return _means(group, weights, values)[group]

    weights, coefficients = prior, np.zeros((x.shape[1], y.shape[1]))
    for _ in range(_ROUNDS if len(group) else 0):
        free_x, free_y = x - of_cloth(x), y - of_cloth(y)
        weighed = free_x.T * weights
        coefficients = np.linalg.solve(weighed @ free_x + np.eye(x.shape[1]), weighed @ free_y)
        residue = np.abs(free_y - free_x @ coefficients).mean(axis=1)
        weights = prior * np.minimum(1.0, _PATTERN / np.maximum(residue, 1e-6))
    return Light(coefficients.astype(np.float32), EVEN.offset, EVEN.matrix)


def _mean_of_parts(body: Kinship, sighting: Seen, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3), (P,): the mean logarithm of each part's colours without its light, and its weight."""
    sure = sighting.confidence > _SURE
    part, weight, count = body.part[sure], sighting.confidence[sure], int(body.part.max()) + 1
    unlit = light.unlit(sighting.colours[sure], sighting.normals[sure] @ sighting.axes.T)
    total = np.bincount(part, weight, count)
    return _means(part, weight, _log(unlit), count), total / _ALIKE


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
        weights = prior * np.minimum(1.0, _PATTERN / np.maximum(np.abs(residue).mean(axis=1), 1e-6))
    return offset.astype(np.float32), matrix.astype(np.float32)


def _means(
    group: np.ndarray, weights: np.ndarray, values: np.ndarray, count: int = 0
) -> np.ndarray:
    """(G, D): of values (N, D) by their group's number (N,), 0 of none; at least `count` groups."""
    total = np.maximum(np.bincount(group, weights, count), 1e-9)
    sums = [np.bincount(group, weights * column, count) for column in values.T]
    return np.stack(sums, axis=1) / total[:, None]


def _log(colours: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(colours, 0) + BLACK)


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


def _harmonics(normals: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 8"]:
    """Spherical harmonics of first and second order, unscaled; the constant is the cloth's."""
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(normals / np.maximum(length, 1e-9), -1, 0)
    terms = [x, y, z, x * y, y * z, x * z, x * x - z * z, 3 * y * y - 1]
    return np.stack(terms, axis=-1).astype(np.float32)
