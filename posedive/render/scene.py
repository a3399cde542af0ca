"""A camera's scene, carried to another view: what would stand behind a person seen from there.

In: images of one camera with people in them, where each stands (Stand, of its fit), and where
somebody else is to stand, before any camera. Out: (H, W, 3) uint8 with nobody in it.

A scene is taken for a floor at the height of the lowest vertex and, some metres behind the person,
a wall: each pixel of the new view meets one of them, and an image shows that point where its own
camera sees it. (One image's pixels left in place, whatever the elevation, kept walls where a camera
from above sees floor: a Re-ID model trained before those was worse than without, 19 mAP against
27 for carried ones and 26 for the true scene.) The first image gives the scene; what lies behind
its person comes from the others, moved aside; what none shows is painted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from posedive.records import Camera
from posedive.render.background import near_person, without_person
from posedive.render.camera import floor_axes

# Metres behind the person. Real walls are 2 to 12 m away, but to take floor for wall is worse than
# the reverse, as cameras that look down see floor.
_WALL_M = 3.0
_FARTHEST_M = 1e3
_NEAREST_M = 0.3  # before a camera; what is nearer is taken from the picture's edge
# A crop's person hides its middle: another is moved by so much that its edges come there.
_ASIDE_M = (0.25, 0.6)
_SHADOW_M = 0.3  # about the foot point the floor is dark
_FEATHER = 0.03  # of the height: how softly patches meet
_PATCH = 0.02  # of the picture: a smaller patch isn't worth its seams


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a person stands, in camera space, metres: foot (3,), on the floor below the body's
    middle; axes (3, 3): rows right, up, away from the camera along the floor. focal in image
    heights."""

    foot: np.ndarray
    axes: np.ndarray
    focal: float


@dataclass(frozen=True, eq=False)
class Backdrop:
    """One image of a camera: rgb (H, W, 3) uint8, person (H, W) bool, where its person stands."""

    rgb: np.ndarray
    person: np.ndarray
    stand: Stand

    @cached_property
    def hidden(self) -> np.ndarray:
        """(H, W) bool: the person, what sticks out of the body, and the floor in its shadow."""
        height, width = self.person.shape
        points = _points(self.stand, (width, height))
        shadow = (points[..., 1] < 1e-3) & (np.hypot(points[..., 0], points[..., 2]) < _SHADOW_M)
        return near_person(self.person)[1] | shadow


def stand_of(vertices_cam: Float[np.ndarray, "vertices 3"], camera: Camera) -> Stand:
    axes = floor_axes(camera)
    up = axes[1]
    middle = vertices_cam.mean(axis=0, dtype=np.float64)
    foot = middle + (float((vertices_cam @ up).min()) - middle @ up) * up
    return Stand(foot, axes, camera.focal)


def carry_scene(
    backdrops: Sequence[Backdrop], target: Stand, size: tuple[int, int], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """All backdrops are of one camera; the first is not moved aside, and of the others those that
    show most of what is still hidden come first: few patches have few seams."""
    height = size[1]
    points = _points(target, size)
    scene, unknown = _seen(backdrops[0], points)
    others = [
        _seen(other, points + (rng.uniform(*_ASIDE_M) * rng.choice([-1.0, 1.0]), 0.0, 0.0))
        for other in backdrops[1:]
    ]
    while others:
        image, hidden = others.pop(int(np.argmax([(unknown & ~h).sum() for _, h in others])))
        patch = unknown & ~hidden
        if patch.sum() < _PATCH * patch.size:
            break
        soft = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), _FEATHER * height) * ~hidden
        scene += np.maximum(soft, patch)[..., None] * (image - scene)
        unknown &= ~patch
    return without_person(np.round(scene).clip(0, 255).astype(np.uint8), unknown)


def _points(stand: Stand, size: tuple[int, int]) -> Float[np.ndarray, "height width 3"]:
    """What each pixel sees of floor and wall, metres right of, above and behind the foot."""
    width, height = size
    u = (np.arange(width) + 0.5 - 0.5 * width) / (height * stand.focal)
    v = (np.arange(height) + 0.5 - 0.5 * height) / (height * stand.focal)
    rays = np.stack([*np.meshgrid(u, v), np.ones((height, width))], axis=-1)
    _, rise, away = np.moveaxis(rays @ stand.axes.T, -1, 0)
    _, floor, before = stand.axes @ stand.foot
    distance = np.full((height, width), _FARTHEST_M)
    np.divide(floor, rise, out=distance, where=(rise < 0) & (floor < 0))
    to_wall = np.full((height, width), _FARTHEST_M)
    np.divide(before + _WALL_M, away, out=to_wall, where=away > 1e-6)
    distance = np.minimum(np.minimum(distance, to_wall), _FARTHEST_M)
    return (rays * distance[..., None] - stand.foot) @ stand.axes.T


def _seen(
    backdrop: Backdrop, points: Float[np.ndarray, "height width 3"]
) -> tuple[Float[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """The points' colours, and which are hidden. Beside its edges a picture goes on with its other
    side, below and above them with its mirror image: crops are narrow."""
    height, width = backdrop.person.shape
    x, y, z = np.moveaxis(points @ backdrop.stand.axes + backdrop.stand.foot, -1, 0)
    scale = height * backdrop.stand.focal / np.maximum(z, _NEAREST_M)
    column = np.mod(0.5 * width + scale * x, width)
    row = np.mod(0.5 * height + scale * y, 2 * height)
    row = np.where(row > height, 2 * height - row, row)
    at = (column - 0.5).astype(np.float32), (row - 0.5).astype(np.float32)
    edge = cv2.BORDER_REPLICATE
    colours = cv2.remap(backdrop.rgb.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=edge)
    hidden = cv2.remap(backdrop.hidden.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=edge)
    return colours, hidden > 0.01
