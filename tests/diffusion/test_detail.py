import cv2
import numpy as np

from posedive.diffusion.detail import keep_carried

CLOTH = np.random.default_rng(0).integers(60, 200, (1, 128, 64, 3)).astype(np.uint8)
ALL = np.ones((1, 128, 64), bool)


def blurred(images: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in images])


def far_from(image: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(image.astype(float) - other).mean())


def test_detail_that_the_network_blurred_comes_back():
    drawn = blurred(CLOTH)
    kept = keep_carried(drawn, CLOTH, ALL)
    assert far_from(kept, CLOTH) < 0.1 * far_from(drawn, CLOTH)


def test_what_the_network_draws_anew_stays():
    drawn = blurred(CLOTH)
    drawn[:, 30:90, 10:54] = (250, 20, 20)  # a bag
    kept = keep_carried(drawn, CLOTH, ALL)
    inside = kept[:, 45:75, 22:42]
    assert far_from(inside, np.array((250, 20, 20))) < 10


def test_around_the_person_nothing_changes():
    drawn, person = blurred(CLOTH), ALL.copy()
    person[:, :, 20:] = False
    kept = keep_carried(drawn, CLOTH, person)
    assert (kept[:, :, 20:] == drawn[:, :, 20:]).all()
    assert (kept[:, :, :20] != drawn[:, :, :20]).mean() > 0.5


def test_without_a_carried_person_pictures_are_as_drawn():
    drawn = blurred(CLOTH)
    assert (keep_carried(drawn, np.zeros_like(drawn), ~ALL) == drawn).all()
