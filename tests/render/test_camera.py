import numpy as np
import pytest

from posedive.records import Camera
from posedive.render.camera import look_rotation, project, view_direction

SIDEWAYS = Camera(np.array([[0, 0, -1.0], [0, -1, 0], [-1, 0, 0]]), np.array([0, 1.0, 4.0]), 1.5)


def test_projection_agrees_with_a_hand_calculation():
    # Seen from +x: x_cam = (-z, -y, -x) + (0, 1, 4) = (0.2, 0.4, 3.7) for (0.3, 0.6, -0.2).
    pixels, depth = project(np.array([0.3, 0.6, -0.2]), SIDEWAYS, (64, 128))
    assert depth == pytest.approx(3.7)
    assert pixels == pytest.approx([32 + 192 * 0.2 / 3.7, 64 + 192 * 0.4 / 3.7])


def test_one_camera_serves_every_resolution():
    points = np.random.default_rng(0).normal(size=(5, 3)) * 0.3
    small, _ = project(points, SIDEWAYS, (64, 128))
    large, _ = project(points, SIDEWAYS, (192, 384))
    assert large == pytest.approx(3 * small, rel=1e-5)


def test_what_is_behind_the_camera_is_nowhere():
    pixels, depth = project(np.array([[9.0, 0, 0], [4.0, 0, 0]]), SIDEWAYS, (64, 128))
    assert not np.isfinite(pixels).any()
    assert (depth <= 0).all()


@pytest.mark.parametrize(
    ("azimuth", "elevation", "direction"),
    [(0, 0, (0, 0, 1)), (90, 0, (1, 0, 0)), (180, 0, (0, 0, -1)), (270, 0, (-1, 0, 0))]
    + [(0, 90, (0, 1, 0)), (90, 45, (0.5**0.5, 0.5**0.5, 0))],
)
def test_azimuth_and_elevation_are_as_the_records_say(azimuth, elevation, direction):
    assert view_direction(azimuth, elevation) == pytest.approx(direction, abs=1e-12)
    # The camera looks back along it.
    assert look_rotation(azimuth, elevation)[2] == pytest.approx(np.negative(direction), abs=1e-12)


def test_the_camera_is_upright_and_right_handed():
    for azimuth, elevation in [(0, 0), (33, 20), (211, 45), (90, 90), (300, -30)]:
        rotation = look_rotation(azimuth, elevation)
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert rotation[0, 1] == 0  # the image's rows are level
        assert rotation[1, 1] <= 1e-12  # down in the image is down in the world
