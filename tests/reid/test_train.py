from dataclasses import replace

import numpy as np
import pytest
import torch

from posedive.errors import DatasetError, RunError
from posedive.reid import train as training
from posedive.reid.evaluate import percent, search
from posedive.reid.train import Recipe, learning_rate, train

SHORT = Recipe(
    steps=4, warmup_steps=2, identities_per_batch=4, images_per_identity=2, dtype=torch.float32
)


def weights(model) -> torch.Tensor:
    return torch.cat([tensor.float().flatten() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("camera_wise", [False, True])
def test_coloured_rectangles_are_told_apart_by_unseen_people(draw_people, camera_wise):
    people = draw_people(range(1, 41), images_per_camera=2, seed=0)
    recipe = Recipe(
        steps=80,
        warmup_steps=10,
        learning_rate=5e-3,
        camera_wise=camera_wise,
        dtype=torch.float32,
    )
    model = train(people.images, people.pids, people.camids, recipe)
    query = draw_people(range(100, 120), images_per_camera=1, seed=1)
    gallery = draw_people(range(100, 120), images_per_camera=1, seed=2)
    assert not model.training
    assert percent(search(model, query, gallery))["mAP"] > 80


def test_a_killed_training_goes_on_as_if_it_had_not_been(draw_people, monkeypatch, tmp_path):
    people = draw_people(range(1, 9), images_per_camera=1, seed=0)
    args = (people.images, people.pids, people.camids, SHORT)
    whole = train(*args)
    path, augment = tmp_path / "state.pt", training.augment
    monkeypatch.setattr(training, "STATE_EVERY_STEPS", 2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def killed(images, seed, step):
            if step == 3:
                raise KeyboardInterrupt
            return augment(images, seed, step)

        patch.setattr(training, "augment", killed)
        train(*args, state_path=path)
    resumed = train(*args, state_path=path)
    torch.testing.assert_close(weights(resumed), weights(whole))


def test_generated_images_are_trained_on_as_many_as_asked_for(draw_people):
    people = draw_people(range(1, 9), images_per_camera=2, seed=0)
    generated = np.arange(len(people.pids)) % 2 == 1
    images = people.images.copy()
    with_none = replace(SHORT, generated_per_identity=0)
    first = train(images, people.pids, people.camids, with_none, generated)
    images[generated] = 0
    second = train(images, people.pids, people.camids, with_none, generated)
    torch.testing.assert_close(weights(first), weights(second))
    third = train(images, people.pids, people.camids, SHORT, generated)
    assert (weights(first) - weights(third)).abs().max() > 1e-3


def test_the_last_steps_show_real_images_alone(draw_people, monkeypatch):
    people = draw_people(range(1, 9), images_per_camera=2, seed=0)
    generated = np.arange(len(people.pids)) % 2 == 1
    images, augment, with_generated = people.images.copy(), training.augment, []
    images[generated] = 0

    def watched(batch, seed, step):
        with_generated.append(not batch.any(axis=(1, 2, 3)).all())
        return augment(batch, seed, step)

    monkeypatch.setattr(training, "augment", watched)
    recipe = replace(SHORT, steps=5, real_alone_share=0.4)
    train(images, people.pids, people.camids, recipe, generated)
    assert with_generated == [True, True, True, False, False]


def test_the_rate_warms_up_and_falls_to_nothing():
    recipe = Recipe(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1)
    assert rates[55] == pytest.approx(0.5)
    assert rates[-1] < 0.001


def test_a_loss_that_is_not_finite_is_an_error(draw_people):
    people = draw_people(range(1, 9), images_per_camera=1, seed=0)
    with pytest.raises(RunError, match="at step 4"):
        train(people.images, people.pids, people.camids, replace(SHORT, learning_rate=1e30))


def test_too_few_people_are_an_error(draw_people):
    people = draw_people(range(1, 4), images_per_camera=1, seed=0)
    with pytest.raises(DatasetError, match="at least 4 identities"):
        train(people.images, people.pids, people.camids, SHORT)
