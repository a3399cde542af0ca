"""A few posed bodies that the render tests share, and what they skip without."""

import ctypes.util

import numpy as np
import pytest

from posedive.body.skeleton import SMPL_JOINTS
from posedive.records import Body, Condition

needs_egl = pytest.mark.skipif(ctypes.util.find_library("EGL") is None, reason="no libEGL here")


def body(tilt=(0.0, 0.0, 0.0), **angles) -> Body:
    """A body with axis-angle triples for some joints, e.g. left_shoulder=(0, 0, -1.2)."""
    pose = np.zeros((23, 3), np.float32)
    for joint, angle in angles.items():
        pose[SMPL_JOINTS.index(joint) - 1] = angle
    return Body(np.zeros(10, np.float32), pose.ravel(), np.array(tilt, np.float32))


STANDING = body(left_shoulder=(0, 0, -1.2), right_shoulder=(0, 0, 1.2))
STRIDING = body(
    left_shoulder=(0, 0.3, -1.2),
    right_shoulder=(0, 0.3, 1.2),
    left_hip=(-0.5, 0, 0),
    right_hip=(0.4, 0, 0),
    right_knee=(0.6, 0, 0),
)
LYING = body(tilt=(0, 0, np.pi / 2), left_hip=(-0.6, 0, 0))


def condition(of: Body, azimuth_deg=0.0, elevation_deg=0.0, focal=3.0) -> Condition:
    return Condition(of, azimuth_deg, elevation_deg, focal, "test")
