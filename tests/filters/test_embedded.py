"""The shipped weights, on people and places that no training saw, with the demo's thresholds."""

from pathlib import Path

import numpy as np
import pytest

from posedive.body.poses import pose_source
from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import accept_generated, accept_reference, mean_confidence
from posedive.records import Body, Condition
from posedive.render.maps import condition_fit, render_maps
from posedive.render.viewpoints import PERSPECTIVE, sample_viewpoint
from posedive.spec import load_job
from posedive.spec.generate import Generate

DEMO = load_job(Path(__file__).parents[2] / "jobs" / "demo.yaml", [])
assert isinstance(DEMO, Generate)
RULE = DEMO.filter
SIZE = (64, 128)
NUM_PAIRS = 120


@pytest.fixture(scope="module")
def pairs():
    """References, true renders of external poses from any side, and what these should show."""
    world, model = EmbeddedWorld(seed=4242, identities=20), load_body("embedded")
    poses, rng = pose_source("embedded-external"), np.random.default_rng(0)
    train = world.images("train")
    references, pictures, maps = [], [], []
    for _ in range(NUM_PAIRS):
        reference = train[int(rng.integers(len(train)))]
        pose = poses[int(rng.integers(len(poses)))]
        azimuth, elevation = sample_viewpoint(rng, (0, 360), (0, 45))
        assert reference.fit is not None
        body = Body(reference.fit.body.betas, pose.body_pose, pose.global_orient)
        condition = Condition(body, azimuth, elevation, PERSPECTIVE, pose.name)
        fit = condition_fit(model, condition, SIZE)
        references.append(world.read(reference))
        pictures.append(world.render(reference.pid, reference.camid, fit, SIZE, seed=1))
        maps.append(render_maps(model, fit, SIZE))
    return np.stack(references), np.stack(pictures), maps


@pytest.fixture(scope="module")
def judge(pairs):
    estimator = PoseEstimator.load("embedded")
    of_references, of_pictures = estimator(pairs[0]), estimator(pairs[1])
    maps, rule = pairs[2], RULE

    def judge(picture: int, condition: int) -> str:
        return accept_generated(
            of_pictures[picture],
            maps[condition].keypoints,
            float(maps[condition].mask.sum()),
            reference_confidence=mean_confidence(of_references[condition]),
            threshold=rule.generated_threshold,
            max_confidence_difference=rule.max_confidence_difference,
            min_oks=rule.min_oks,
        ).reason

    return judge


def test_true_pictures_are_kept(judge):
    assert np.mean([judge(i, i) == "" for i in range(NUM_PAIRS)]) >= 0.85


def test_swapped_pictures_are_rejected(judge):
    shifts = (1, 7, 31)
    swapped = [judge((i + shift) % NUM_PAIRS, i) for shift in shifts for i in range(NUM_PAIRS)]
    assert np.mean([reason != "" for reason in swapped]) >= 0.95


def test_references_are_accepted(pairs):
    found = PoseEstimator.load("embedded")(pairs[0])
    threshold = RULE.reference_threshold
    assert np.mean([accept_reference(mean_confidence(k), threshold).kept for k in found]) >= 0.97


def test_what_shows_nobody_is_rejected(pairs):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 128, 64, 3), dtype=np.uint8)
    flat = np.broadcast_to(rng.integers(0, 256, (32, 1, 1, 3), dtype=np.uint8), noise.shape)
    tiles = pairs[1][:32].reshape(32, 8, 16, 4, 16, 3).swapaxes(2, 3)[:, ::-1, ::-1]
    shuffled = np.ascontiguousarray(tiles.swapaxes(2, 3).reshape(noise.shape))
    estimator = PoseEstimator.load("embedded")
    nobody = ((noise, 1.0), (np.ascontiguousarray(flat), 1.0), (shuffled, 0.8))
    for pictures, share in nobody:
        confidence = [mean_confidence(keypoints) for keypoints in estimator(pictures)]
        assert np.mean(np.array(confidence) < RULE.generated_threshold) >= share
