import math

import numpy as np
import pytest

from posedive.filters.rules import (
    REASONS,
    SIGMAS,
    Verdict,
    accept_generated,
    accept_identity,
    accept_reference,
    accept_target,
    mean_confidence,
    oks,
    pck,
)


def keypoints(confidence: float = 0.9, shift_px: float = 0.0) -> np.ndarray:
    points = np.zeros((17, 3), np.float32)
    points[:, 0] = np.arange(17) + shift_px
    points[:, 1] = 10
    points[:, 2] = confidence
    return points


def accept(found: np.ndarray, expected: np.ndarray, reference_confidence: float = 0.9):
    return accept_generated(
        found,
        expected,
        area_px=900.0,
        reference_confidence=reference_confidence,
        threshold=0.6,
        max_confidence_difference=0.1,
        min_oks=0.5,
    )


def test_mean_confidence_counts_every_joint():
    points = keypoints(1.0)
    points[:5, 2] = 0
    assert mean_confidence(points) == pytest.approx(12 / 17)


def test_oks_is_one_where_all_joints_agree():
    assert oks(keypoints(), keypoints(1), 900.0) == 1.0


def test_oks_of_one_shifted_joint_is_the_formula_by_hand():
    found, expected = keypoints(), keypoints(1)
    found[9, 0] += 3  # left wrist; k = 2 * 0.062, s^2 = 900: exp(-9 / (2 * 900 * 0.015376))
    assert SIGMAS[9] == 0.062
    assert oks(found, expected, 900.0) == pytest.approx((16 + math.exp(-9 / 27.6768)) / 17)


def test_oks_leaves_out_joints_beyond_the_frame():
    found, expected = keypoints(), keypoints(1)
    found[16, 0] += 500
    expected[16, 2] = 0
    assert oks(found, expected, 900.0) == 1.0
    expected[:, 2] = 0
    assert oks(found, expected, 900.0) == 0.0


def test_pck_is_the_share_of_joints_within_a_tenth_of_the_bodys_longer_side():
    found, expected = keypoints(), keypoints(1)
    found[:3, 1] += 10  # of a body 100 pixels long: just near enough
    found[3:6, 1] += 10.1
    assert pck(found, expected, body_px=100) == pytest.approx(14 / 17)


def test_pck_counts_no_joint_beyond_the_frame():
    found, expected = keypoints(), keypoints(1)
    found[3:6, 1] += 50
    expected[3:6, 2] = 0
    assert pck(found, expected, body_px=100) == 1
    expected[:, 2] = 0
    assert pck(found, expected, body_px=100) == 0


def test_oks_counts_a_joint_by_the_confidence_it_was_found_with():
    found, expected = keypoints(1.0), keypoints(1)
    found[9, 0] += 500
    found[9, 2] = 0.25
    assert oks(found, expected, 900.0) == pytest.approx(16 / 16.25)
    found[:, 2] = 0
    assert oks(found, expected, 900.0) == 0.0


def test_the_threshold_itself_is_accepted():
    assert accept_reference(0.6, 0.6).kept
    assert accept_target(0.6, 0.6).kept
    assert accept_reference(0.59, 0.6).reason == "reference_low_confidence"
    assert accept_target(0.59, 0.6).reason == "target_low_confidence"


def test_a_generated_picture_is_kept_with_its_scores():
    verdict = accept(keypoints(0.85), keypoints(1))
    assert verdict.kept and verdict.reason == ""
    assert verdict.scores["confidence"] == pytest.approx(0.85)
    assert verdict.scores["reference_confidence"] == 0.9
    assert verdict.scores["oks"] == 1.0


def test_each_rule_gives_its_own_reason():
    assert accept(keypoints(0.55), keypoints(1)).reason == "low_confidence"
    assert accept(keypoints(0.75), keypoints(1)).reason == "confidence_drop"
    assert accept(keypoints(0.85, 20), keypoints(1)).reason == "position_disagrees"
    assert {"low_confidence", "confidence_drop", "position_disagrees"} < set(REASONS)


def test_a_picture_of_somebody_else_is_told_by_the_cosine():
    assert accept_identity(0.4, 0.4) == Verdict(True, scores={"identity": 0.4})
    refused = accept_identity(0.39, 0.4)
    assert (refused.kept, refused.reason) == (False, "identity_disagrees")


def test_a_picture_clearer_than_its_reference_is_no_fault():
    assert accept(keypoints(0.95), keypoints(1), reference_confidence=0.65).kept


def test_an_exchange_of_left_and_right_is_noticed():
    expected = keypoints(1)
    expected[1::2, 0], expected[2::2, 0] = 8.0, 24.0
    found = expected.copy()
    found[1::2], found[2::2] = expected[2::2], expected[1::2]
    assert oks(expected, expected, 900.0) == 1.0
    assert accept(found * (1, 1, 0.9), expected).reason == "position_disagrees"
