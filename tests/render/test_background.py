import numpy as np
import pytest

from posedive.render.background import folded, mirrored_along_rows, without_person


def street(height=128, width=64) -> np.ndarray:
    """A grey wall above a darker pavement, lighter to the right."""
    tone = np.where(np.arange(height)[:, None] < 80, 160.0, 90.0) + 0.5 * np.arange(width)
    return np.repeat(tone[..., None], 3, axis=2).round().astype(np.uint8)


def test_a_red_person_leaves_no_red_behind():
    scene, body = street(), np.zeros((128, 64), bool)
    body[20:110, 26:40] = True
    # The coat reaches two pixels beyond the body.
    scene[19:111, 24:42] = (200, 20, 20)
    clean = without_person(scene, body).astype(int)
    assert (clean[..., 0] - clean[..., 1]).max() <= 1
    inside = clean[30:60, 26:40, 0]
    assert inside == pytest.approx(street()[30:60, 26:40, 0].astype(int), abs=20)


def test_what_is_far_from_the_person_stays():
    scene, body = street(), np.zeros((128, 64), bool)
    body[40:90, 28:36] = True
    assert (without_person(scene, body)[:, :16] == scene[:, :16]).all()
    assert without_person(scene, np.zeros_like(body)) is scene


def test_a_person_who_fills_the_frame_leaves_a_plain_tone():
    scene = street()
    assert (without_person(scene, np.ones((128, 64), bool)) == scene.mean((0, 1)).round()).all()
    nearly = np.ones((128, 64), bool)
    nearly[:, :3] = False
    assert without_person(scene, nearly).min() >= 80


def test_mirrored_along_rows_a_hole_goes_on_as_its_sides_do():
    scene, hidden = street(), np.zeros((128, 64), bool)
    hidden[20:110, 24:40] = True
    scene[::2, :24] += 9  # a grain of rows
    filled = mirrored_along_rows(np.where(hidden[..., None], 255, scene).astype(np.uint8), hidden)
    np.testing.assert_array_equal(filled[:, :16], scene[:, :16])
    inside = filled[30:76, 24:40]
    assert inside.max() < 210  # nothing of who was there
    assert inside[:, :4].mean() == pytest.approx(scene[30:76, 16:24].mean(), abs=8)
    rows = inside[:, 0, 0]
    assert np.abs(rows[::2].mean() - rows[1::2].mean()) > 5  # sharp still


def test_mirrored_along_rows_takes_the_side_that_there_is():
    scene, hidden = street(), np.zeros((128, 64), bool)
    hidden[:, 30:] = True
    filled = mirrored_along_rows(np.where(hidden[..., None], 255, scene).astype(np.uint8), hidden)
    assert filled.max() < 210


def test_mirrored_along_rows_of_a_person_who_fills_the_frame_is_a_plain_tone():
    scene = street()
    filled = mirrored_along_rows(scene, np.ones((128, 64), bool))
    assert filled == pytest.approx(np.broadcast_to(scene.mean((0, 1)).round(), filled.shape))
    np.testing.assert_array_equal(mirrored_along_rows(scene, np.zeros((128, 64), bool)), scene)


def test_folded_is_a_mirror_at_each_end():
    at = np.array([-3.0, 0.0, 4.0, 10.0, 12.0, 23.0])
    assert folded(at, 10.0).tolist() == [3, 0, 4, 10, 8, 3]
