"""Stick figures with known joints: a world small enough to train on in a test."""

import cv2
import numpy as np
import pytest

from posedive.filters.examples import Examples

STANDING = np.array(
    [
        *[(32, 20), (35, 17), (29, 17), (38, 19), (26, 19)],
        *[(43, 36), (21, 36), (47, 54), (17, 54), (50, 70), (14, 70)],
        *[(39, 70), (25, 70), (40, 92), (24, 92), (41, 114), (23, 114)],
    ],
    np.float32,
)
BONES = (
    *[(5, 6), (11, 12), (5, 11), (6, 12), (5, 7), (7, 9), (6, 8), (8, 10)],
    *[(11, 13), (13, 15), (12, 14), (14, 16)],
)


def draw_stick_figures(count: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 128, 64, 3), np.uint8)
    masks = np.zeros((count, 128, 64), bool)
    joints = np.ones((count, 17, 3), np.float32)
    for row in range(count):
        points = STANDING + rng.normal(0, 2.0, (17, 2)) + rng.uniform(-4, 4, 2)
        body = np.zeros((128, 64), np.uint8)
        cv2.circle(body, tuple(np.rint(points[0]).astype(int).tolist()), 8, 1, -1)
        for first, second in BONES:
            ends = np.rint(points[[first, second]]).astype(int).tolist()
            cv2.line(body, tuple(ends[0]), tuple(ends[1]), 1, 7)
        colours = rng.integers(0, 256, (2, 3))
        images[row] = np.where(body[..., None] > 0, colours[0], colours[1])
        masks[row], joints[row, :, :2] = body > 0, points
    return Examples(images, masks, joints)


@pytest.fixture(name="draw_stick_figures")
def _draw_stick_figures():
    return draw_stick_figures
