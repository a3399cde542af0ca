import cv2
import numpy as np

from posedive.diffusion.carried import keep_carried

RNG = np.random.default_rng(0)
SCENE = RNG.integers(60, 90, (1, 128, 64, 3)).astype(np.uint8)
DEPARTED = SCENE + np.uint8(120)
BODY = np.zeros((1, 128, 64), bool)
BODY[:, 30:100, 20:44] = True


def test_where_it_departs_the_person_is_drawn_and_the_scene_is_carried_always():
    kept = keep_carried(DEPARTED, SCENE, BODY)
    np.testing.assert_array_equal(kept[:, 33:97, 23:41], DEPARTED[:, 33:97, 23:41])
    np.testing.assert_array_equal(kept[:, :20], SCENE[:, :20])
    np.testing.assert_array_equal(kept[..., 54:, :], SCENE[..., 54:, :])


def test_detail_is_the_composites_where_the_picture_is_the_same_but_for_it():
    blurred = cv2.GaussianBlur(SCENE[0], (0, 0), 2)[None]
    kept = keep_carried(blurred, SCENE, BODY)
    lost, left = (np.abs(a.astype(float) - SCENE)[BODY].mean() for a in (blurred, kept))
    assert left < 0.1 * lost


def test_a_picture_may_depart_in_one_place_alone():
    drawn = cv2.GaussianBlur(SCENE[0], (0, 0), 2)[None]
    drawn[:, 70:100] += 120
    kept = keep_carried(drawn, SCENE, BODY)
    np.testing.assert_array_equal(kept[:, 75:95, 24:40], drawn[:, 75:95, 24:40])
    assert np.abs(kept.astype(int) - SCENE)[:, 30:55, 24:40].max() <= 2


def test_what_is_just_beside_the_body_is_drawn_and_there_is_no_seam():
    white, black = np.full_like(SCENE, 255), np.zeros_like(SCENE)
    row = keep_carried(white, black, BODY)[0, 64, :, 0].astype(int)
    assert row[19] > 230 and row[12] == 0
    assert np.abs(np.diff(row)).max() < 130


def test_without_a_body_the_picture_stays_and_each_is_treated_alone():
    nobody = np.zeros_like(BODY)
    drawn, scene = (np.concatenate([a, a]) for a in (DEPARTED, SCENE))
    kept = keep_carried(drawn, scene, np.concatenate([BODY, nobody]))
    np.testing.assert_array_equal(kept[0], keep_carried(DEPARTED, SCENE, BODY)[0])
    np.testing.assert_array_equal(kept[1], DEPARTED[0])
