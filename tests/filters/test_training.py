import json

import numpy as np
import pytest
from transformers import VitPoseConfig

from posedive.filters import training
from posedive.filters.augment import Example, augment, background_behind, flip
from posedive.filters.pose_estimator import PoseEstimator


@pytest.fixture
def smallest(monkeypatch):
    tiny_config = training.tiny_config

    def config() -> VitPoseConfig:
        full = tiny_config().to_dict()
        backbone = {
            "model_type": "vitpose_backbone",
            "image_size": [128, 64],
            "patch_size": [8, 8],
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "out_indices": [1],
        }
        return VitPoseConfig.from_dict(full | {"backbone_config": backbone})

    monkeypatch.setattr(training, "tiny_config", config)


def test_a_killed_training_goes_on_as_if_it_had_not_been(
    smallest, monkeypatch, tmp_path, draw_stick_figures
):
    examples = draw_stick_figures(16, seed=0)
    monkeypatch.setattr(training, "STATE_EVERY_STEPS", 2)
    whole = training.train_on(examples, tmp_path / "whole", steps=5, seed=0, batch_size=4)

    batch = training.draw_batch
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def killed(examples, batch_size, seed, step):
            if step == 4:
                raise KeyboardInterrupt
            return batch(examples, batch_size, seed, step)

        patch.setattr(training, "draw_batch", killed)
        training.train_on(examples, tmp_path / "cut", steps=5, seed=0, batch_size=4)
    resumed = training.train_on(examples, tmp_path / "cut", steps=5, seed=0, batch_size=4)

    pictures = examples.images[:3]
    expected = PoseEstimator.load(str(whole))(pictures)
    np.testing.assert_allclose(PoseEstimator.load(str(resumed))(pictures), expected, atol=1e-3)


def test_training_learns_and_leaves_a_folder_that_loads(smallest, tmp_path, draw_stick_figures):
    examples = draw_stick_figures(64, seed=0)
    images, targets = training.draw_batch(examples, 32, seed=9, step=0)
    preprocess = training.own_preprocess()

    def loss_of(folder) -> float:
        estimator = PoseEstimator.load(str(folder))
        return training.heatmap_loss(estimator.model, preprocess(images), targets).item()

    early = training.train_on(examples, tmp_path / "early", steps=1, seed=0, batch_size=16)
    late = training.train_on(examples, tmp_path / "late", steps=40, seed=0, batch_size=16)
    assert loss_of(late) < 0.9 * loss_of(early)
    assert json.loads((late / "config.json").read_text())["model_type"] == "vitpose"
    assert PoseEstimator.load(str(late)).preprocess == preprocess


def test_a_batch_is_a_function_of_seed_and_step(draw_stick_figures):
    examples = draw_stick_figures(8, seed=0)
    first, again = (training.draw_batch(examples, 4, seed=1, step=7) for _ in range(2))
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (training.draw_batch(examples, 4, seed=1, step=8)[0] != first[0]).any()


def test_flip_exchanges_left_and_right_at_pixel_centres(draw_stick_figures):
    example = draw_stick_figures(1, seed=0)[0]
    mirrored = flip(example)
    np.testing.assert_array_equal(mirrored.image, example.image[:, ::-1])
    np.testing.assert_allclose(mirrored.joints[5, 0], 64 - example.joints[6, 0])
    np.testing.assert_allclose(flip(mirrored).joints, example.joints, atol=1e-4)


def test_augmented_joints_stay_on_the_body(draw_stick_figures):
    examples = draw_stick_figures(8, seed=0)
    rng, on_body, seen, without = np.random.default_rng(0), 0, 0, 0
    for draw in range(400):
        changed = augment(examples[draw % 8], examples[(draw + 1) % 8], rng)
        assert changed.image.shape == (128, 64, 3) and changed.image.dtype == np.uint8
        present = changed.joints[:, 2] > 0
        without += not present.any()
        for x, y in changed.joints[5:][present[5:], :2]:
            column, row = int(x), int(y)
            near = changed.mask[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            on_body, seen = on_body + near.any(), seen + 1
    assert on_body / seen > 0.98
    assert 0.03 < without / 400 < 0.12


def test_the_background_behind_a_body_shows_no_body():
    image = np.full((128, 64, 3), 200, np.uint8)
    mask = np.zeros((128, 64), bool)
    mask[30:90, 20:44] = True
    image[mask] = 10
    assert np.abs(background_behind(image, mask).astype(int) - 200).max() <= 2
    example = Example(image, mask, np.zeros((17, 3), np.float32))
    assert example.mask.sum() == 60 * 24
