"""Cutting and sewing: pieces of the wardrobe, cut along a line, become one mesh.

In: a piece's name, a number per vertex (kept where it is > 0), an offset, a material. Out: Outfit.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from posedive.datasets.embedded.wardrobe import Wardrobe


@dataclass(frozen=True, eq=False)
class Outfit:
    """rest, canonical (N, 3); weights (N, 25); faces (F, 3); face_material (F,), rows of
    materials (M, 30); joints (24, 3) at rest."""

    rest: np.ndarray
    canonical: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    face_material: np.ndarray
    materials: np.ndarray
    joints: np.ndarray


class Tailor:
    """Collects cut pieces, each with its own offset from the body and its own material."""

    def __init__(self, wardrobe: Wardrobe, shaped: np.ndarray):
        self.wardrobe, self.shaped = wardrobe, shaped
        self.vertices, self.canonical, self.weights = [], [], []
        self.faces, self.face_material, self.materials = [], [], []
        self.num_vertices = 0

    def add(self, piece: str, field, offset, material: np.ndarray) -> None:
        """The part of a piece where field (one value per vertex) > 0; its edge is cut straight."""
        faces = self.wardrobe.pieces[piece][1]
        self._add(piece, faces, offset, material, field)

    def add_faces(self, piece: str, faces: np.ndarray, offset, material: np.ndarray) -> None:
        self._add(piece, faces, offset, material, None)

    def _add(self, piece, faces, offset, material, field) -> None:
        rows = self.wardrobe.pieces[piece][0]
        if np.isscalar(offset):
            offset = offset * self.wardrobe.normals[rows] if offset else 0.0
        rest = (self.shaped[rows] + offset).astype(np.float32)
        num = len(rest)
        if field is not None:
            faces, ends, shares = clip(faces, np.asarray(field, np.float64))
        else:
            ends, shares = np.zeros((0, 2), np.int64), np.zeros(0)
        used = np.zeros(num + len(ends), bool)
        used[faces] = True
        numbers = np.cumsum(used) - 1 + self.num_vertices
        kept, cut = used[:num], used[num:]
        mix = shares[cut, None].astype(np.float32)
        for values, store in ((rest, self.vertices), (self.wardrobe.template[rows], self.canonical),
                              (self.wardrobe.weights[rows], self.weights)):  # fmt: skip
            a, b = values[ends[cut, 0]], values[ends[cut, 1]]
            store.append(values[kept])
            store.append(a + mix * (b - a))
        self.faces.append(numbers[faces].astype(np.int32))
        self.face_material.append(np.full(len(faces), len(self.materials), np.int32))
        self.materials.append(material)
        self.num_vertices += int(used.sum())

    def outfit(self, joints: np.ndarray) -> Outfit:
        return Outfit(
            rest=np.concatenate(self.vertices),
            canonical=np.concatenate(self.canonical),
            weights=np.concatenate(self.weights),
            faces=np.concatenate(self.faces),
            face_material=np.concatenate(self.face_material),
            materials=np.stack(self.materials),
            joints=joints,
        )


def clip(faces: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces of the part where field > 0. New vertices, numbered after the old ones, lie on old
    edges: ends (E, 2), and the share of the way from the first end to the second."""
    faces_out, edges = _clip(faces, field)
    new = faces_out < 0
    keys, numbers = np.unique(edges[-1 - faces_out[new]], return_inverse=True)
    faces_out[new] = numbers + len(field)
    ends = np.stack([keys // len(field), keys % len(field)], axis=1)
    a, b = field[ends[:, 0]], field[ends[:, 1]]
    return faces_out, ends, a / (a - b)


@njit(cache=True)
def _clip(faces, field):
    num = len(field)
    out = np.empty((2 * len(faces), 3), np.int64)
    edges = np.empty(2 * len(faces), np.int64)
    count, cuts = 0, 0
    for f in range(len(faces)):
        inside = 0
        for k in range(3):
            inside += field[faces[f, k]] > 0
        if inside == 0:
            continue
        if inside == 3:
            out[count] = faces[f]
            count += 1
            continue
        # Turn the face so that the odd vertex out comes first.
        first = 0
        for k in range(3):
            if (field[faces[f, k]] > 0) == (inside == 1):
                first = k
        a, b, c = faces[f, first], faces[f, (first + 1) % 3], faces[f, (first + 2) % 3]
        edges[cuts], edges[cuts + 1] = min(a, b) * num + max(a, b), min(a, c) * num + max(a, c)
        ab, ac = -1 - cuts, -2 - cuts
        cuts += 2
        if inside == 1:
            out[count, 0], out[count, 1], out[count, 2] = a, ab, ac
            count += 1
        else:
            out[count, 0], out[count, 1], out[count, 2] = ab, b, c
            out[count + 1, 0], out[count + 1, 1], out[count + 1, 2] = ab, c, ac
            count += 2
    return out[:count].copy(), edges[:cuts].copy()
