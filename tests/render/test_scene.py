"""Against a second implementation: floor and wall of known colours, cut by rays in the world."""

import numpy as np
import pytest

from posedive.records import Camera
from posedive.render.camera import look_rotation, to_camera
from posedive.render.scene import (
    Backdrop,
    brightened,
    carry_scene,
    darkened,
    shadow_on_floor,
    stand_of,
)
from posedive.render.sun import Sun

SIZE = (64, 128)
WALL_Z = -3.0  # the cameras stand at +z
# Somebody's hull: 1.7 m tall, on the floor at the origin.
HULL = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (0.0, 1.7) for z in (-0.15, 0.15)])


def camera(elevation_deg: float, focal: float = 3.0) -> Camera:
    rotation = look_rotation(0.0, elevation_deg)
    middle = rotation @ np.array([0.0, 0.85, 0.0])
    translation = np.array([0.0, 0.0, 2.1 * focal]) - middle
    return Camera(rotation, translation, focal)


def street(seen_by: Camera) -> np.ndarray:
    """Red and green say where on the floor, red and blue where on the wall, 25 and 50 a metre."""
    width, height = SIZE
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = np.stack([columns - width / 2, rows - height / 2, np.full_like(rows, height)], -1)
    rays[..., 2] *= seen_by.focal
    eye = -seen_by.rotation.T @ seen_by.translation
    rays = rays @ seen_by.rotation
    with np.errstate(divide="ignore"):
        to_floor = np.where(rays[..., 1] < 0, -eye[1] / rays[..., 1], np.inf)
    to_wall = (WALL_Z - eye[2]) / rays[..., 2]
    points = eye + rays * np.minimum(to_floor, to_wall)[..., None]
    x, z = points[..., 0], points[..., 2]
    floor = np.stack([128 + 25 * x, 128 + 25 * z, np.zeros_like(x)], -1)
    wall = np.stack([128 + 25 * x, np.zeros_like(x), 80 + 50 * points[..., 1]], -1)
    rgb = np.where((to_floor < to_wall)[..., None], floor, wall)
    return rgb.clip(0, 255).round().astype(np.uint8)


def stand(seen_by: Camera):
    return stand_of(to_camera(HULL, seen_by), seen_by)


def backdrop(seen_by: Camera) -> Backdrop:
    rgb, person = street(seen_by), np.zeros(SIZE[::-1], bool)
    person[20:110, 26:38] = True
    rgb[person] = 255
    return Backdrop(rgb, person, stand(seen_by))


def test_foot_and_axes_are_those_of_the_world():
    seen_by = camera(30.0)
    found = stand(seen_by)
    assert found.foot == pytest.approx(to_camera(np.zeros(3), seen_by), abs=1e-5)
    # Right, up and away from the camera, which stands at +z.
    expected = seen_by.rotation @ np.diag([1.0, 1.0, -1.0])
    assert found.axes == pytest.approx(expected.T, abs=1e-6)


def test_a_fit_in_its_cameras_own_frame_stands_upright_in_the_picture():
    hull = HULL * (1, -1, 1) + (0, 0.85, 6.0)
    found = stand_of(hull.astype(np.float32), Camera(np.eye(3), np.zeros(3), 3.0))
    assert found.axes == pytest.approx(np.diag([1.0, -1.0, 1.0]))
    assert found.foot == pytest.approx([0.0, 0.85, 6.0], abs=1e-6)


def test_seen_from_where_it_was_seen_a_scene_stays():
    seen_by = camera(8.0)
    scene = carry_scene(backdrop(seen_by), stand(seen_by), SIZE)
    kept = np.s_[:90, :14]  # beside the person and the shadow
    expected = street(seen_by)[kept]
    is_floor = expected[..., 2] == 0
    meets = is_floor ^ np.roll(is_floor, 1, axis=0) | is_floor ^ np.roll(is_floor, -1, axis=0)
    assert meets.any(axis=1)[1:-1].sum() == 2  # one row of the floor's and one of the wall's
    np.testing.assert_array_equal(scene[kept][~meets], expected[~meets])


