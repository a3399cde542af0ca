import numpy as np

from posedive.diffusion.paste import keep_scene

RNG = np.random.default_rng(0)
DRAWN, SCENE = (RNG.integers(0, 255, (1, 128, 64, 3)).astype(np.uint8) for _ in range(2))
BODY = np.zeros((1, 128, 64), bool)
BODY[:, 30:100, 20:44] = True


def test_the_person_is_drawn_and_the_scene_carried():
    kept = keep_scene(DRAWN, SCENE, BODY)
    np.testing.assert_array_equal(kept[:, 33:97, 23:41], DRAWN[:, 33:97, 23:41])
    np.testing.assert_array_equal(kept[:, :20], SCENE[:, :20])
    np.testing.assert_array_equal(kept[..., 54:, :], SCENE[..., 54:, :])


def test_what_is_just_beside_the_body_is_drawn_and_there_is_no_seam():
    white, black = np.full_like(DRAWN, 255), np.zeros_like(DRAWN)
    row = keep_scene(white, black, BODY)[0, 64, :, 0].astype(int)
    assert row[19] > 230 and row[12] == 0
    assert np.abs(np.diff(row)).max() < 130


def test_without_a_body_the_picture_stays_and_each_is_treated_alone():
    nobody = np.zeros_like(BODY)
    drawn, scene = (np.concatenate([a, a]) for a in (DRAWN, SCENE))
    kept = keep_scene(drawn, scene, np.concatenate([BODY, nobody]))
    np.testing.assert_array_equal(kept[0], keep_scene(DRAWN, SCENE, BODY)[0])
    np.testing.assert_array_equal(kept[1], DRAWN[0])
