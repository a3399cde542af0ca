import numpy as np

from posedive.jobs.identity_net import elsewhere


def test_people_stay_and_what_is_behind_them_comes_from_other_images():
    images = np.stack([np.full((64, 32, 3), value, np.uint8) for value in (10, 20, 30, 40)])
    bodies = np.zeros((4, 64, 32), bool)
    bodies[:, 20:50, 12:20] = True
    moved = elsewhere(images, bodies, np.random.default_rng(0))
    assert (moved[bodies] == images[bodies]).all()
    assert {int(image[0, 0, 0]) for image in moved} == {10, 20, 30, 40}
    assert any((moved[:, 0, 0] != images[:, 0, 0]).ravel())
