import pytest
import torch
from torch import Tensor, nn

from posedive.diffusion.perceptual import PerceptualLoss


@pytest.fixture
def loss() -> PerceptualLoss:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3, padding=1)
    return PerceptualLoss(network, lambda pixels: [pixels, network(pixels)])


def draw(seed: int) -> Tensor:
    return torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(seed))


def test_a_picture_is_like_itself_and_unlike_another(loss):
    ones = torch.ones(2, 1, 4, 2)
    torch.testing.assert_close(loss(draw(0), draw(0), ones), torch.zeros(2))
    assert (loss(draw(0), draw(1), ones) > 0.5).all()


def test_opposite_features_are_four_apart_and_orthogonal_ones_two():
    alone = PerceptualLoss(nn.Identity(), lambda pixels: [pixels])
    red, green = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    red[:, 0], green[:, 1] = 3.0, 0.5  # lengths don't count
    ones = torch.ones(1, 1, 2, 2)
    torch.testing.assert_close(alone(red, -red, ones), torch.tensor([4.0]))
    torch.testing.assert_close(alone(red, green, ones), torch.tensor([2.0]))


def test_weights_say_where_a_difference_counts(loss):
    truth, left = draw(0), draw(0)
    left[..., :2] += draw(1)[..., :2]
    on_left = torch.zeros(2, 1, 8, 4)
    on_left[..., :2] = 1
    there, elsewhere = loss(left, truth, 1 + 2 * on_left), loss(left, truth, 3 - 2 * on_left)
    assert (there > 1.5 * elsewhere).all()


def test_the_network_stays_frozen_and_the_picture_learns(loss):
    pixels = draw(0).requires_grad_()
    loss.train()(pixels, draw(1), torch.ones(2, 1, 8, 4)).sum().backward()
    assert pixels.grad is not None and pixels.grad.abs().sum() > 0
    assert not loss.network.training
    assert all(p.grad is None for p in loss.network.parameters())
