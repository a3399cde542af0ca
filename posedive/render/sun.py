"""How a camera's light falls on people: a sun, whose shadows limbs throw on each other, and a sky.

In: what some images of a camera show of people's bodies, whoever they are. Out: a Sun, which says
how much light reaches each point of another body there. Floor axes are camera.floor_axes', so that
the sun stays where it is when the camera is raised.

light = sky(normal, height) + strength * max(0, normal . direction) * reached
The sky's light is 1 on what faces it, falls a little all around, and less of it comes to the floor
(hemisphere lighting, as in graphics). A camera shows the logarithm of light times _RESPONSE.
The sun is where it explains best what differs within one person's cloth of one part (kinship.part):
of directions over the whole sky without shadows, then of ever nearer ones with them. Heads don't
tell: hair is dark, and above. What that is worth: composites stand 0.5 dB nearer to the truth than
by harmonics of the normal up to second order (20.5 and 21.0 dB, jobs/evaluate_generator.yaml).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float
from numba import njit
from scipy.spatial import KDTree

from posedive.render.kinship import Kinship
from posedive.render.rasterizer import rasterize

BLACK = 8.0  # grey levels: nearer to black, a ratio of colours says little
SURE = 0.15  # a vertex seen with less confidence may be something else
# Vertices are many and alike: so many count as one; and a pattern's edge is no light, so a residue
# of more than this counts less (Huber).
ALIKE, PATTERN = 200.0, 0.15

_RESPONSE = 0.4  # of a display's 1 / 2.2, less the shoulder of a camera's curve and BLACK
_ABOVE = 0.3  # of the sky's light, what comes from straight above alone
_NEAR_FLOOR, _FLOOR_M = 0.35, 0.55  # the share that the floor takes, and to what height
# Fits and normals are not exact, which makes a sun look weaker than it is.
_WEAKENED = 1.6
_AWAY_M, _TEXELS, _BIAS_M = 40.0, 96, 0.04  # of the shadow map
_OFF_SKIN_M = 0.01
_CONTACT, _CONTACT_M = 0.4, 0.2  # the share of the sky that a body hides where it stands; how near
# The search: so many degrees apart, then by such steps around the best; every so many vertices.
_ALTITUDES, _AZIMUTHS, _STEPS = (15, 35, 55, 75), range(0, 360, 30), (14, 7)
_STRENGTHS, _FACTORS = (0.2, 0.5, 1.0, 1.7, 2.5), (0.5, 0.7, 0.85, 1.0, 1.2, 1.45, 2.0)
_EVERY = 4
_COST = 0.05  # of a strength of 1, as firmly as so many counts are off by 1


class Seen(Protocol):
    """What an image shows of a body: Sighting, here in part. positions, normals (V or more, 3) in
    camera space; colours, confidence (V or more,); axes (3, 3): camera.floor_axes."""

    @property
    def positions(self) -> np.ndarray: ...

    @property
    def normals(self) -> np.ndarray: ...

    @property
    def colours(self) -> np.ndarray: ...

    @property
    def confidence(self) -> np.ndarray: ...

    @property
    def axes(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Sun:
    """direction (3,) towards it, of length 1, in floor axes; strength beside the sky's 1."""

    direction: Float[np.ndarray, "3"]
    strength: float

    def shade(
        self,
        positions: Float[np.ndarray, "points 3"],
        normals: Float[np.ndarray, "points 3"],
        axes: Float[np.ndarray, "3 3"],
        faces: np.ndarray,
    ) -> Float[np.ndarray, " points"]:
        """The logarithm of a gain for each point of a body, all in camera space; faces (F, 3): of
        what throws shadows, by the points' numbers."""
        at, facing = on_floor(positions, normals, axes)
        lit = reached(at, facing, faces, self.direction) if self.strength else 1.0
        return _shade(facing @ self.direction * lit, facing[:, 1], at[:, 1], self.strength)

    def left_on_floor(
        self,
        floor: Float[np.ndarray, "points 3"],
        at: Float[np.ndarray, "vertices 3"],
        faces: np.ndarray,
    ) -> Float[np.ndarray, " points"]:
        """The gain of points of the floor, 1 or less, by a body's shadow and by the sky that it
        hides where it stands. at: its vertices; all in floor axes, metres."""
        sky, sun = 1.0 - _NEAR_FLOOR, self.strength * max(float(self.direction[1]), 0.0)
        # Infinite beyond what hides anything (1e-5): most of the floor is.
        low = at[::2][at[::2, 1] < 3 * _CONTACT_M]
        apart = KDTree(low).query(floor, distance_upper_bound=3.4 * _CONTACT_M)[0]
        hidden = _CONTACT * np.exp(-((apart / _CONTACT_M) ** 2))
        lit = through(floor, at, faces, self.direction) if sun else 1.0
        left = (sky * (1.0 - hidden) + sun * lit) / (sky + sun)
        return (left**_RESPONSE).astype(np.float32)


