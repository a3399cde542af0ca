import numpy as np
import pytest

from posedive.body.skeleton import COCO_KEYPOINTS, COCO_LIMBS, LIMB_COLOURS
from posedive.body.smpl import pose_body
from posedive.records import Camera, Fit
from posedive.render.maps import FARTHEST_GREY, condition_fit, render_maps
from posedive.render.openpose import draw_skeleton
from tests.render.people import LYING, STANDING, STRIDING, condition, needs_egl

SIZE = (96, 192)


def maps_of(model, pose, azimuth_deg=0.0, elevation_deg=0.0, size=SIZE):
    fit = condition_fit(model, condition(pose, azimuth_deg, elevation_deg), size)
    return render_maps(model, fit, size)


@pytest.mark.parametrize("pose", [STANDING, LYING])
def test_maps_are_images_that_are_black_outside_the_body(model, pose):
    maps = maps_of(model, pose, 30, 20)
    for image in (maps.depth, maps.normals, maps.skeleton):
        assert image.shape == (192, 96, 3)
        assert image.dtype == np.uint8
    for image in (maps.depth, maps.normals):
        assert not image[~maps.mask].any()
        assert image[maps.mask].any(axis=-1).all()
    assert maps.depth[maps.mask].max() == 255
    assert maps.depth[maps.mask].min() == FARTHEST_GREY


def test_nearest_is_white(model):
    maps = maps_of(model, STRIDING, 25, 10)
    depth_m, grey = maps.raster.depth[maps.mask], maps.depth[maps.mask][:, 0]
    assert grey[depth_m.argmin()] == 255
    assert np.corrcoef(depth_m, grey)[0, 1] < -0.999


def test_normals_face_the_camera_with_right_red_and_up_green(model):
    maps = maps_of(model, STANDING)
    normals = maps.normals[maps.mask].astype(float) / 127.5 - 1
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=0.02)
    # A smooth normal may look away a little where the facet still faces us.
    assert np.mean(normals[:, 2] > 0) > 0.99
    _, columns = np.nonzero(maps.mask)
    assert np.corrcoef(columns, normals[:, 0])[0, 1] > 0.2
    top, bottom = np.nonzero(maps.mask)[0].argmin(), np.nonzero(maps.mask)[0].argmax()
    assert normals[top, 1] > 0.3 > normals[bottom, 1]


def test_posing_many_at_once_changes_nothing(model):
    fit = condition_fit(model, condition(STRIDING, 70, 15), SIZE)
    vertices, joints = pose_body(model, [STANDING, STRIDING])
    alone, among = (
        render_maps(model, fit, SIZE, posed=p) for p in (None, (vertices[1], joints[1]))
    )
    assert np.abs(alone.depth.astype(int) - among.depth).max() <= 1
    assert alone.keypoints == pytest.approx(among.keypoints, abs=1e-3)


def test_keypoints_outside_the_frame_are_flagged(model):
    fit = condition_fit(model, condition(STANDING), SIZE)
    whole = render_maps(model, fit, SIZE)
    assert whole.keypoints.shape == (17, 3)
    assert (whole.keypoints[:, 2] == 1).all()
    lower = Camera(
        fit.camera.rotation, fit.camera.translation + [0, 0.9, 0], fit.camera.focal
    )  # the body moves 0.9 m down the picture
    cut = render_maps(model, Fit(fit.body, lower), SIZE)
    ankles = [COCO_KEYPOINTS.index("left_ankle"), COCO_KEYPOINTS.index("right_ankle")]
    assert (cut.keypoints[ankles, 2] == 0).all()
    assert cut.keypoints[0, 2] == 1
    assert cut.keypoints[0, 1] > whole.keypoints[0, 1] + 50


def test_the_skeleton_lies_on_its_keypoints(model):
    maps = maps_of(model, STRIDING, 20, 10)
    for x, y in maps.keypoints[5:, :2]:
        assert maps.skeleton[int(y), int(x)].any()


def has_colour(image, colour) -> bool:
    return bool((np.abs(image.astype(int) - np.array(colour)).max(axis=-1) <= 2).any())


def test_seen_from_behind_the_face_is_not_drawn_but_every_limb_is(model):
    front, back = (maps_of(model, STANDING, azimuth) for azimuth in (0, 180))
    for limb, colour in zip(COCO_LIMBS, LIMB_COLOURS, strict=True):
        if min(limb) >= 5:
            shade = [int(0.6 * c) for c in colour]
            assert has_colour(front.skeleton, shade)
            assert has_colour(back.skeleton, shade)
    x, y = np.floor(front.keypoints[0, :2]).astype(int)
    assert front.skeleton[y, x].any()
    assert not back.skeleton[y - 3 : y + 3, x - 3 : x + 3].any()


def test_left_and_right_swap_sides_when_the_person_turns(model):
    right_arm = np.array([int(0.6 * c) for c in LIMB_COLOURS[COCO_LIMBS.index((6, 8))]])
    columns = []
    for azimuth in (0, 180):
        skeleton = maps_of(model, STANDING, azimuth).skeleton.astype(int)
        columns.append(np.nonzero(np.abs(skeleton - right_arm).max(axis=-1) <= 2)[1].mean())
    assert columns[0] < 48 < columns[1]


def test_a_limb_with_an_end_behind_the_camera_is_left_out():
    keypoints = np.full((17, 2), 32.0)
    keypoints[:, 1] = np.linspace(4, 120, 17)
    depth = np.full(17, 5.0)
    whole = draw_skeleton(keypoints, depth, np.ones(17, bool), (64, 128))
    keypoints[16], depth[16] = np.inf, -1.0
    cut = draw_skeleton(keypoints, depth, np.ones(17, bool), (64, 128))
    assert whole[119, 32].any()
    assert not cut[119, 32].any()


@needs_egl
def test_the_second_renderer_makes_the_same_maps(model):
    fit = condition_fit(model, condition(STRIDING, 45, 30), SIZE)
    ours, theirs = (render_maps(model, fit, SIZE, renderer=r) for r in ("zbuffer", "pyrender"))
    assert np.abs(ours.depth.astype(int) - theirs.depth).mean() < 0.5
    assert np.abs(ours.normals.astype(int) - theirs.normals).mean() < 0.5
