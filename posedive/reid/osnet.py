"""OSNet (Zhou et al. 2019): features of several scales at once, weighed channel by channel.

In and out as in `backbone`. As published, but that the fully connected layer after the pooling is
left to the last convolution: 512 channels, then the mean over space.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from posedive.reid.batch_norm import BatchNorm2d

FEATURE_DIM = 512
NUM_SCALES = 4
BOTTLENECK = 4  # of a block's channels, and of its gate's


class ConvNorm(nn.Module):
    """Convolution, normalisation and, where asked for, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False
        )
        self.norm = BatchNorm2d(out_channels)

    def forward(self, x: Tensor, images_per_camera: list[int] | None) -> Tensor:
        return self.norm(self.conv(x), images_per_camera)


class LightConv(nn.Module):
    """A 3x3 convolution in two: across channels, then over space (their Fig. 3b)."""

    def __init__(self, channels: int):
        super().__init__()
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.depth = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = BatchNorm2d(channels)

    def forward(self, x: Tensor, images_per_camera: list[int] | None) -> Tensor:
        return functional.relu(self.norm(self.depth(self.point(x)), images_per_camera))


class OmniScaleBlock(nn.Module):
    """Stream t sees 2t + 1 pixels; one gate, shared, weighs each stream's channels (Eq. 3)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        width = out_channels // BOTTLENECK
        self.reduce = ConvNorm(in_channels, width, 1)
        self.streams = nn.ModuleList(
            nn.ModuleList(LightConv(width) for _ in range(scale))
            for scale in range(1, NUM_SCALES + 1)
        )
        hidden = max(width // BOTTLENECK, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, width, 1),
            nn.Sigmoid(),
        )
        self.expand = ConvNorm(width, out_channels, 1)
        same = in_channels == out_channels
        self.shortcut = None if same else ConvNorm(in_channels, out_channels, 1)

    def forward(self, x: Tensor, images_per_camera: list[int] | None) -> Tensor:
        reduced = functional.relu(self.reduce(x, images_per_camera))
        gated = []
        for stream in self.streams:
            scale = reduced
            for conv in stream:  # type: ignore[attr-defined]
                scale = conv(scale, images_per_camera)
            gated.append(self.gate(scale) * scale)
        out = self.expand(torch.stack(gated).sum(0), images_per_camera)
        beside = x if self.shortcut is None else self.shortcut(x, images_per_camera)
        return functional.relu(out + beside)


class OsNet(nn.Module):
    def __init__(self, channels: tuple[int, int, int, int]):
        """channels: of the stem and the three stages; (64, 256, 384, 512) at full width."""
        super().__init__()
        stem, *stages = channels
        self.stem = ConvNorm(3, stem, 7, stride=2)
        self.blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        for before, after in zip(channels, stages, strict=False):
            self.blocks += [OmniScaleBlock(before, after), OmniScaleBlock(after, after)]
            self.transitions.append(ConvNorm(after, after, 1))
        self.last = ConvNorm(channels[-1], FEATURE_DIM, 1)
        self.feature_dim = FEATURE_DIM

    def forward(
        self,
        x: Float[Tensor, "batch 3 height width"],
        images_per_camera: list[int] | None = None,
    ) -> Float[Tensor, "batch feature_dim"]:
        x = functional.relu(self.stem(x, images_per_camera))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage, transition in enumerate(self.transitions):
            for block in self.blocks[2 * stage : 2 * stage + 2]:
                x = block(x, images_per_camera)
            x = functional.relu(transition(x, images_per_camera))
            if stage < 2:
                x = functional.avg_pool2d(x, 2)
        x = functional.relu(self.last(x, images_per_camera))
        return x.float().mean((2, 3))
