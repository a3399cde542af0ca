import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posedive.body.heading import heading_rad
from posedive.body.skeleton import SMPL_JOINTS
from posedive.body.smpl import pose_body
from posedive.records import Body, Camera, Fit
from posedive.render.camera import project, to_camera
from posedive.render.viewpoints import (
    NEAR_ORTHOGRAPHIC,
    PERSPECTIVE,
    frame,
    sample_viewpoint,
    viewpoint_of,
)
from tests.render.people import LYING, STANDING, STRIDING


@pytest.mark.parametrize("pose", [STANDING, STRIDING, LYING])
@pytest.mark.parametrize("focal", [1.0, PERSPECTIVE, NEAR_ORTHOGRAPHIC])
@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (65, 30), (200, 45), (10, 89)])
@pytest.mark.parametrize("size", [(64, 128), (200, 100)])
def test_the_whole_body_fills_the_frame_up_to_its_margin(
    model, pose, focal, azimuth, elevation, size
):
    vertices = pose_body(model, [pose])[0][0]
    camera = frame(vertices, azimuth, elevation, focal, size, margin=0.1)
    pixels, depth = project(vertices, camera, size)
    assert (depth > 0).all()
    low, high = pixels.min(axis=0) / size, pixels.max(axis=0) / size
    assert low.min() == pytest.approx(0.1, abs=1e-4)
    assert high.max() == pytest.approx(0.9, abs=1e-4)
    assert low + high == pytest.approx([1, 1], abs=2e-4)  # in the middle, both ways


def test_from_azimuth_90_the_left_hand_is_nearest(model):
    vertices, joints = pose_body(model, [STANDING])
    camera = frame(vertices[0], 90, 0, PERSPECTIVE, (64, 128))
    depth = to_camera(joints[0], camera)[:, 2]
    left, right = (depth[SMPL_JOINTS.index(f"{side}_hand")] for side in ("left", "right"))
    assert left < depth[0] < right


def test_from_the_front_the_left_hand_is_on_the_right(model):
    vertices, joints = pose_body(model, [STANDING])
    camera = frame(vertices[0], 0, 0, PERSPECTIVE, (64, 128))
    pixels, _ = project(joints[0], camera, (64, 128))
    assert pixels[SMPL_JOINTS.index("left_hand"), 0] > 36
    assert pixels[SMPL_JOINTS.index("head"), 1] < pixels[SMPL_JOINTS.index("left_foot"), 1]


def test_viewpoints_are_uniform_in_their_ranges_and_follow_the_seed():
    def draw() -> np.ndarray:
        rng = np.random.default_rng(5)
        return np.array([sample_viewpoint(rng, (-30, 30), (0, 45)) for _ in range(4000)])

    views = draw()
    assert (views == draw()).all()
    assert views.min(axis=0) == pytest.approx([-30, 0], abs=0.1)
    assert views.max(axis=0) == pytest.approx([30, 45], abs=0.1)
    assert views.mean(axis=0) == pytest.approx([0, 22.5], abs=1.0)  # 3.6 standard errors


@pytest.mark.parametrize("pose", [STANDING, LYING])
@pytest.mark.parametrize("view", [(0.0, 0.0), (90.0, 30.0), (250.0, 12.0)])
def test_a_fit_tells_the_viewpoint_that_it_was_framed_from(model, pose, view):
    vertices, _ = pose_body(model, [pose])
    turned = heading_rad(pose.global_orient)
    camera = frame(vertices[0], view[0] + np.degrees(turned), view[1], PERSPECTIVE, (64, 128))
    azimuth, elevation = viewpoint_of(Fit(pose, camera))
    # the camera looks at the body's middle, the view is measured about the pelvis
    assert abs((azimuth - view[0] + 180) % 360 - 180) < 6
    assert elevation == pytest.approx(view[1], abs=6)


def test_a_fit_in_its_cameras_own_frame_tells_the_same_viewpoint(model):
    vertices, _ = pose_body(model, [STRIDING])
    camera = frame(vertices[0], 70, 25, PERSPECTIVE, (64, 128))
    orient = Rotation.from_matrix(camera.rotation) * Rotation.from_rotvec(STRIDING.global_orient)
    body = Body(STRIDING.betas, STRIDING.body_pose, orient.as_rotvec().astype(np.float32))
    own = Fit(body, Camera(np.eye(3), camera.translation, camera.focal))
    # looking level into the scene, the camera's own frame is the world turned by its azimuth only
    assert viewpoint_of(own)[0] == pytest.approx(viewpoint_of(Fit(STRIDING, camera))[0], abs=20)
