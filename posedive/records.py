"""The data that cross folders: frozen, parameters only, never pictures.

Frames. World: metres, right-handed, y up; an SMPL body at rest faces +z, its left hand is at +x.
Camera: OpenCV's, x right, y down, z forward. A pixel is given in units of the image's height, so
that one camera serves every resolution: u = W/2 + H * focal * x/z, v = H/2 + H * focal * y/z,
with pixel centres at half-integers and (0, 0) the top left corner.
Azimuth 0 sees the face, 90 the person's left side, 180 the back; elevation > 0 looks down.
"""

from dataclasses import dataclass

import numpy as np

# What a pixel shows; `body` is skin and all clothes that follow it, shoes too.
PARTS = ("background", "body", "skirt", "hair", "hat", "bag")


@dataclass(frozen=True, eq=False)
class Body:
    """SMPL parameters. betas (10,), body_pose (69,) and global_orient (3,) axis-angle, float32."""

    betas: np.ndarray
    body_pose: np.ndarray
    global_orient: np.ndarray


@dataclass(frozen=True, eq=False)
class Camera:
    """World to camera: x_cam = rotation @ x_world + translation; focal in image heights."""

    rotation: np.ndarray
    translation: np.ndarray
    focal: float


@dataclass(frozen=True, eq=False)
class Fit:
    """Where a person is in one image: the body, and the camera that sees it."""

    body: Body
    camera: Camera


@dataclass(frozen=True, eq=False)
class PersonImage:
    """One image of a Re-ID set; `key` is unique in its set and names the pixels to the reader.

    pid -1 is junk, 0 a distractor, as Market-1501 publishes them. `fit` is None without SMPL fits.
    """

    key: str
    pid: int
    camid: int
    split: str
    fit: Fit | None = None


@dataclass(frozen=True, eq=False)
class Condition:
    """What to draw: a body in a pose, seen from a viewpoint. Rendered when needed.

    focal is in image heights; the camera's distance follows from framing the whole body.
    pose_source names where the pose came from, e.g. "embedded/kick:0031".
    """

    body: Body
    azimuth_deg: float
    elevation_deg: float
    focal: float
    pose_source: str


@dataclass(frozen=True, eq=False)
class Pair:
    """One image to generate: the identity by its reference image, the rest by its condition.

    key is the sample's name in the shard, `{pid:04d}_c{camid}s0_{camid:06d}_{seq:04d}`.
    """

    key: str
    seed: int
    pid: int
    camid: int
    reference: str
    condition: Condition


@dataclass(frozen=True, eq=False)
class ShardPlan:
    """One shard to be: its number, its object name below the output, its pairs in order."""

    index: int
    name: str
    pairs: tuple[Pair, ...]
