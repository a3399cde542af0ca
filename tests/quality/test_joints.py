import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posedive.quality.joints import aligned_joint_error_mm, joint_error_mm

JOINTS = np.random.default_rng(0).normal(size=(24, 3))


def test_joint_error_by_hand():
    moved = JOINTS + (5.0, 0, 0)  # where the root is does not count
    moved[3] += (0.3, 0, 0.4)  # half a metre, of 24 joints
    assert joint_error_mm(moved, JOINTS) == pytest.approx(500 / 24)


def test_size_rotation_and_place_are_aligned_away_but_a_mirror_image_is_not():
    turn = Rotation.from_rotvec([0.4, -1.2, 2.0]).as_matrix()
    assert aligned_joint_error_mm(1.7 * JOINTS @ turn.T + 3, JOINTS) == pytest.approx(0, abs=1e-6)
    assert joint_error_mm(1.7 * JOINTS @ turn.T + 3, JOINTS) > 1000
    assert aligned_joint_error_mm(JOINTS * (-1, 1, 1), JOINTS) > 300


def test_aligned_error_is_the_least_squares_one():
    noisy = JOINTS + np.random.default_rng(1).normal(0, 0.05, JOINTS.shape)
    best = aligned_joint_error_mm(noisy, JOINTS)
    assert best == pytest.approx(1000 * 0.05 * np.sqrt(8 / np.pi), rel=0.25)
