"""Batch normalisation camera by camera (CBN, Zhuang et al. 2020): statistics of each camera apart.

In training, a batch comes sorted by camera and is normalised in as many parts; scale and shift are
shared. At test a camera's statistics are those of its own images: `adapted` makes a copy of the
network for one camera. Activations are (batch, channels, height, width).
"""

import copy
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "batch channels height width"],
        images_per_camera: list[int] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """images_per_camera: how many of the batch each camera took, in order; None: one part."""
        if images_per_camera is None:
            return super().forward(x)
        parts = x.split(images_per_camera)
        return torch.cat([super(BatchNorm2d, self).forward(part) for part in parts])


@torch.no_grad()
def adapted(network: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """A copy that normalises by the mean over `batches` of their own statistics, in eval mode."""
    network = copy.deepcopy(network).train()
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain mean of all batches
    for batch in batches:
        network(batch)
    return network.eval()
