"""The camera: points in the world -> points in camera space -> pixels of an image of any size.

Frames and units are records.Camera's: metres, OpenCV camera (x right, y down, z forward), focal
in image heights, pixel centres at half-integers. `size` is always (width, height).
"""

import numpy as np
from jaxtyping import Float

from posedive.records import Camera


def to_camera(points: Float[np.ndarray, "*shape 3"], camera: Camera) -> np.ndarray:
    """World points in camera space, float32."""
    return (points @ camera.rotation.T + camera.translation).astype(np.float32)


def project_camera_space(
    points: Float[np.ndarray, "*shape 3"], focal: float, size: tuple[int, int]
) -> np.ndarray:
    """Pixels (..., 2) of camera-space points; those at or behind the camera land at infinity."""
    width, height = size
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(z > 0, height * focal / z, np.inf)
        pixels = np.stack([0.5 * width + scale * x, 0.5 * height + scale * y], axis=-1)
    return np.nan_to_num(pixels, nan=np.inf, posinf=np.inf, neginf=-np.inf).astype(np.float32)


def project(
    points: Float[np.ndarray, "*shape 3"], camera: Camera, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """World points -> (pixels (..., 2), depth (...) in metres along the optical axis)."""
    in_camera = to_camera(points, camera)
    return project_camera_space(in_camera, camera.focal, size), in_camera[..., 2]


def floor_axes(camera: Camera) -> Float[np.ndarray, "3 3"]:
    """Rows right, up and away from the camera along the floor, in camera space. Up is the world's,
    or, of a fit in its camera's own frame, the picture's."""
    up = np.asarray(camera.rotation, np.float64)[:, 1]
    up = -up if up[1] > 0 else up
    away = np.array([0.0, 0.0, 1.0]) - up[2] * up
    length = np.linalg.norm(away)
    away = away / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])  # from straight above
    return np.stack([np.cross(-up, away), up, away])


def view_direction(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Unit vector from the body to the camera: (0, 0) is +z, the face; (90, 0) is +x, its left."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    return np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )


def look_rotation(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """World to camera rotation, rows x right, y down, z forward, with no roll.

    Written with angles, not a cross product with "up", so that straight down is no special case.
    """
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    forward = -view_direction(azimuth_deg, elevation_deg)
    down = np.array(
        [
            np.sin(elevation) * np.sin(azimuth),
            -np.cos(elevation),
            np.sin(elevation) * np.cos(azimuth),
        ]
    )
    return np.stack([right, down, forward])
