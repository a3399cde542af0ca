import numpy as np
import pytest

from posedive.render.background import empty_scene, without_person


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


def passer_by(shirt, height=128, width=64) -> tuple[np.ndarray, np.ndarray]:
    """A person in the middle of the street; where they are."""
    scene, body = street(height, width), np.zeros((height, width), bool)
    body[20:110, 26:38] = True
    scene[body] = shirt
    return scene, body


def test_an_empty_scene_shows_nobody_and_is_sharp_behind_them():
    rng = np.random.default_rng(0)
    grain = rng.integers(-20, 21, (4, 128, 64, 1))
    seen = [passer_by(shirt) for shirt in [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]]
    images = [
        (scene + g).clip(0, 255).astype(np.uint8) for (scene, _), g in zip(seen, grain, strict=True)
    ]
    bodies = [body for _, body in seen]
    scene = empty_scene(images, bodies, rng).astype(int)
    assert np.ptp(scene, axis=2).max() <= 1  # all that is coloured is a person
    behind = (slice(30, 100), slice(28, 36), 0)
    assert scene[behind].std(axis=1).mean() > 6  # of a row, whose wall is of one tone
    assert without_person(images[0], bodies[0])[behind].std(axis=1).mean() < 3
    assert (scene[:, :12] == images[0][:, :12]).all()


def test_a_scene_of_one_image_is_that_image_without_its_person():
    scene, body = passer_by((250, 0, 0))
    alone = empty_scene([scene], [body], np.random.default_rng(0)).astype(int)
    assert np.ptp(alone, axis=2).max() <= 1
