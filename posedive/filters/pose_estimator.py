"""The pose estimator: pictures of one person each -> COCO-17 keypoints with confidence.

transformers' VitPoseForPoseEstimation, whether embedded, a folder, or a published checkpoint by
its hub name; weights are safetensors only, since a pickle could run code. Preprocessing follows
the checkpoint's own preprocessor_config.json: size, mean, std, and `do_affine_transform`, which
means the published crop: the person's box (here the whole picture) widened by 1.25, black beyond
the picture. Evaluation is deterministic and a picture's result does not depend on its batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional
from transformers import VitPoseForPoseEstimation

from posedive.body.skeleton import COCO_FLIP
from posedive.errors import WeightsError
from posedive.filters import ESTIMATORS
from posedive.filters.heatmaps import decode
from posedive.pretrained import digest_of, load_pretrained, normalised

COCO_JOINTS = 17
# Pictures at a time, so that memory is bounded whatever the caller's batch.
BATCH = 32
PUBLISHED_PADDING = 1.25


@dataclass(frozen=True)
class Preprocess:
    """size (width, height) of the network's input; padding widens the picture about its centre."""

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float
    padding: float

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Preprocess":
        """`config` is the parsed preprocessor_config.json."""
        return cls(
            size=(config["size"]["width"], config["size"]["height"]),
            mean=tuple(config["image_mean"]),
            std=tuple(config["image_std"]),
            rescale=config.get("rescale_factor", 1 / 255),
            padding=PUBLISHED_PADDING if config.get("do_affine_transform", True) else 1.0,
        )

    def margins(self, width: int, height: int) -> tuple[int, int]:
        """Pixels added left and right, and above and below, to reach the input's aspect ratio."""
        aspect = self.size[0] / self.size[1]
        crop_width = max(width, height * aspect) * self.padding
        crop_height = max(height, width / aspect) * self.padding
        return round((crop_width - width) / 2), round((crop_height - height) / 2)

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Pictures with values 0..255 -> the network's input (batch 3 input_height input_width)."""
        across, down = self.margins(images.shape[3], images.shape[2])
        images = functional.pad(images, (across, across, down, down))
        return normalised(images, self.size, self.mean, self.std, self.rescale)

    def to_picture(
        self, points: Float[np.ndarray, "batch joints 2"], width: int, height: int
    ) -> np.ndarray:
        """Pixels of the network's input -> pixels of the picture that was given."""
        across, down = self.margins(width, height)
        crop = np.array([width + 2 * across, height + 2 * down])
        return points * crop / np.array(self.size) - np.array([across, down])


class PoseEstimator:
    """Keeps the weights, `name` and `digest` (sha256 of weights and preprocessing)."""

    def __init__(self, name: str, model: VitPoseForPoseEstimation, preprocess: Preprocess):
        self.name = name
        self.model = model.float().eval().requires_grad_(False)
        self.preprocess = preprocess
        self.digest = digest_of(model, preprocess)

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "PoseEstimator":
        """`name`: "embedded", a folder, or a hub repository. Raises WeightsError."""
        model, preprocess = load_pretrained(
            name,
            VitPoseForPoseEstimation,
            Preprocess.from_config,
            ESTIMATORS,
            "pose estimator",
            "usyd-community/vitpose-base-simple",
        )
        if model.config.num_labels != COCO_JOINTS:
            raise WeightsError(
                f"pose estimator {name!r}: expected COCO's {COCO_JOINTS} keypoints,"
                f" got {model.config.num_labels}"
            )
        return cls(name, model.to(device), preprocess)

    @torch.inference_mode()
    def heatmaps(self, pixels: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Of preprocessed pictures: the mean over the picture and its mirror image, as ViTPose is
        evaluated. Where the two disagree on which side is left, neither peak stays high."""
        mirrored = self._raw(pixels.flip(-1)).flip(-1)[:, COCO_FLIP]
        return (self._raw(pixels) + mirrored) / 2

    def _raw(self, pixels: Tensor) -> Tensor:
        # ViTPose+ chooses an expert by data set; 0 is COCO.
        backbone: Any = self.model.config.backbone_config
        index = torch.zeros(len(pixels), dtype=torch.long, device=pixels.device)
        return self.model(
            pixels, dataset_index=index if backbone.num_experts > 1 else None
        ).heatmaps

    def __call__(
        self, images: UInt8[np.ndarray, "batch height width 3"]
    ) -> Float[np.ndarray, "batch joints 3"]:
        """x px, y px (centres at half-integers) in the given pictures, and confidence in [0, 1]."""
        height, width = images.shape[1:3]
        found = [np.zeros((0, COCO_JOINTS, 3), np.float32)]
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
            batch = batch.to(self.model.device).permute(0, 3, 1, 2).float()
            heatmaps = self.heatmaps(self.preprocess(batch)).cpu().numpy()
            keypoints = decode(heatmaps, self.preprocess.size)
            keypoints[..., :2] = self.preprocess.to_picture(keypoints[..., :2], width, height)
            found.append(keypoints)
        return np.concatenate(found)
