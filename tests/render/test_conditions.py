import numpy as np

from posedive.render.appearance import join
from posedive.render.conditions import draw_conditions, read_sighting
from posedive.render.maps import condition_fit
from tests.render.people import STANDING, STRIDING, condition

SIZE = (64, 128)


def test_without_looks_the_appearance_is_empty_and_the_composite_black(model):
    drawn = draw_conditions(model, condition_fit(model, condition(STRIDING), SIZE), SIZE, None)
    assert set(drawn.maps) == {"depth", "normals", "skeleton", "appearance"}
    assert drawn.maps["appearance"].shape == (128, 64, 4)
    assert not drawn.maps["appearance"].any() and not drawn.composite.any()
    assert drawn.target.mask.any() and drawn.maps["depth"].any()


def test_with_looks_the_person_is_carried_before_the_background(model):
    seen = condition_fit(model, condition(STANDING), SIZE)
    red = np.full((128, 64, 3), (200, 30, 30), np.uint8)
    looks = join(model, read_sighting(model, red, seen))
    blue = np.full((128, 64, 3), (0, 0, 200), np.uint8)
    target = condition_fit(model, condition(STRIDING, 40.0), SIZE)
    drawn = draw_conditions(model, target, SIZE, looks, background=blue)
    appearance, mask = drawn.maps["appearance"], drawn.target.mask
    assert (appearance[mask][:, 0] > 150).mean() > 0.9
    assert (drawn.composite[2, 2] == (0, 0, 200)).all()
    assert not appearance[~mask].any()
