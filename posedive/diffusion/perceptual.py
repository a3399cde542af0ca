"""How alike two pictures look to a network: what squared error alone leaves blurred.

A network's feature maps, scaled to unit length at each place, are compared place by place (Zhang
et al. 2018, arXiv 1801.03924, Eq. 1, all channels alike). With a network that tells people apart,
what is kept sharp is what people are told apart by.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional


class PerceptualLoss(nn.Module):
    def __init__(self, network: nn.Module, maps: Callable[[Tensor], Sequence[Tensor]]):
        """network: kept frozen, in eval mode. maps: pixels (batch, 3, H, W) in [-1, 1] -> its
        feature maps, each (batch, channels, h, w)."""
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.maps = maps

    def train(self, mode: bool = True) -> "PerceptualLoss":
        del mode  # a judge's statistics stay as they are
        return super().train(False)

    def forward(self, pixels: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
        """(batch,); weights: (batch, 1, h', w'), how much each part of the picture counts."""
        total = pixels.new_zeros(len(pixels))
        for ours, theirs in zip(self.maps(pixels), self.maps(truth), strict=True):
            apart = functional.normalize(ours.float(), dim=1) - functional.normalize(
                theirs.float(), dim=1
            )
            cells = functional.adaptive_avg_pool2d(weights, (apart.shape[-2], apart.shape[-1]))
            cells = cells / cells.mean((1, 2, 3), keepdim=True)
            total = total + (apart.square().sum(1, keepdim=True) * cells).mean((1, 2, 3))
        return total
