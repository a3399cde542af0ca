"""Backbones: pictures -> one feature of the whole person each.

In: (batch, 3, height, width) float, normalised; and, for camera-wise normalisation, how many of the
batch each camera took, in order. Out: (batch, feature_dim) float. BACKBONES: by the name a recipe
gives. `load_pretrained` reads published ImageNet weights from a local file.
"""

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from posedive.errors import WeightsError
from posedive.reid.batch_norm import BatchNorm2d
from posedive.reid.osnet import OsNet


class GeM(nn.Module):
    """Generalised mean over space, its power learnt (Radenovic et al. 2019, Eq. 3)."""

    def __init__(self):
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels"]:
        powers = x.float().clamp(min=1e-6) ** self.power
        return powers.mean((2, 3)) ** (1 / self.power)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor, images_per_camera: list[int] | None) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x), images_per_camera))
        out = self.bn2(self.conv2(out), images_per_camera)
        return functional.relu(out + _shortened(self.downsample, x, images_per_camera))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        out_channels = self.expansion * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor, images_per_camera: list[int] | None) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x), images_per_camera))
        out = functional.relu(self.bn2(self.conv2(out), images_per_camera))
        out = self.bn3(self.conv3(out), images_per_camera)
        return functional.relu(out + _shortened(self.downsample, x, images_per_camera))


class ResNet(nn.Module):
    """He et al. 2016, tensors named as the published ImageNet weights name them; no classifier."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        width: int,
        last_stride: int,
    ):
        """width: channels of the first stage, 64 as published."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(width)
        channels, stages = width, []
        for depth, first_stride in zip(depths, (1, 2, 2, last_stride), strict=True):
            stage_width = width * 2 ** len(stages)
            blocks = nn.ModuleList()
            for stride in (first_stride, *[1] * (depth - 1)):
                blocks.append(block(channels, stage_width, stride))
                channels = block.expansion * stage_width
            stages.append(blocks)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.pool = GeM()
        self.feature_dim = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self,
        x: Float[Tensor, "batch 3 height width"],
        images_per_camera: list[int] | None = None,
    ) -> Float[Tensor, "batch feature_dim"]:
        return self.pool(self.maps(x, images_per_camera)[-1])

    def maps(
        self, x: Float[Tensor, "batch 3 height width"], images_per_camera: list[int] | None = None
    ) -> list[Tensor]:
        """The feature maps after the first convolution and after each stage."""
        x = functional.relu(self.bn1(self.conv1(x), images_per_camera))
        found = [x]
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, images_per_camera)
            found.append(x)
        return found


BACKBONES: dict[str, Callable[[], ResNet | OsNet]] = {
    # 0.7 million parameters, for CPU: a quarter of the published width.
    "resnet18-quarter": lambda: ResNet(BasicBlock, (2, 2, 2, 2), width=16, last_stride=2),
    # As Re-ID baselines use it: the last stage keeps its resolution (Luo et al. 2019).
    "resnet50": lambda: ResNet(Bottleneck, (3, 4, 6, 3), width=64, last_stride=1),
    # 0.2 million: at x0.25, as its authors call it.
    "osnet": lambda: OsNet(channels=(16, 64, 96, 128)),
}


def load_pretrained(backbone: nn.Module, path: Path) -> None:
    """Takes a state_dict's tensors, but for `fc.*`, the ImageNet classifier, and our pooling.

    Reads tensors only, never code. Raises WeightsError for a file that is no such state_dict.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
        missing, unexpected = backbone.load_state_dict(weights, strict=False)
    # What torch raises for a file that is not there, holds code, or holds other sizes.
    except (OSError, UnpicklingError, RuntimeError, AttributeError) as error:
        raise WeightsError(
            f"{path}: expected the state_dict of a {type(backbone).__name__}, got"
            f" {type(error).__name__}: {error}"
        ) from error
    missing = [name for name in missing if not name.startswith("pool.")]
    if missing or unexpected:
        raise WeightsError(
            f"{path}: expected the tensors of a {type(backbone).__name__},"
            f" missing {missing[:3]}, unexpected {unexpected[:3]}; are they another network's?"
        )


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.ModuleList | None:
    if in_channels == out_channels and stride == 1:
        return None
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.ModuleList([conv, BatchNorm2d(out_channels)])


def _shortened(
    downsample: nn.ModuleList | None, x: Tensor, images_per_camera: list[int] | None
) -> Tensor:
    if downsample is None:
        return x
    conv, norm = downsample
    return norm(conv(x), images_per_camera)