@pytest.mark.parametrize("elevation_deg", [3.0, 20.0])
def test_floor_and_wall_are_where_the_new_view_sees_them(elevation_deg):
    """Their colours say where they are: 25 grey values are a metre."""
    old, new = camera(10.0), camera(elevation_deg, focal=4.0)
    scene = carry_scene(backdrop(old), stand(new), SIZE).astype(int)
    expected = street(new).astype(int)
    is_floor = expected[..., 2] == 0
    assert is_floor[100, 5] and is_floor.mean() > 0.25
    # Beside the person; what the old view shows (not the floor before its lower edge).
    seen = np.zeros_like(is_floor)
    seen[30:100, 4:12] = True
    off = np.abs(scene - expected).max(axis=-1)
    assert np.median(off[seen & is_floor]) <= 3
    if (seen & ~is_floor).any():
        assert np.median(off[seen & ~is_floor]) <= 6


def test_nobody_is_left_and_behind_them_is_what_is_beside_them():
    one = backdrop(camera(6.0))
    grain = np.random.default_rng(0).integers(-20, 21, (*SIZE[::-1], 1))
    rgb = np.where(one.person[..., None], 255, (one.rgb + grain).clip(0, 200)).astype(np.uint8)
    scene = carry_scene(Backdrop(rgb, one.person, one.stand), one.stand, SIZE).astype(float)
    assert scene.max() <= 200  # the person is white
    behind, beside = scene[40:90, 28:36], scene[40:90, 2:10]
    assert np.abs(behind.mean(axis=1) - beside.mean(axis=1)).max() < 40
    assert behind[..., 0].std(axis=1).mean() > 0.4 * beside[..., 0].std(axis=1).mean()


def test_below_its_edge_an_image_goes_on_with_floor():
    low, high = camera(4.0, focal=6.0), camera(40.0, focal=2.0)
    scene = carry_scene(backdrop(low), stand(high), SIZE)
    assert (scene[-10:, :, 2] == 0).all()  # blue is of the wall


def test_any_camera_gets_a_scene():
    for elevation_deg in (-20.0, 0.0, 89.9, 90.0):
        target = stand(camera(elevation_deg))
        scene = carry_scene(backdrop(camera(5.0)), target, SIZE)
        assert scene.shape == (128, 64, 3) and scene.std() > 0


# The hull's six sides; its corners are numbered x, y, z like a binary number.
QUADS = np.array(
    [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
)
SIDES = np.concatenate([QUADS[:, :3], QUADS[:, [0, 2, 3]]])


def test_a_shadow_falls_on_the_floor_away_from_the_sun():
    seen_by = camera(40.0)
    from_left = Sun(np.array([-0.8, 0.6, 0.0]), 2.0)
    gain = shadow_on_floor(stand(seen_by), from_left, to_camera(HULL, seen_by), SIDES, SIZE)[..., 0]
    foot = to_camera(np.zeros(3), seen_by)
    row = int(SIZE[1] * (0.5 + seen_by.focal * foot[1] / foot[2]))
    right, left = gain[row, SIZE[0] // 2 + 18], gain[row, SIZE[0] // 2 - 18]
    assert right < 0.75 and left > 0.95
    assert (gain[: SIZE[1] // 8] == 1).all() and gain.max() <= 1


def test_under_a_sky_alone_the_floor_is_dark_where_somebody_stands():
    seen_by = camera(40.0)
    sky = Sun(np.array([0.0, 1.0, 0.0]), 0.0)
    gain = shadow_on_floor(stand(seen_by), sky, to_camera(HULL, seen_by), SIDES, SIZE)
    assert 0.7 < gain.min() < 0.9 and np.median(gain) == pytest.approx(1.0, abs=1e-3)


def test_a_shadow_can_be_taken_off_again():
    rng = np.random.default_rng(0)
    scene = rng.integers(30, 220, (128, 64, 3)).astype(np.uint8)
    gain = rng.uniform(0.75, 1.0, (128, 64, 1)).astype(np.float32)
    assert np.abs(brightened(darkened(scene, gain), gain).astype(int) - scene).max() <= 1
