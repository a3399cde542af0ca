"""Rules that cut a set in two, on hand-made views and poses."""

import numpy as np
import pytest

from posedive.datasets import biased
from posedive.errors import DatasetError
from posedive.records import PersonImage


def test_axes_are_measured_from_the_front_and_from_the_left():
    azimuth, elevation = np.array([0.0, 90, 180, 270, 350]), np.array([0.0, 1, 2, 3, 4])
    assert biased.axis_deg(azimuth, elevation, "front_back").tolist() == [0, 90, 180, 90, 10]
    assert biased.axis_deg(azimuth, elevation, "left_right").tolist() == [90, 0, 90, 180, 100]
    assert biased.axis_deg(azimuth, elevation, "elevation").tolist() == [0, 1, 2, 3, 4]


def test_a_cut_through_viewpoints_leaves_the_middle_out():
    elevation = np.arange(100.0)
    halves = biased.halves_by_viewpoint(np.zeros(100), elevation, "elevation", gap_share=0.2)
    assert np.flatnonzero(halves.side == -1).tolist() == list(range(40))
    assert np.flatnonzero(halves.side == 1).tolist() == list(range(60, 100))


def test_whole_cameras_are_parted_where_neighbours_are_furthest_apart_and_do_not_meet():
    rng = np.random.default_rng(0)
    looks_down = {1: 4.0, 2: 20.0, 3: 6.0, 4: 22.0, 5: 5.0}
    camids = np.repeat(list(looks_down), 50)
    elevation = np.array([looks_down[c] for c in camids]) + rng.normal(0, 1, 250)
    elevation[0], elevation[60] = 21, 3  # one image of either half sees as the other does
    azimuth = rng.uniform(0, 360, 250)
    halves = biased.halves_by_camera(azimuth, elevation, camids, "auto", min_share=0.25)
    assert halves.axis == "elevation, degrees"
    assert halves.groups == ((1, 3, 5), (2, 4))
    assert halves.side[[0, 60]].tolist() == [0, 0]
    assert (halves.side == 0).sum() == 2
    low, high = elevation[halves.side == -1], elevation[halves.side == 1]
    assert low.max() < halves.cut < high.min()
    assert biased.overlap(low, high) == 0


def test_cameras_that_differ_in_the_side_they_see_are_parted_by_it():
    rng = np.random.default_rng(0)
    camids = np.repeat([1, 2], 40)
    azimuth = np.where(camids == 1, 90, 270) + rng.normal(0, 20, 80)
    halves = biased.halves_by_camera(azimuth, rng.uniform(0, 9, 80), camids, "auto", 0.25)
    assert halves.axis == "left_right, degrees"
    assert halves.groups == ((1,), (2,))


def test_a_cut_that_would_leave_too_little_on_a_side_is_an_error():
    camids = np.array([1] * 9 + [2])
    with pytest.raises(DatasetError, match="no cut between 2 cameras leaves 25%"):
        biased.halves_by_camera(np.zeros(10), np.arange(10.0), camids, "elevation", 0.25)


def walkers_and_sitters(num: int) -> np.ndarray:
    """(2 num, 69): first legs straight, then hips and knees bent by a right angle."""
    poses = np.random.default_rng(0).normal(0, 0.1, (2 * num, 69))
    poses[num:, [0, 3, 9, 12]] += np.pi / 2
    return poses


def test_clusters_of_poses_fall_on_the_side_of_their_kind():
    poses = walkers_and_sitters(60)
    halves = biased.halves_by_pose(poses, clusters=6, min_share=0.25, gap_share=0, seed=0)
    sides = halves.side[:60], halves.side[60:]
    assert [len(set(side.tolist())) for side in sides] == [1, 1]
    assert sides[0][0] == -sides[1][0] != 0
    assert sum(sum(group) for group in halves.groups) == 120
    gap = biased.halves_by_pose(poses, clusters=6, min_share=0.25, gap_share=0.5, seed=0)
    assert (gap.side == 0).sum() == 60


def test_too_few_poses_for_the_clusters_is_an_error():
    with pytest.raises(DatasetError, match="12 clusters of poses want 24 images"):
        biased.halves_by_pose(walkers_and_sitters(10), 12, 0.25, 0.2, 0)


def test_overlap_by_hand():
    assert biased.overlap(np.array([0.0, 1, 2, 3]), np.array([2.0, 3, 4, 5]), bins=6) == 0.5
    assert biased.overlap(np.arange(4.0), np.arange(4.0)) == 1


def test_people_of_the_test_are_a_share_of_all_drawn_by_the_seed():
    pids = [pid for pid in range(10) for _ in range(3)]
    few = biased.part_people(pids, 0.4, seed=0)
    assert len(few) == 4 and few == biased.part_people(pids, 0.4, seed=0)
    assert few != biased.part_people(pids, 0.4, seed=1)


def split_of(*rows: tuple[int, int, int, bool]) -> dict[str, list[str]]:
    """Of (pid, camid, side, of the test) the keys by split; a key is the row's number."""
    images = [PersonImage(str(i), pid, cam, "train") for i, (pid, cam, _, _) in enumerate(rows)]
    side = np.array([row[2] for row in rows])
    halves = biased.Halves(side, side.astype(float), 0.0, "")
    split = biased.biased_split(images, np.array([row[3] for row in rows]), halves, seed=0)
    return {name: [image.key for image in chosen] for name, chosen in split.items()}


def test_training_takes_the_half_that_has_most_of_its_people_and_the_test_the_other():
    split = split_of(
        *[(1, 1, 1, False)] * 3,
        (1, 2, -1, False),  # the other half
        (2, 1, 1, False),  # one image makes no pair
        (3, 1, -1, True),
        (3, 2, -1, True),
        (3, 2, 1, True),  # the other half
        (3, 2, 0, True),  # between
    )
    assert split["train"] == ["0", "1", "2"]
    assert sorted(split["query"] + split["gallery"]) == ["5", "6"]


def test_each_query_has_a_match_before_another_camera():
    rows = [(9, 1, -1, False)] * 2 + [(pid, cam, 1, True) for pid in (1, 2) for cam in range(1, 6)]
    split = split_of(*rows, (3, 1, 1, True), (3, 1, 1, True))  # 3 is before one camera
    assert len(split["query"]) == 4
    for key in split["query"]:
        pid, cam = rows[int(key)][:2]
        others = [rows[int(found)][:2] for found in split["gallery"][:-2]]
        assert any(of == pid and before != cam for of, before in others)
    assert split["gallery"][-2:] == ["12", "13"]


def test_a_split_without_a_test_says_how_many_images_lie_where():
    with pytest.raises(DatasetError, match="no query and no gallery: of 3 images.*2 lie"):
        split_of((1, 1, -1, False), (1, 1, -1, False), (2, 1, 0, True))
