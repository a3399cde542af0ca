import pytest
import torch
from torch import nn

from posedive.reid.batch_norm import BatchNorm2d, adapted


def activations(*shifts: float) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.cat([shift + torch.randn(6, 3, 4, 4, generator=rng) for shift in shifts])


def test_each_cameras_part_is_normalised_by_itself():
    out = BatchNorm2d(3)(activations(0.0, 50.0), [6, 6])
    for part in out.split(6):
        torch.testing.assert_close(part.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(part.var((0, 2, 3)), torch.ones(3), atol=0.02, rtol=0)


def test_one_part_is_the_usual_normalisation():
    x = activations(0.0, 50.0)
    torch.testing.assert_close(BatchNorm2d(3)(x), nn.BatchNorm2d(3)(x))


def test_an_adapted_copy_normalises_its_camera_and_leaves_the_network_alone():
    norm = BatchNorm2d(3)
    network = nn.Sequential(norm)
    assert norm.running_mean is not None
    before = norm.running_mean.clone()
    camera = activations(50.0)
    copy = adapted(network, camera.split(3))
    assert copy(camera).mean().item() == pytest.approx(0, abs=1e-4)
    # The running variance is the unbiased one.
    assert copy(camera).std().item() == pytest.approx(1, abs=0.02)
    assert not copy.training and network.training
    torch.testing.assert_close(norm.running_mean, before)
