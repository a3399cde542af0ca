import cv2
import numpy as np

from posedive.diffusion.detail import keep_carried

CLOTH = np.random.default_rng(0).integers(60, 200, (1, 128, 64, 3)).astype(np.uint8)


def blurred(images: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in images])


def far_from(image: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(image.astype(float) - other).mean())


def test_detail_that_the_network_blurred_comes_back():
    drawn = blurred(CLOTH)
    kept = keep_carried(drawn, CLOTH)
    assert far_from(kept, CLOTH) < 0.1 * far_from(drawn, CLOTH)


def test_what_the_network_draws_anew_stays():
    drawn = blurred(CLOTH)
    drawn[:, 30:90, 10:54] = (250, 20, 20)  # a bag
    kept = keep_carried(drawn, CLOTH)
    assert far_from(kept[:, 45:75, 22:42], np.array((250, 20, 20))) < 10
    assert far_from(kept[:, 105:], CLOTH[:, 105:]) < 0.2 * far_from(drawn[:, 105:], CLOTH[:, 105:])


def test_each_picture_is_treated_alone():
    drawn = np.concatenate([blurred(CLOTH), 255 - CLOTH])
    both = np.concatenate([CLOTH, CLOTH])
    apart = [keep_carried(drawn[i : i + 1], both[i : i + 1])[0] for i in (0, 1)]
    np.testing.assert_array_equal(keep_carried(drawn, both), np.stack(apart))
