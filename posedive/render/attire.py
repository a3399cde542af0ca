"""What a person wears beyond the body, ready to be drawn: a skirt's faces, and lumps.

In: a body's Kinship, a hem, which lumps. Out: Attire, cached: faces and vertices in one numbering,
the body's first, so that lumps are rasterised, seen and looked up as the body is.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from posedive.render.belongings import Lump
from posedive.render.kinship import Kinship
from posedive.render.rasterizer import vertex_normals

_NEAR_M = 0.03  # colours of a lump's points are alike within some such distance


@dataclass(frozen=True, eq=False)
class Attire:
    """faces (F, 3) of V body vertices and P points of lumps; twins, licence (3, V + P): Kinship's,
    a lump's point being its own twin; part (F,): of a lump's faces, 0 of others."""

    faces: np.ndarray
    twins: np.ndarray
    licence: np.ndarray
    part: np.ndarray
    lumps: tuple[Lump, ...]

    def put_on(
        self,
        vertices: Float[np.ndarray, "vertices 3"],
        dressed: Float[np.ndarray, "vertices 3"],
        normals: Float[np.ndarray, "vertices 3"],
        up: Float[np.ndarray, "3"],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions and normals (V + P, 3), from the bare and the dressed body's."""
        points = [lump.placed(vertices, up) for lump in self.lumps]
        outward = [
            vertex_normals(at, lump.faces) for at, lump in zip(points, self.lumps, strict=True)
        ]
        return (
            np.concatenate([dressed, *points]).astype(np.float32),
            np.concatenate([normals, *outward]).astype(np.float32),
        )

    def filled(
        self,
        colours: Float[np.ndarray, "points 3"],
        confidence: Float[np.ndarray, " points"],
    ) -> Float[np.ndarray, "points 3"]:
        """A colour for each of the lumps' points, from those that were seen of the same lump."""
        fill, first = np.zeros_like(colours), 0
        for lump in self.lumps:
            rows = slice(first, first + len(lump.points))
            first = rows.stop
            apart = ((lump.points[:, None] - lump.points) ** 2).sum(axis=-1)
            share = (confidence[rows] + 1e-9) / (apart + _NEAR_M**2) ** 2
            fill[rows] = share @ colours[rows] / share.sum(axis=1, keepdims=True)
        return fill


@lru_cache(maxsize=64)
def attire(body: Kinship, hem: int = 0, worn: tuple[int, ...] = ()) -> Attire:
    """hem: a rung of the body's bridge, 0: no skirt. worn: numbers of the body's lumps."""
    lumps = tuple(body.lumps[k] for k in worn)
    faces, first = [body.faces, body.bridge.faces(hem)], body.twins.shape[1]
    part = [np.zeros(len(f), np.int32) for f in faces]
    for lump in lumps:
        faces.append(lump.faces + first)
        part.append(np.full(len(lump.faces), lump.part, np.int32))
        first += len(lump.points)
    own = np.arange(body.twins.shape[1], first)
    alone = np.array([[1.0], [0.0], [0.0]]) * np.ones(len(own))
    return Attire(
        faces=np.concatenate(faces),
        twins=np.concatenate([body.twins, np.tile(own, (3, 1))], axis=1),
        licence=np.concatenate([body.licence, alone], axis=1).astype(np.float32),
        part=np.concatenate(part),
        lumps=lumps,
    )
