import math

import pytest
import torch

from posedive.reid.losses import id_loss, triplet_loss


def test_id_loss_is_smoothed_cross_entropy_by_hand():
    logits, labels = torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.tensor([0])
    log_sum = math.log(math.exp(2) + 3)
    # The label has 0.9 + 0.1 / 4 of the mass, each other person 0.1 / 4.
    expected = -(0.925 * (2 - log_sum) + 3 * 0.025 * (0 - log_sum))
    assert id_loss(logits, labels).item() == pytest.approx(expected)


def test_triplet_loss_takes_the_farthest_positive_and_the_nearest_negative():
    # On a line: person 0 at 0, 1 and 3, person 1 at 4 and 9.
    features = torch.tensor([[0.0], [1.0], [3.0], [4.0], [9.0]])
    labels = torch.tensor([0, 0, 0, 1, 1])
    differences = [3 - 4, 2 - 3, 3 - 1, 5 - 1, 5 - 6]
    hard = sum(max(d + 0.3, 0) for d in differences) / 5
    soft = sum(math.log1p(math.exp(d)) for d in differences) / 5
    assert triplet_loss(features, labels, 0.3).item() == pytest.approx(hard, rel=1e-5)
    assert triplet_loss(features, labels, None).item() == pytest.approx(soft, rel=1e-5)


def test_identical_features_have_finite_gradients():
    features = torch.ones(4, 8, requires_grad=True)
    triplet_loss(features, torch.tensor([0, 0, 1, 1]), None).backward()
    assert features.grad is not None and torch.isfinite(features.grad).all()
