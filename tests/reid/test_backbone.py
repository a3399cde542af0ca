import pytest
import torch

from posedive.errors import WeightsError
from posedive.reid.backbone import BACKBONES, BasicBlock, GeM, ResNet, load_pretrained


def tiny() -> ResNet:
    return ResNet(BasicBlock, (1, 1, 1, 1), width=4, last_stride=1)


@pytest.mark.parametrize(
    "name, feature_dim", [("resnet18-quarter", 128), ("resnet50", 2048), ("osnet", 512)]
)
def test_every_backbone_gives_one_feature_per_picture(name, feature_dim):
    with torch.device("meta"):  # shapes without numbers
        backbone = BACKBONES[name]()
        features = backbone(torch.empty(3, 3, 64, 32), [2, 1])
    assert features.shape == (3, feature_dim) and backbone.feature_dim == feature_dim


@pytest.mark.parametrize("name, millions", [("resnet18-quarter", 0.70), ("resnet50", 23.51)])
def test_resnets_have_the_published_number_of_parameters(name, millions):
    # ResNet-50 without classifier has 23,508,032; at a quarter of its width ResNet-18 has 0.70.
    with torch.device("meta"):
        backbone = BACKBONES[name]()
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_gem_lies_between_the_mean_and_the_maximum():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # ((1 + 8 + 27 + 64) / 4) ** (1 / 3)
    assert GeM()(x).item() == pytest.approx(25 ** (1 / 3), rel=1e-5)


def test_imagenet_weights_are_taken_but_for_their_classifier(tmp_path):
    published, ours = tiny(), tiny()
    state = {k: v for k, v in published.state_dict().items() if not k.startswith("pool.")}
    state |= {"fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "imagenet.pth")
    load_pretrained(ours, tmp_path / "imagenet.pth")
    for name, tensor in published.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)


def test_published_names_are_ours():
    with torch.device("meta"):
        names = set(BACKBONES["resnet50"]().state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.1.bias"} < names
    assert {"layer3.5.conv3.weight", "layer4.2.bn3.num_batches_tracked"} < names


def test_weights_of_another_network_are_an_error(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(BACKBONES["osnet"]().state_dict(), path)
    with pytest.raises(WeightsError, match="another network's"):
        load_pretrained(tiny(), path)
    torch.save({"conv1.weight": torch.zeros(9, 3, 7, 7)}, path)
    with pytest.raises(WeightsError, match="other.pth"):
        load_pretrained(tiny(), path)


def test_a_file_that_is_not_there_or_would_run_code_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="missing.pth"):
        load_pretrained(tiny(), tmp_path / "missing.pth")
    path = tmp_path / "code.pth"
    torch.save({"conv1.weight": print}, path)
    with pytest.raises(WeightsError, match=r"code.pth"):
        load_pretrained(tiny(), path)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(WeightsError, match=r"code.pth"):
        load_pretrained(tiny(), path)
