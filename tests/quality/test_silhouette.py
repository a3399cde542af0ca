import math

import numpy as np
import pytest
import torch

from posedive.quality.pixels import iou
from posedive.quality.silhouette import (
    SilhouetteNet,
    silhouette_loss,
    silhouettes,
    train_silhouette,
)


def bright_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A box brighter than the noise about it."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, 32, 16, 3), np.uint8)
    masks = np.zeros((count, 32, 16), bool)
    for image, mask in zip(images, masks, strict=True):
        top, left = rng.integers(2, 12), rng.integers(1, 6)
        mask[top : top + 16, left : left + 8] = True
        image[mask] += 130
    return images, masks


def test_it_learns_what_it_is_shown():
    model = train_silhouette(*bright_boxes(64, seed=0), steps=40, seed=0)
    images, masks = bright_boxes(8, seed=1)
    found = silhouettes(model, images)
    assert found.shape == masks.shape
    assert np.mean([iou(*pair) for pair in zip(found, masks, strict=True)]) > 0.9


def test_a_mask_does_not_depend_on_its_batch():
    images, _ = bright_boxes(40, seed=2)
    model = SilhouetteNet().eval()
    np.testing.assert_array_equal(
        silhouettes(model, images)[33:35], silhouettes(model, images[33:35])
    )


def test_a_picture_of_odd_halves_keeps_its_size():
    images = np.zeros((1, 24, 18, 3), np.uint8)
    assert silhouettes(SilhouetteNet().eval(), images).shape == (1, 24, 18)


def test_the_loss_of_no_opinion_by_hand():
    # Each pixel costs ln 2; Dice is (2 * 0.5 * 2 + 1) / (4 * 0.5 + 2 + 1) = 3/5.
    wanted = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    loss = silhouette_loss(torch.zeros(1, 2, 2), wanted)
    assert loss.item() == pytest.approx(math.log(2) + 0.5 * 2 / 5)
