"""What stands off a body beyond its clothes: bags, hair that falls, a cap's brim.

In: what images of a person show, part by part. Out: Lumps, rounded boxes of the usual places and
sizes, each bound to a joint, so that it follows any pose. Only those that a person's images
together bear out are worn.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from posedive.body.skeleton import SMPL_JOINTS
from posedive.records import PARTS
from posedive.render.rasterizer import rasterize

_ROWS, _AROUND = 11, 16
_SURE_PIXELS = 4.0  # more of a lump's part than it has to show
_HANGING_M = 0.6  # a hand lower than this lays its bag down


@dataclass(frozen=True, eq=False)
class Lump:
    """points (P, 3), faces (F, 3): at rest, beside the body. anchor: the vertices that move it;
    hips: for what hangs from a hand, those that tell where the person is going. share: of its
    pixels that have to show its part; where it has a mirror image, the name of a lump, by so much
    more than that one. unless: names of lumps with which it isn't worn."""

    name: str
    part: int
    share: float
    mirror: str | None
    unless: tuple[str, ...]
    points: np.ndarray
    faces: np.ndarray
    anchor: "Anchor"
    hips: "Anchor | None"

    def placed(
        self, vertices: Float[np.ndarray, "vertices 3"], up: Float[np.ndarray, "3"]
    ) -> Float[np.ndarray, "points 3"]:
        """Beside the body's vertices, posed; up: of the same space."""
        scale, rotation, at = self.anchor.moved(vertices)
        if self.hips is not None and at @ up - (vertices @ up).min() > _HANGING_M:
            ahead = self.hips.moved(vertices)[1][:, 2]
            ahead = ahead - (ahead @ up) * up
            if np.linalg.norm(ahead) > 0.2:
                ahead = ahead / np.linalg.norm(ahead)
                along = -np.sign(self.points[0, 0]) * up  # at rest it points along the arm
                rotation = np.stack([along, np.cross(ahead, along), ahead], axis=1)
        offsets = self.points - self.anchor.rest.mean(axis=0)
        return (scale * offsets @ rotation.T + at).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Anchor:
    """Vertices of the body, by number (A,), and where they are at rest (A, 3)."""

    vertices: np.ndarray
    rest: np.ndarray

    def moved(
        self, vertices: Float[np.ndarray, "vertices 3"]
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Scale, rotation (3, 3) and where their centre is, of the posed body's (Umeyama 1991)."""
        posed = vertices[self.vertices]
        centre = posed.mean(axis=0)
        a, b = self.rest - self.rest.mean(axis=0), posed - centre
        left, spread, right = np.linalg.svd(b.T @ a)
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
        return float((spread * sign).sum() / (a**2).sum()), left * sign @ right, centre


def catalogue(
    vertices: Float[np.ndarray, "vertices 3"], weights: Float[np.ndarray, "vertices joints"]
) -> tuple[Lump, ...]:
    """All that may be worn. vertices: at rest, y up, facing +z; weights: of skinning."""
    of = {name: np.flatnonzero(weights[:, j] > 0.5) for j, name in enumerate(SMPL_JOINTS)}
    head, hips, hand = vertices[of["head"]], vertices[of["pelvis"]], vertices[of["left_hand"]]
    crown, chin = head[:, 1].max(), head[:, 1].min()
    nape, nose = head[:, 2].min(), head[:, 2].max()
    shoulder, pack = vertices[of["left_shoulder"], 1].mean(), vertices[of["spine3"], 2].min() - 0.05
    hip, belt = np.abs(hips[:, 0]).max(), hips[:, 1].mean()
    tip, palm = np.abs(hand[:, 0]).max(), hand[:, 1:].mean(axis=0)
    # name, part, share, joint, centre, half its size, exponent. A print on a back may pass for a
    # pack to half; beside a body a hem may pass for a bag, but on both sides alike.
    shapes = [
        ("backpack", "bag", 0.48, "spine3", (0, shoulder - 0.21, pack), (0.15, 0.21, 0.08), 3.0),
        ("ponytail", "hair", 0.5, "head", (0, chin + 0.02, nape - 0.03), (0.035, 0.12, 0.03), 2.0),
        ("bob", "hair", 0.5, "head", (0, chin + 0.08, 0.0), (0.115, 0.09, 0.07), 2.5),
        ("long hair", "hair", 0.5, "neck", (0, chin - 0.06, nape + 0.01), (0.12, 0.15, 0.06), 2.5),
        ("brim", "hat", 0.33, "head", (0, crown - 0.07, nose + 0.02), (0.08, 0.012, 0.08), 2.5),
    ]
    for side, sign in (("left", 1), ("right", -1)):
        place, half = (sign * (hip + 0.05), belt, 0.0), (0.05, 0.12, 0.14)
        shapes.append((f"{side} bag", "bag", 0.12, "pelvis", place, half, 4.0))
        place, half = (sign * (tip + 0.17), *palm), (0.14, 0.05, 0.15)
        shapes.append((f"{side} hand bag", "bag", 0.12, f"{side}_hand", place, half, 4.0))
    lumps = []
    for name, part, share, joint, centre, half, exponent in shapes:
        points, faces = rounded_box(np.array(half), exponent)
        anchor, hips = (Anchor(of[j], vertices[of[j]]) for j in (joint, "pelvis"))
        lumps.append(
            Lump(
                name=name,
                part=PARTS.index(part),
                share=share,
                mirror=_mirrored(name),
                unless=("bob", "long hair") if name == "ponytail" else (),
                points=points + centre,
                faces=faces,
                anchor=anchor,
                hips=hips if "hand" in joint else None,
            )
        )
    return tuple(lumps)


def _mirrored(name: str) -> str | None:
    side, _, rest = name.partition(" ")
    return {"left": f"right {rest}", "right": f"left {rest}"}.get(side)


def rounded_box(half: Float[np.ndarray, "3"], exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3), (F, 3): sum |x / half|^exponent = 1; 2 is an ellipsoid, more is boxier."""
    around = np.arange(_AROUND) / _AROUND * 2 * np.pi
    down = np.linspace(0.02, np.pi - 0.02, _ROWS)[:, None]
    round_ = [np.sin(down) * np.sin(around), np.cos(down), np.sin(down) * np.cos(around)]
    points = np.stack(np.broadcast_arrays(*round_), axis=-1).reshape(-1, 3)
    points /= (np.abs(points) ** exponent).sum(axis=1, keepdims=True) ** (1 / exponent)
    index = np.arange(_ROWS * _AROUND).reshape(_ROWS, _AROUND)
    a, b = index[:-1], np.roll(index[:-1], -1, axis=1)
    c, d = index[1:], np.roll(index[1:], -1, axis=1)
    faces = [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, c, b), (b, c, d))]
    return points * half, np.concatenate(faces).astype(np.int32)


def borne_out(
    lumps: tuple[Lump, ...],
    parts: Float[np.ndarray, "height width parts"],
    vertices: Float[np.ndarray, "vertices 3"],
    depth: Float[np.ndarray, "h w"],
    up: Float[np.ndarray, "3"],
    focal: float,
) -> Float[np.ndarray, "lumps 2"]:
    """How many pixels show each lump's part, of those where it would show before the body, whose
    z-buffer is depth; and how many these are."""
    height, width = depth.shape
    pixel = (parts.shape[0] / height) ** 2
    shares = cv2.resize(parts, (width, height), interpolation=cv2.INTER_LINEAR)
    told = np.zeros((len(lumps), 2))
    for k, lump in enumerate(lumps):
        raster = rasterize(lump.placed(vertices, up), lump.faces, focal, (width, height))
        shows = raster.mask & ((depth <= 0) | (raster.depth < depth))
        told[k] = shares[shows, lump.part].sum() * pixel, shows.sum() * pixel
    return told


def worn(lumps: tuple[Lump, ...], told: Float[np.ndarray, "images lumps 2"]) -> tuple[int, ...]:
    """Numbers of the lumps that all images together bear out."""
    alike, seen = told.sum(axis=0).T
    shares = dict(zip((lump.name for lump in lumps), alike / np.maximum(seen, 1.0), strict=True))
    needed = np.array([lump.share + shares.get(lump.mirror or "", 0.0) for lump in lumps])
    sure = alike > needed * seen + _SURE_PIXELS
    found = [lump.name for lump, worn in zip(lumps, sure, strict=True) if worn]
    return tuple(
        k
        for k, lump in enumerate(lumps)
        if lump.name in found and not any(other in found for other in lump.unless)
    )
