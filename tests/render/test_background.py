import numpy as np
import pytest

from posedive.render.background import without_person


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
