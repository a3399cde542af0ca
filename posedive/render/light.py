"""The light of a camera: how much brighter a surface is for the way that it faces.

In: what some images of the camera show of people's bodies (Sightings), whoever they are. Out:
Light, a gain for each direction, by which pixels are freed of the light they were taken in before
another pose wears them, and lit again as that pose would be.

log(colour + 8) = what the cloth is + coefficients @ harmonics(normal), where normals are in floor
axes (camera.floor_axes): sun and sky stay where they are when the camera is raised. What the cloth
is, is a constant for each part of each person, and is eliminated; the harmonics are those up to
second order, which hold what distant light does to a matt surface (Ramamoorthi and Hanrahan 2001).
Shadows that one limb throws on another stay in the cloth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Bool, Float

from posedive.render.kinship import Kinship

BLACK = 8.0  # grey levels: nearer to black, a ratio of colours says little
_LIMIT = 0.9  # of the gain's logarithm, where no image showed a surface that faces so
_SURE = 0.15  # a vertex seen with less confidence may be something else
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
    """coefficients (8, 3), of _harmonics, for red, green and blue."""

    coefficients: Float[np.ndarray, "8 3"]

    def lit(
        self, colours: Float[np.ndarray, "*shape 3"], normals: Float[np.ndarray, "*shape 3"]
    ) -> Float[np.ndarray, "*shape 3"]:
        """Colours as this light shows them; normals in floor axes, of any length."""
        return (colours + BLACK) * self._gain(normals) - BLACK

    def unlit(
        self, colours: Float[np.ndarray, "*shape 3"], normals: Float[np.ndarray, "*shape 3"]
    ) -> Float[np.ndarray, "*shape 3"]:
        """Colours as an even light would have shown them: lit, backwards."""
        return (colours + BLACK) / self._gain(normals) - BLACK

    def _gain(self, normals: np.ndarray) -> np.ndarray:
        return np.exp((_harmonics(normals) @ self.coefficients).clip(-_LIMIT, _LIMIT))


EVEN = Light(np.zeros((8, 3), np.float32))


def light_of(body: Kinship, seen: Sequence[tuple[int, Seen]]) -> Light:
    """Of one camera, from (pid, sighting) pairs as it took them; EVEN of none, near it of few."""
    facing, log_colours, weight, cloth = [], [], [], []
    parts = int(body.part.max()) + 1
    people = {pid: row for row, pid in enumerate(dict.fromkeys(pid for pid, _ in seen))}
    for pid, sighting in seen:
        sure = sighting.confidence > _SURE
        facing.append(_harmonics(sighting.normals[sure] @ sighting.axes.T))
        log_colours.append(np.log(np.maximum(sighting.colours[sure], 0) + BLACK))
        weight.append(sighting.confidence[sure] / _ALIKE)
        cloth.append(body.part[sure] + parts * people[pid])
    if not seen:
        return EVEN
    x, y = np.concatenate(facing), np.concatenate(log_colours)
    prior, group = np.concatenate(weight), np.concatenate(cloth)

    def of_cloth(values: np.ndarray) -> np.ndarray:
        """(N, D): the mean over each row's cloth."""
        total = np.maximum(np.bincount(group, weights), 1e-9)
        means = [np.bincount(group, weights * column) / total for column in values.T]
        return np.stack(means, axis=1)[group]

    weights, coefficients = prior, np.zeros((x.shape[1], y.shape[1]))
    for _ in range(_ROUNDS if len(group) else 0):
        free_x, free_y = x - of_cloth(x), y - of_cloth(y)
        weighed = free_x.T * weights
        coefficients = np.linalg.solve(weighed @ free_x + np.eye(x.shape[1]), weighed @ free_y)
        residue = np.abs(free_y - free_x @ coefficients).mean(axis=1)
        weights = prior * np.minimum(1.0, _PATTERN / np.maximum(residue, 1e-6))
    return Light(coefficients.astype(np.float32))


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
