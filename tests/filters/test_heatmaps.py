import numpy as np
from transformers.models.vitpose import image_processing_pil_vitpose as published

from posedive.filters.heatmaps import decode, gaussian_heatmaps


def test_a_joint_is_found_where_it_was_put_between_cells():
    points = np.array([[[20.3, 97.6], [9.5, 118.0], [40.0, 64.0]]])
    present = np.array([[True, True, False]])
    heatmaps = gaussian_heatmaps(points, present, (64, 128), (32, 64))
    found = decode(heatmaps, (64, 128))
    assert heatmaps.shape == (1, 3, 64, 32)
    np.testing.assert_allclose(found[0, :2, :2], points[0, :2], atol=0.1)
    # Half a cell off the peak in x and y, at worst: exp(-0.25 / 2.25).
    assert (found[0, :2, 2] > 0.89).all() and (found[0, :2, 2] <= 1).all()
    assert found[0, 2, 2] == 0


def test_decode_agrees_with_the_published_post_processing():
    rng = np.random.default_rng(0)
    points = rng.uniform((12, 12), (180, 240), (3, 17, 2))
    heatmaps = gaussian_heatmaps(points, np.ones((3, 17), bool), (192, 256), (48, 64))
    heatmaps = 0.8 * heatmaps + 0.02 * rng.random(heatmaps.shape, np.float32)
    coords, scores = published.get_keypoint_predictions(heatmaps)
    cells = published.post_dark_unbiased_data_processing(coords, heatmaps, kernel=11)
    ours = decode(heatmaps, (192, 256))
    np.testing.assert_allclose((ours[..., 0] - 0.5) * 47 / 191, cells[..., 0], atol=1e-3)
    np.testing.assert_allclose((ours[..., 1] - 0.5) * 63 / 255, cells[..., 1], atol=1e-3)
    np.testing.assert_allclose(ours[..., 2], scores[..., 0], atol=1e-6)


def test_flat_heatmaps_give_finite_points_of_no_confidence():
    found = decode(np.zeros((1, 17, 64, 32), np.float32), (64, 128))
    assert np.isfinite(found).all() and (found[..., 2] == 0).all()
