import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posedive.report import distribution as d


def test_coverage_of_even_cells_is_all_the_bits():
    assert d.coverage(np.full((2, 2), 7.0)) == d.Coverage(4, 0.0, 2.0, 2.0)


def test_coverage_of_one_cell_is_no_bits():
    assert d.coverage(np.array([5.0, 0, 0, 0])) == d.Coverage(4, 0.75, 0.0, 2.0)


def test_coverage_of_nothing_is_all_empty():
    assert d.coverage(np.zeros(4)) == d.Coverage(4, 1.0, 0.0, 2.0)


def test_azimuth_wraps_and_elevation_is_clipped():
    counts = d.view_counts([-1, 359.5, 360, -1e-14, 720.9], [0, 0.9, -95, 90, 12.5])
    assert counts.sum() == 5
    assert counts[359].sum() == 2
    assert counts[0].sum() == 3
    assert counts[0, 0] == 1
    assert counts[0, 179] == 1
    assert counts[0, 102] == 1


def test_the_first_azimuth_bin_is_centred_on_the_front():
    bins = d.azimuth_bins(d.view_counts([351, 9, 11, 180], [0, 0, 0, 0]))
    assert bins.tolist() == [2, 1, *[0] * 7, 1, *[0] * 8]


def test_elevation_span_is_the_multiples_around_what_is_there():
    views = d.view_counts([0, 0], [-3, 44.9])
    assert d.elevation_span(views, 15) == (-15, 45)
    assert d.elevation_bins(views, (-15, 45), 15).tolist() == [1, 0, 0, 1]


def test_view_cells_count_each_image_once():
    rng = np.random.default_rng(0)
    views = d.view_counts(rng.uniform(0, 360, 500).tolist(), rng.uniform(0, 45, 500).tolist())
    cells = d.view_cells(views, (0, 45))
    assert cells.shape == (12, 3)
    assert cells.sum() == 500


def test_joint_rotations_are_scipys():
    body_pose = np.random.default_rng(0).normal(size=(4, 69))
    body_pose[0, :3] = 0
    expected = Rotation.from_rotvec(body_pose.reshape(-1, 3)).as_matrix()
    got = d.joint_rotations(body_pose)
    assert got.reshape(-1, 3, 3) == pytest.approx(expected, abs=1e-12)


def test_poses_that_differ_by_one_joint_lie_on_a_line():
    body_pose = np.zeros((9, 69))
    body_pose[:, 3] = np.linspace(-0.1, 0.1, 9)
    points, explained = d.embed_poses(d.joint_rotations(body_pose))
    assert explained == pytest.approx(1)
    assert abs(np.diff(np.sign(np.diff(points[:, 0])))).max() == 0  # in order along the first axis
    assert abs(points[:, 1]).max() < 0.05 * abs(points[:, 0]).max()


def test_equal_poses_are_one_point():
    points, explained = d.embed_poses(d.joint_rotations(np.zeros((3, 69))))
    assert (points == 0).all()
    assert explained == 1


def test_pose_spread_is_the_mean_angle_of_a_joint():
    body_pose = np.zeros((2, 69))
    body_pose[1, 0] = np.pi / 2  # one joint of 23 by 90 degrees, in half of the draws
    assert d.pose_spread_deg(d.joint_rotations(body_pose)) == pytest.approx(90 / 23 / 2, rel=0.1)
