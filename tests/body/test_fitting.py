"""Bodies from keypoints: those of a known body are explained by one that is near it."""

import numpy as np
import pytest
import torch

from posedive.body.fitting import centred, fit_bodies
from posedive.body.guessing import first_guesses, look_rotations
from posedive.body.keypoint_body import KeypointBody
from posedive.body.pose_prior import PosePrior, mirrored, pose_prior
from posedive.body.poses import pose_source
from posedive.body.skeleton import MIRROR_SMPL, coco_from_smpl
from posedive.body.smpl import load_body, pose_body
from posedive.quality.joints import joint_error_mm
from posedive.records import Body, Fit
from posedive.render.camera import look_rotation, project, to_camera
from posedive.render.viewpoints import frame, viewpoint_of

SIZE, FOCAL, STARTS = (64, 128), 3.0, 4
AZIMUTHS = (0.0, 75.0, 180.0, 290.0)


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody(load_body("embedded"))


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    return pose_prior(pose_source("embedded-walking"), seed=0)


@pytest.fixture(scope="module")
def people() -> list[Fit]:
    """Walkers from four sides, by the focal length that fits are given."""
    source = pose_source("embedded-walking")
    fits = []
    for number, azimuth in enumerate(AZIMUTHS):
        pose = source[40 * number]
        person = Body(np.zeros(10, np.float32), pose.body_pose, pose.global_orient)
        vertices = pose_body(load_body("embedded"), [person])[0][0]
        fits.append(Fit(person, frame(vertices, azimuth, 8.0, FOCAL, SIZE)))
    return fits


def joints_of(fits: list[Fit]) -> np.ndarray:
    return pose_body(load_body("embedded"), [fit.body for fit in fits])[1]


def keypoints_of(fits: list[Fit]) -> np.ndarray:
    points = [
        project(coco_from_smpl(joints), fit.camera, SIZE)[0]
        for fit, joints in zip(fits, joints_of(fits), strict=True)
    ]
    return np.concatenate([np.stack(points), np.ones((len(fits), 17, 1), np.float32)], -1)


@pytest.fixture(scope="module")
def fits(body, prior, people) -> list[Fit]:
    """Of the people; of the first with one keypoint astray; of keypoints that nobody is sure of."""
    keypoints = keypoints_of(people)
    astray = keypoints[:1].copy()
    astray[0, 9, :2] = (5, 5)  # the left wrist, by the picture's corner
    found = [centred(keypoints, SIZE), centred(astray, SIZE), np.zeros((1, 17, 3), np.float32)]
    return fit_bodies(body, prior, np.concatenate(found), FOCAL, STARTS)


def test_a_body_without_a_mesh_has_the_joints_of_the_whole_one(body):
    rng = np.random.default_rng(0)
    draws = [[rng.normal(0, s, n) for n, s in ((10, 1), (69, 0.4), (3, 1))] for _ in range(5)]
    bodies = [Body(*(values.astype(np.float32) for values in draw)) for draw in draws]
    _, expected = pose_body(load_body("embedded"), bodies)
    pose = np.stack([np.concatenate([b.global_orient, b.body_pose]) for b in bodies])
    betas = np.stack([b.betas for b in bodies])
    joints, points = body(torch.from_numpy(betas), torch.from_numpy(pose))
    np.testing.assert_allclose(joints, expected[:, :24], atol=1e-5)
    np.testing.assert_allclose(points, coco_from_smpl(expected), atol=1e-5)


def test_a_mirrored_pose_has_mirrored_joints(body):
    poses = np.random.default_rng(1).normal(0, 0.4, (3, 72)).astype(np.float32)
    np.testing.assert_array_equal(mirrored(mirrored(poses)), poses)
    betas = torch.zeros(3, 10)
    joints, _ = body(betas, torch.from_numpy(poses))
    others, _ = body(betas, torch.from_numpy(mirrored(poses)))
    np.testing.assert_allclose(others[:, list(MIRROR_SMPL)], joints * torch.tensor([-1, 1, 1]),
                               atol=2e-4)  # fmt: skip


