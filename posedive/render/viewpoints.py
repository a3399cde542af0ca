"""Viewpoints: azimuth, elevation and a focal length -> a camera that frames the whole body.

In: vertices (m, world) and angles in degrees (azimuth 0 the face, 90 the person's left side;
elevation > 0 looks down). Out: records.Camera, exact for perspective, whatever the pose.
"""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from posedive.body.heading import heading_rad
from posedive.records import Camera, Fit
from posedive.render.camera import look_rotation

# Focal lengths in image heights. A standing person who fills the frame is then about 6 m away
# (a camera on a low wall) or 40 m away (perspective below what a small crop can show).
PERSPECTIVE = 3.0
NEAR_ORTHOGRAPHIC = 20.0


def sample_viewpoint(
    rng: np.random.Generator,
    azimuth_range: tuple[float, float],
    elevation_range: tuple[float, float],
) -> tuple[float, float]:
    """(azimuth_deg, elevation_deg), uniform in the ranges, given in degrees."""
    return float(rng.uniform(*azimuth_range)), float(rng.uniform(*elevation_range))


def frame(
    vertices: Float[np.ndarray, "vertices 3"],
    azimuth_deg: float,
    elevation_deg: float,
    focal: float,
    size: tuple[int, int],
    margin: float = 0.08,
) -> Camera:
    """The nearest camera on this side of the body that sees all of it, in the frame's middle.

    `margin` is the part of width and of height left free on each side. Along one image axis,
    with half-extent a of the frame, "inside" is |focal (x + t_x)| <= a (z + t_z) for each vertex:
    two lines in (t_x, t_z), whose crossing is the nearest such camera.
    """
    width, height = size
    rotation = look_rotation(azimuth_deg, elevation_deg)
    points = vertices.astype(np.float64) @ rotation.T
    x, y, z = points.T
    half_height = 0.5 - margin
    half_width = half_height * width / height
    bounds = []
    for coordinate, half in ((x, half_width), (y, half_height)):
        low = np.min(half * z + focal * coordinate)
        high = np.min(half * z - focal * coordinate)
        bounds.append((-(low + high) / (2 * half), coordinate, half))
    t_z = max(bound for bound, _, _ in bounds)
    shifts = [_centring_shift(c, z + t_z, focal) for _, c, _ in bounds]
    translation = np.array([*shifts, t_z])
    return Camera(rotation=rotation, translation=translation, focal=float(focal))


def _centring_shift(coordinate: np.ndarray, depth: np.ndarray, focal: float) -> float:
    """The shift t for which the extreme projections of (coordinate + t) / depth are opposite.

    max (c + t) / z + min (c + t) / z is piecewise linear and increasing in t: a few Newton steps.
    """
    shift = 0.0
    for _ in range(20):
        ratio = (coordinate + shift) / depth
        low, high = int(np.argmin(ratio)), int(np.argmax(ratio))
        excess = ratio[low] + ratio[high]
        if abs(excess) * focal < 1e-9:
            break
        shift -= excess / (1 / depth[low] + 1 / depth[high])
    return float(shift)


def upright_orient(fit: Fit) -> np.ndarray:
    """The fit's global_orient (3,) where y is up."""
    return (_turn_over(fit) * Rotation.from_rotvec(fit.body.global_orient)).as_rotvec()


def _turn_over(fit: Fit) -> Rotation:
    # A fit in its camera's own frame (4D-Humans') has y down.
    return Rotation.from_rotvec([np.pi * (fit.camera.rotation[1, 1] > 0), 0.0, 0.0])


def viewpoint_of(fit: Fit) -> tuple[float, float]:
    """(azimuth_deg in [0, 360), elevation_deg) from which a fit's camera sees its body.

    Measured about the pelvis and from the body's own heading, as a Condition gives them.
    """
    eye = _turn_over(fit).apply(-fit.camera.rotation.T @ fit.camera.translation)
    azimuth = np.arctan2(eye[0], eye[2]) - heading_rad(upright_orient(fit))
    elevation = np.arcsin(np.clip(eye[1] / np.linalg.norm(eye), -1, 1))
    return float(np.degrees(azimuth) % 360), float(np.degrees(elevation))
