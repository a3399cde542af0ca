import numpy as np
import pytest

from posedive.quality.pixels import C1, C2, iou, psnr, ssim

ALL = np.ones((24, 24), bool)


def flat(value: int) -> np.ndarray:
    return np.full((24, 24, 3), value, np.uint8)


def test_psnr_by_hand():
    # Off by 16 everywhere: 10 log10(255^2 / 16^2).
    assert psnr(flat(100), flat(116), ALL) == pytest.approx(24.048, abs=1e-3)


def test_psnr_of_equal_pictures_is_that_of_rounding():
    # 10 log10(12 * 255^2)
    assert psnr(flat(100), flat(100), ALL) == pytest.approx(58.922, abs=1e-3)


def test_pixels_beyond_the_foreground_do_not_count():
    picture, foreground = flat(100), ALL.copy()
    picture[:, :4], foreground[:, :12] = 255, False
    assert psnr(picture, flat(100), foreground) == psnr(flat(100), flat(100), foreground)
    assert ssim(picture, flat(100), foreground) == pytest.approx(1)
    assert ssim(picture, flat(100), ALL) < 0.9


def test_ssim_of_flat_pictures_is_their_luminance_term():
    # No variance: (2 x y + C1) / (x^2 + y^2 + C1)
    expected = (2 * 100 * 150 + C1) / (100**2 + 150**2 + C1)
    assert ssim(flat(100), flat(150), ALL) == pytest.approx(expected)


def test_ssim_of_a_picture_and_its_negative_is_far_below_zero():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 24, 3), np.uint8)
    assert ssim(noise, 255 - noise, ALL) < -0.8
    assert ssim(noise, noise, ALL) == pytest.approx(1)


def test_ssim_in_the_middle_of_a_step_edge_by_hand():
    # A vertical edge against a flat mean: covariance 0, so the structure term is C2 / (var + C2).
    step, middle = flat(90), np.zeros_like(ALL)
    step[:, 12:] = 110
    middle[12, 11:13] = True
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = np.where(np.arange(11) < 6, 90, 110)  # seen from column 11
    mean = window @ values
    variance = window @ values**2 - mean**2
    expected = (2 * mean * 100 + C1) / (mean**2 + 100**2 + C1) * C2 / (variance + C2)
    assert ssim(step, flat(100), middle) == pytest.approx(expected, rel=1e-3)


def test_iou_by_hand():
    left, middle = np.zeros((4, 8), bool), np.zeros((4, 8), bool)
    left[:, :4], middle[:, 2:6] = True, True
    assert iou(left, middle) == pytest.approx(8 / 24)
    assert iou(left, left) == 1
    assert iou(left, ~left) == 0
    assert iou(~(left | ~left), ~(left | ~left)) == 1
