"""How SMPL estimators say where their camera is -> records.Camera, for one person in one image.

In: the numbers that a layout names (body.fit_layouts), and the image's (width, height) as
published, px. But for "world", the body is given in the camera's own frame, x right, y down, z
forward: that frame is then the world, exact, though its y is not up.
"""

from collections.abc import Callable

import numpy as np

from posedive.body.fit_layouts import PELVIS_SMPL, PELVIS_SMPLX
from posedive.errors import BodyError
from posedive.records import Camera

Size = tuple[int, int]
# HMR's networks see a square of 256 px by a lens of 5,000 px; SMPLify-X has it for any image.
HMR_FOCAL_PX, HMR_SQUARE_PX = 5000.0, 256.0
ORTHOGRAPHIC_FOCAL = 100.0  # so long a lens, image heights, that perspective can't be seen


def fit_camera(convention: str, numbers: tuple[np.ndarray, ...], size: Size, smplx: bool) -> Camera:
    """`smplx`: the body stood where SMPL-X stands, whose rest pose lies lower than SMPL's.

    BodyError: a lens or a distance that is none.
    """
    camera = CAMERAS[convention](size, *numbers)
    translation = np.asarray(camera.translation, np.float64).reshape(3)
    if smplx:
        translation = translation + camera.rotation @ np.subtract(PELVIS_SMPLX, PELVIS_SMPL)
    if not (np.isfinite(translation).all() and 0 < camera.focal < np.inf):
        raise BodyError(f"its camera has focal {camera.focal:.4g} and translation {translation}")
    return Camera(camera.rotation, translation, float(camera.focal))


def _world(size: Size, rotation, translation, focal) -> Camera:
    """World to camera, y up; focal in image heights: our own table."""
    turn = rotation.reshape(3, 3)
    if np.abs(turn @ turn.T - np.eye(3)).max() > 0.02 or np.linalg.det(turn) < 0:
        raise BodyError("its camera's rotation is none")
    return Camera(turn, translation, focal[0])


def _pixels(size: Size, translation, focal_px) -> Camera:
    """Translation to the whole image's camera, focal in px."""
    return _own_frame(translation, focal_px[0] / size[1])


def _two_focals(size: Size, translation, focal_px) -> Camera:
    return _own_frame(translation, focal_px.mean() / size[1])


def _crop(size: Size, weak, centre, box, image) -> Camera:
    """Weak perspective s, tx, ty in a square crop; box its side, image (width, height), px."""
    scale, shift = weak[0] * box[0], weak[1:]
    focal_px = HMR_FOCAL_PX / HMR_SQUARE_PX * image.max()
    if not scale > 0:
        raise BodyError(f"its weak perspective has scale {scale:.4g}")
    aside = 2 * (centre - image / 2) / scale + shift
    return _own_frame(np.array([*aside, 2 * focal_px / scale]), focal_px / image[1])


def _padded_square(size: Size, translation, image) -> Camera:
    """Of the image padded to a square, which HMR's lens sees; image is (height, width), px."""
    height, width = image
    focal_px = HMR_FOCAL_PX / HMR_SQUARE_PX * max(height, width)
    return _own_frame(translation, focal_px / height)


def _orthographic(size: Size, weak) -> Camera:
    """s, tx, ty of the image padded to a square that reaches from -1 to 1."""
    scale = weak[0]
    if not scale > 0:
        raise BodyError(f"its weak perspective has scale {scale:.4g}")
    depth = 2 * ORTHOGRAPHIC_FOCAL * size[1] / (scale * max(size))
    return _own_frame(np.array([*(weak[1:] / scale), depth]), ORTHOGRAPHIC_FOCAL)


def _diagonal(size: Size, translation) -> Camera:
    """The lens is as long as the image's diagonal."""
    return _own_frame(translation, float(np.hypot(*size)) / size[1])


def _intrinsics(size: Size, translation, matrix) -> Camera:
    """A camera matrix whose centre is the image's: it tells the height in its own pixels."""
    matrix = matrix.reshape(3, 3)
    return _own_frame(translation, matrix[1, 1] / (2 * matrix[1, 2]))


def _5000_pixels(size: Size, rotation, translation) -> Camera:
    return Camera(rotation.reshape(3, 3), translation, HMR_FOCAL_PX / size[1])


def _own_frame(translation: np.ndarray, focal: float) -> Camera:
    return Camera(np.eye(3), translation, focal)


CAMERAS: dict[str, Callable[..., Camera]] = {
    "world": _world,
    "pixels": _pixels,
    "two focals": _two_focals,
    "crop": _crop,
    "padded square": _padded_square,
    "orthographic": _orthographic,
    "diagonal": _diagonal,
    "intrinsics": _intrinsics,
    "5000 pixels": _5000_pixels,
}
