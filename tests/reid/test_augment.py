import numpy as np

from posedive.reid.augment import ERASE_COLOUR, augment


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 50, 25, 3), dtype=np.uint8)


def test_shape_and_dtype_are_kept_and_the_given_pictures_left_alone():
    images = pictures(16)
    before = images.copy()
    changed = augment(images, seed=0, step=0)
    assert changed.shape == images.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


def test_a_batch_follows_from_seed_and_step():
    images = pictures(8)
    np.testing.assert_array_equal(augment(images, 3, 5), augment(images, 3, 5))
    assert (augment(images, 3, 5) != augment(images, 3, 6)).any()
    assert (augment(images, 3, 5) != augment(images, 4, 5)).any()


def test_half_of_the_pictures_are_mirrored():
    # Left half dark, right half bright: what is left of an erased picture tells.
    images = np.zeros((400, 50, 25, 3), np.uint8)
    images[:, :, 13:] = 200
    changed = augment(images, seed=0, step=0)[:, 25]
    erased = (changed == ERASE_COLOUR).all(-1)
    left = np.ma.array(changed[:, :12].mean(-1), mask=erased[:, :12]).mean(1)
    right = np.ma.array(changed[:, 13:].mean(-1), mask=erased[:, 13:]).mean(1)
    assert 0.4 < np.ma.mean(left > right) < 0.6


def test_half_of_the_pictures_have_a_box_erased_of_the_published_area():
    images = np.full((400, 50, 25, 3), 7, np.uint8)
    areas = (augment(images, seed=0, step=0) == ERASE_COLOUR).all(-1).mean((1, 2))
    assert 0.4 < np.mean(areas > 0) < 0.6
    assert areas.max() < 0.42
    assert 0.15 < areas[areas > 0].mean() < 0.25
