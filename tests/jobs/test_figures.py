"""Figures of an evaluation, from cases small enough to count by hand."""

import numpy as np
import pytest

from posedive.jobs.figures import Gallery, elevation_group, pose_group, tables
from posedive.jobs.stages.score import ARMS
from posedive.records import Body, Condition, Pair

EAST, NORTH = np.array([1.0, 0]), np.array([0, 1.0])
NOWHERE = Body(np.zeros(10), np.zeros(69), np.zeros(3))
# Two people, each seen by two cameras.
GALLERY = Gallery(
    np.stack([EAST, EAST, NORTH, NORTH]), np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2])
)


def case(pid: int, pose: str, elevation_deg: float) -> Pair:
    condition = Condition(NOWHERE, 0, elevation_deg, 1, f"embedded/{pose}:0001")
    return Pair(f"{pid:04d}_c1s0_000001_0000", 0, pid, 1, "any", condition)


@pytest.fixture
def told():
    """The generator's pictures show person 1 whatever is asked; other arms are the truth."""
    pairs = [case(1, "kick", 3), case(2, "kick", 20), case(2, "run", 29)]
    truth = np.stack([EAST, NORTH, NORTH])
    cases = {"truth_features": truth}
    for arm in ARMS:
        for name in ("oks", "pck", "iou", "psnr_foreground", "ssim_foreground"):
            cases[f"{arm}_{name}"] = np.array([0.2, 0.4, 0.9])
        cases[f"{arm}_features"] = truth
    cases["generated_features"] = np.stack([EAST, EAST, EAST])
    return tables(cases, pairs, GALLERY)


def test_scores_are_means_over_cases(told):
    assert told["oks"] == told["true_oks"] == told["composite_iou"] == 0.5


def test_identity_is_searched_among_real_images_of_other_cameras(told):
    # Each search leaves out camera 1 of its own pid: three images, one of which is right.
    assert told["true_identity_rank1"] == told["true_identity_mAP"] == 1
    assert told["identity_rank1"] == pytest.approx(1 / 3, abs=1e-4)
    # The wrong ones find their person last: precision 1/3.
    assert told["identity_mAP"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3, abs=1e-4)


def test_cosines_and_kid_compare_with_the_truth_of_each_case(told):
    assert told["identity_cosine"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["true_identity_cosine"] == 1 == told["real_identity_cosine"]
    # The kernel is 8 between like, 1 between unlike: 8 within, 10/3 within the truth and between.
    assert told["kid"] == pytest.approx(8 - 10 / 3, abs=1e-4)
    assert told["true_kid"] == 0


def test_groups_hold_their_own_cases(told):
    assert {name: of["cases"] for name, of in told["by_pose"].items()} == {"kick": 2, "run": 1}
    assert {name: of["cases"] for name, of in told["by_elevation"].items()} == {
        "0..15": 1,
        "15..30": 2,
    }
    kick = told["by_pose"]["kick"]
    assert kick["oks"] == 0.3 and kick["identity_rank1"] == 0.5 < kick["true_identity_rank1"]
    assert "kid" not in told["by_pose"]["run"], "one picture has no spread"


def test_names_of_groups():
    assert pose_group("embedded/getup-faceup:0011") == "getup-faceup"
    assert pose_group("amass/CMU/01/01_poses:0100") == "CMU"
    assert pose_group("fits/0001:0000") == "0001"
    assert elevation_group(0) == "0..15" and elevation_group(44.9) == "30..45"
    assert elevation_group(-3) == "-15..0"