def sun_of(body: Kinship, seen: Sequence[tuple[int, Seen]]) -> Sun:
    """Of one camera, by (pid, what an image shows); no sun where none shows a body."""
    told = [_telling(body, sighting, pid) for pid, sighting in seen]
    if not told or not sum(len(of.rows) for of in told):
        return Sun(np.array([0.0, 1.0, 0.0]), 0.0)
    shown, prior, cloth, up, height = (
        np.concatenate([getattr(of, name) for of in told])
        for name in ("shown", "weight", "cloth", "up", "height")
    )
    facing = np.concatenate([of.facing[of.rows] for of in told])
    _, cloth = np.unique(cloth, return_inverse=True)
    total = np.bincount(cloth, prior)

    def cost(towards: np.ndarray, strength: float) -> float:
        free = shown - _shade(towards, up, height, strength)
        off = np.abs(free - (np.bincount(cloth, prior * free) / total)[cloth])
        far = PATTERN * (2 * off - PATTERN)
        return float(prior @ np.where(off < PATTERN, off * off, far)) + _COST * strength

    skies = [_direction(*degrees) for degrees in product(_ALTITUDES, _AZIMUTHS)]
    trials = [(cost(facing @ d, s), s, d) for d in skies for s in _STRENGTHS]
    least, strength, direction = min(trials, key=lambda trial: trial[0])
    for step in _STEPS:
        trials = []
        for near in _around(direction, step):
            lit = [reached(of.at, of.facing, body.faces, near)[of.rows] for of in told]
            towards = facing @ near * np.concatenate(lit)
            trials += [(cost(towards, f * strength), f * strength, near) for f in _FACTORS]
        least, strength, direction = min(trials, key=lambda trial: trial[0])
    without = cost(facing @ direction, 0.0) <= least
    return Sun(direction, 0.0 if without else _WEAKENED * strength)


def on_floor(
    positions: np.ndarray, normals: np.ndarray, axes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3), (P, 3) float32: where points are, metres right, above the lowest one, away; and
    their normals of length 1."""
    at, facing = positions @ axes.T, normals @ axes.T
    at[:, 1] -= at[:, 1].min()
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
    return at.astype(np.float32), facing.astype(np.float32)


def reached(
    at: Float[np.ndarray, "points 3"],
    facing: Float[np.ndarray, "points 3"],
    faces: np.ndarray,
    direction: Float[np.ndarray, "3"],
) -> Float[np.ndarray, " points"]:
    """The share of a sun in that direction that a body's faces let through to its own points."""
    return through(at + _OFF_SKIN_M * facing, at, faces, direction)


def through(
    points: Float[np.ndarray, "points 3"],
    at: Float[np.ndarray, "vertices 3"],
    faces: np.ndarray,
    direction: Float[np.ndarray, "3"],
) -> Float[np.ndarray, " points"]:
    """The share of a sun in that direction that a body lets through to points, by a shadow map
    (Williams 1978)."""
    beside = _beside(direction)
    view = np.stack([beside, np.cross(beside, direction), -direction], axis=1)
    back = [0.0, 0.0, _AWAY_M] - at.mean(axis=0) @ view
    seen = at @ view + back
    focal = 0.47 * _AWAY_M / max(float(np.abs(seen[:, :2]).max()), 1e-3)
    depth = rasterize(seen, faces, focal, (_TEXELS, _TEXELS)).depth
    return _let_through((points @ view + back).astype(np.float32), depth, np.float32(focal))


