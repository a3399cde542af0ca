import pytest
import torch

from posedive.reid.model import ReidModel

CAMIDS = torch.tensor([2, 1, 2, 1, 3, 3])


def pictures() -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 64, 32, 3), generator=rng, dtype=torch.uint8)


@pytest.fixture(params=[False, True], ids=["plain", "camera-wise"])
def model(request):
    torch.manual_seed(0)
    return ReidModel("resnet18-quarter", num_identities=7, camera_wise=request.param)


def test_the_classifier_reads_the_feature_after_the_neck(model):
    feature, logits = model(pictures(), CAMIDS)
    assert feature.shape == (6, 128) and logits.shape == (6, 7)
    torch.testing.assert_close(logits, model.classifier(model.neck(feature)))
    assert model.classifier.bias is None
    assert not model.neck.bias.requires_grad


def test_embeddings_have_length_one(model):
    feature, _ = model(pictures(), CAMIDS)
    torch.testing.assert_close(model.embed(feature).norm(dim=1), torch.ones(6))


def test_a_cameras_features_do_not_hang_on_other_cameras_only_when_camera_wise(model):
    images = pictures()
    changed = images.clone()
    changed[CAMIDS == 3] = 255 - changed[CAMIDS == 3]
    first, second = model(images, CAMIDS)[0], model(changed, CAMIDS)[0]
    moved = (first - second).abs().amax(1) > 1e-5
    assert moved[CAMIDS == 3].all()
    assert moved[CAMIDS != 3].any() != model.camera_wise


def test_the_order_of_a_batch_changes_nothing(model):
    images, order = pictures(), torch.tensor([3, 0, 5, 1, 4, 2])
    feature, _ = model(images, CAMIDS)
    shuffled, _ = model(images[order], CAMIDS[order])
    torch.testing.assert_close(shuffled, feature[order], atol=1e-4, rtol=1e-4)
