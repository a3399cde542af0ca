"""A camera's scene, carried to another view: what would stand behind a person seen from there.

In: an image of the camera with somebody in it, where they stand (Stand, of their fit), and where
somebody else is to stand, before any camera. Out: (H, W, 3) uint8 with nobody in it.

A scene is taken for a floor at the height of the lowest vertex and, some metres behind the person,
a wall: each pixel of the new view meets one of them, and the image shows that point where its own
camera sees it. (An image's pixels left in place, whatever the elevation, kept walls where a camera
from above sees floor: a Re-ID model trained before those was worse than without, 19 mAP against
27 for carried ones and 26 for the true scene.) What its person hides is what lies beside them.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from posedive.records import Camera
from posedive.render.background import folded, mirrored_along_rows, near_person
from posedive.render.camera import floor_axes
from posedive.render.sun import BLACK, Sun

# Metres behind the person. Real walls are 2 to 12 m away, but to take floor for wall is worse than
# the reverse, as cameras that look down see floor.
_WALL_M = 3.0
_FARTHEST_M = 1e3
_NEAREST_M = 0.3  # before a camera; what is nearer is taken from the picture's edge
_DARK_M = 0.3  # about the foot point the floor is dark
_SHADOW_M = 3.0  # so far from it a shadow is looked for
_DEEPEST = 0.72  # gain of a shadow that is taken off: of all, 0.1 dB farther from the truth
# Below its lower edge an image goes on with so much of it, mirrored again and again: floor alone.
_FLOOR = 0.12


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
    def empty(self) -> np.ndarray:
        """(H, W, 3) uint8: without the person, what sticks out of the body, and the floor in its
        shadow."""
        height, width = self.person.shape
        points = _points(self.stand, (width, height))
        shadow = (points[..., 1] < 1e-3) & (np.hypot(points[..., 0], points[..., 2]) < _DARK_M)
        return mirrored_along_rows(self.rgb, near_person(self.person)[1] | shadow)


def stand_of(vertices_cam: Float[np.ndarray, "vertices 3"], camera: Camera) -> Stand:
    axes = floor_axes(camera)
    up = axes[1]
    middle = vertices_cam.mean(axis=0, dtype=np.float64)
    foot = middle + (float((vertices_cam @ up).min()) - middle @ up) * up
    return Stand(foot, axes, camera.focal)


def carry_scene(
    backdrop: Backdrop, target: Stand, size: tuple[int, int]
) -> UInt8[np.ndarray, "height width 3"]:
    """Beside its edges an image goes on with its mirror image: crops are narrow."""
    height, width = backdrop.person.shape
    points = _points(target, (2 * size[0], 2 * size[1]))  # what is far is seen smaller
    x, y, z = np.moveaxis(points @ backdrop.stand.axes + backdrop.stand.foot, -1, 0)
    scale = height * backdrop.stand.focal / np.maximum(z, _NEAREST_M)
    column = folded(0.5 * width + scale * x, width)
    row = 0.5 * height + scale * y
    row = np.where(row > height, height - folded(row - height, _FLOOR * height), np.abs(row))
    at = (column - 0.5).astype(np.float32), (folded(row, height) - 0.5).astype(np.float32)
    scene = cv2.remap(
        backdrop.empty.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    scene = cv2.resize(scene, size, interpolation=cv2.INTER_AREA)
    return np.round(scene).clip(0, 255).astype(np.uint8)


def shadow_on_floor(
    stand: Stand,
    sun: Sun,
    vertices_cam: Float[np.ndarray, "vertices 3"],
    faces: np.ndarray,
    size: tuple[int, int],
) -> Float[np.ndarray, "height width 1"]:
    """The gain of each pixel of a scene by the shadow of the body that stands there; 1 off the
    floor."""
    points = _points(stand, size)
    floor = (points[..., 1] < 1e-3) & (np.hypot(points[..., 0], points[..., 2]) < _SHADOW_M)
    gain = np.ones((*floor.shape, 1), np.float32)
    if floor.any():
        at = (vertices_cam - stand.foot) @ stand.axes.T
        gain[floor, 0] = sun.left_on_floor(points[floor], at, faces)
    return gain


def darkened(
    scene: UInt8[np.ndarray, "height width 3"], gain: Float[np.ndarray, "height width 1"]
) -> UInt8[np.ndarray, "height width 3"]:
    """A scene with a shadow."""
    return np.round((scene + BLACK) * gain - BLACK).clip(0, 255).astype(np.uint8)


def brightened(
    scene: UInt8[np.ndarray, "height width 3"], gain: Float[np.ndarray, "height width 1"]
) -> UInt8[np.ndarray, "height width 3"]:
    """A scene without the shadow that it has, but the deepest, which need not be as deep."""
    return darkened(scene, 1 / np.maximum(gain, _DEEPEST))


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