class _Telling(NamedTuple):
    """An image's body on the floor, at and facing (V, 3), and what its rows show: the logarithm of
    grey, weight, number of the cloth, up (of the normal), height."""

    at: np.ndarray
    facing: np.ndarray
    rows: np.ndarray
    shown: np.ndarray
    weight: np.ndarray
    cloth: np.ndarray
    up: np.ndarray
    height: np.ndarray


def _telling(body: Kinship, sighting: Seen, pid: int) -> _Telling:
    num = len(body.part)
    at, facing = on_floor(sighting.positions[:num], sighting.normals[:num], sighting.axes)
    rows = np.flatnonzero((sighting.confidence[:num] > SURE) & ~body.head)[::_EVERY]
    return _Telling(
        at=at,
        facing=facing,
        rows=rows,
        shown=logarithm(sighting.colours[rows]).mean(axis=1),
        weight=sighting.confidence[rows] * (_EVERY / ALIKE),
        cloth=body.part[rows] + (body.part.max() + 1) * pid,
        up=facing[rows, 1],
        height=at[rows, 1],
    )


def logarithm(colours: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(colours, 0) + BLACK)


def _shade(
    towards: np.ndarray, up: np.ndarray, height: np.ndarray, strength: float
) -> Float[np.ndarray, " points"]:
    """towards (P,): the cosine between a normal and the sun, less where a shadow falls."""
    open_sky = 1.0 - _NEAR_FLOOR * np.exp(-height / _FLOOR_M)
    sky = (1.0 - _ABOVE * (0.5 - 0.5 * up)) * open_sky
    return (_RESPONSE * np.log(sky + strength * np.maximum(towards, 0))).astype(np.float32)


def _direction(altitude_deg: float, azimuth_deg: float) -> np.ndarray:
    up, around = np.deg2rad(altitude_deg), np.deg2rad(azimuth_deg)
    return np.array([np.cos(up) * np.sin(around), np.sin(up), np.cos(up) * np.cos(around)])


def _beside(direction: np.ndarray) -> np.ndarray:
    """(3,) of length 1, at right angles to a direction, level unless that is straight up."""
    beside = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.99 else [0.0, 0.0, 1.0], direction)
    return beside / np.linalg.norm(beside)


def _around(direction: np.ndarray, step_deg: float) -> list[np.ndarray]:
    """Nine directions above the floor: itself, and its neighbours."""
    level = _beside(direction)
    reach = np.tan(np.deg2rad(step_deg))
    near = []
    for i, j in product((-1, 0, 1), repeat=2):
        moved = direction + reach * (i * level + j * np.cross(direction, level))
        moved[1] = max(moved[1], 0.05)
        near.append(moved / np.linalg.norm(moved))
    return near


@njit(cache=True, fastmath=True)
def _let_through(seen, depth, focal):
    """seen (P, 3): points before the sun's camera; depth (S, S): what it sees, 0 of nothing."""
    texels = depth.shape[0]
    share = np.zeros(len(seen), np.float32)
    for p in range(len(seen)):
        scale = texels * focal / seen[p, 2]
        u, v = 0.5 * texels + scale * seen[p, 0] - 0.5, 0.5 * texels + scale * seen[p, 1] - 0.5
        left, top = int(np.floor(u)), int(np.floor(v))
        for i in range(2):
            for j in range(2):
                weight = abs(1 - i - (u - left)) * abs(1 - j - (v - top))
                x, y = left + i, top + j
                inside = 0 <= x < texels and 0 <= y < texels
                if not inside or depth[y, x] == 0.0 or depth[y, x] > seen[p, 2] - _BIAS_M:
                    share[p] += weight
    return share
