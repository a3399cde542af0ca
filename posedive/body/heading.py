"""Which way a body faces, and turning it to face +z: azimuth 0 is then the person's front.

A global_orient is axis-angle (3,), y up. Only the turn about y is removed; tilt stays, so lying
people lie and cartwheels stand on their hands.
"""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

_LYING = 0.35  # horizontal part of the forward axis below which it no longer says where one faces


def heading_rad(global_orient: Float[np.ndarray, "3"]) -> float:
    """Angle about y of the pelvis' front, 0 at +z, growing towards +x.

    Of one who lies on the back or the belly: of the direction that was the front when upright.
    """
    rotation = Rotation.from_rotvec(global_orient).as_matrix()
    up, forward = rotation[:, 1], rotation[:, 2]
    if np.hypot(forward[0], forward[2]) < _LYING:
        forward = up * (-1.0 if forward[1] > 0 else 1.0)
    return float(np.arctan2(forward[0], forward[2]))


def remove_heading(global_orient: Float[np.ndarray, "3"]) -> np.ndarray:
    """The same orientation (3,), float32, turned about y until it faces +z."""
    turn = Rotation.from_rotvec([0.0, -heading_rad(global_orient), 0.0])
    return (turn * Rotation.from_rotvec(global_orient)).as_rotvec().astype(np.float32)