def test_the_prior_likes_its_source_and_its_mirror_image_better_than_other_poses(prior):
    source = pose_source("embedded-walking")
    poses = np.stack(
        [np.r_[source[i].global_orient, source[i].body_pose] for i in range(0, 260, 9)]
    )
    walking = prior.energy(torch.from_numpy(poses))
    strange = poses + np.random.default_rng(0).normal(0, 0.4, poses.shape).astype(np.float32)
    assert walking.max() < prior.energy(torch.from_numpy(strange)).min()
    other_way = prior.energy(torch.from_numpy(mirrored(poses)))
    assert other_way.mean() < 3 * walking.mean() + 20


def test_the_prior_is_the_same_each_time_and_survives_a_file(prior):
    again = pose_prior(pose_source("embedded-walking"), seed=0)
    for name, values in PosePrior.of(prior.arrays()).arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name])


def test_directions_are_the_renderers():
    azimuth, elevation = torch.tensor([0.3, 2.0, -1.0]), torch.tensor([0.0, 0.5, -0.2])
    ours = look_rotations(azimuth, elevation)
    for n in range(3):
        expected = look_rotation(*np.degrees([azimuth[n], elevation[n]]))
        np.testing.assert_allclose(ours[n], expected, atol=1e-6)


def test_first_guesses_look_from_different_sides(body, prior, people):
    found = torch.from_numpy(centred(keypoints_of(people), SIZE))
    guesses = first_guesses(body, prior, found, FOCAL, STARTS)
    degrees = torch.rad2deg(guesses.azimuth).reshape(len(people), STARTS)
    assert all(len(set((row // 45).tolist())) == STARTS for row in degrees)
    apart = (degrees[:, 0] - torch.tensor(AZIMUTHS) + 180) % 360 - 180
    assert apart.abs().max() <= 30  # the best guess is near the truth already


def test_a_body_is_found_again_by_its_keypoints(people, fits):
    off_px = np.linalg.norm((keypoints_of(fits[:4]) - keypoints_of(people))[..., :2], axis=-1)
    assert off_px.mean() < 1
    for fit, truth, azimuth in zip(fits[:4], people, AZIMUTHS, strict=True):
        found, true = (to_camera(joints_of([f])[0][:24], f.camera) for f in (fit, truth))
        assert joint_error_mm(found, true) < 80
        turned, elevation = viewpoint_of(fit)
        assert abs((turned - azimuth + 180) % 360 - 180) < 20 and abs(elevation - 8) < 15


def test_a_fit_does_not_depend_on_the_other_pictures(body, prior, people, fits):
    keypoints = centred(keypoints_of(people[2:3]), SIZE)
    alone = fit_bodies(body, prior, keypoints, FOCAL, STARTS)[0]
    np.testing.assert_allclose(alone.body.body_pose, fits[2].body.body_pose, atol=1e-3)
    np.testing.assert_allclose(alone.camera.translation, fits[2].camera.translation, atol=1e-3)


def test_one_keypoint_far_off_hardly_moves_the_others(people, fits):
    off = (keypoints_of(fits[4:5]) - keypoints_of(people[:1]))[0, :, :2]
    assert np.delete(np.linalg.norm(off, axis=-1), [7, 9]).mean() < 2.5


def test_keypoints_that_nobody_is_sure_of_give_a_likely_body_and_no_pictures_none(
    body, prior, fits
):
    unsure = fits[5]
    numbers = np.concatenate([unsure.body.body_pose, unsure.body.betas, unsure.camera.translation])
    assert np.isfinite(numbers).all() and np.abs(unsure.body.betas).max() < 1
    assert fit_bodies(body, prior, np.zeros((0, 17, 3), np.float32), FOCAL, STARTS) == []
