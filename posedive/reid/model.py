"""The network: pictures -> identity logits and features to train, unit features to compare.

In: (batch, height, width, 3) uint8 RGB of one size. The neck (BNNeck, Luo et al. 2019) parts what
the two losses want: the triplet loss takes the feature before a batch normalisation without
shift, the classifier, which has no bias, and retrieval take the one after it.
"""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from posedive.reid.backbone import BACKBONES

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


class ReidModel(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, num_identities: int, camera_wise: bool):
        """backbone: one of BACKBONES. camera_wise: normalise each camera's images apart."""
        super().__init__()
        self.camera_wise = camera_wise
        self.backbone = BACKBONES[backbone]()
        self.neck = nn.BatchNorm1d(self.backbone.feature_dim)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(self.backbone.feature_dim, num_identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD)[:, None, None], persistent=False)

    def forward(
        self, images: UInt8[Tensor, "batch height width 3"], camids: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch feature_dim"], Float[Tensor, "batch identities"]]:
        """For training: the feature before the neck, and the logits after it."""
        if self.camera_wise:
            order = camids.argsort(stable=True)
            _, images_per_camera = camids.unique(return_counts=True)
            by_camera = self.backbone(self.normalise(images[order]), images_per_camera.tolist())
            feature = by_camera[order.argsort()]
        else:
            feature = self.backbone(self.normalise(images))
        return feature, self.classifier(self.neck(feature))

    def normalise(
        self, images: UInt8[Tensor, "batch height width 3"]
    ) -> Float[Tensor, "batch 3 height width"]:
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def embed(
        self, feature: Float[Tensor, "batch feature_dim"]
    ) -> Float[Tensor, "batch feature_dim"]:
        """The backbone's feature after the neck, of length 1."""
        return functional.normalize(self.neck(feature.float()))
