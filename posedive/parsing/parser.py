"""The human parser: pictures of one person each -> the share of each of records.PARTS in a pixel.

transformers' AutoModelForSemanticSegmentation, whether embedded, a folder, or a published
checkpoint by its hub name. Published ones (ATR's and LIP's labels) are read by their labels' names;
preprocessing is the checkpoint's. A network of six input channels, as the embedded one, reads the
normals of the picture's SMPL fit as well: where a back is, there may be a backpack.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForSemanticSegmentation

from posedive.errors import WeightsError
from posedive.parsing import PARSERS
from posedive.pretrained import digest_of, load_pretrained, normalised
from posedive.records import PARTS

# Pictures at a time, so that memory is bounded whatever the caller's batch.
BATCH = 16
_NORMALS_MEAN, _NORMALS_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
# A label's name, small and without what is not a letter, by what it counts as; all others are body.
_NAMED = {
    "background": "background",
    "skirt": "skirt",
    "dress": "skirt",
    "hair": "hair",
    "hat": "hat",
    "bag": "bag",
}


@dataclass(frozen=True)
class Preprocess:
    """size (width, height) of the network's input."""

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Preprocess":
        """`config` is the parsed preprocessor_config.json."""
        size = config["size"]
        return cls(
            size=(size["width"], size["height"]) if isinstance(size, dict) else (size, size),
            mean=tuple(config["image_mean"]),
            std=tuple(config["image_std"]),
            rescale=config.get("rescale_factor", 1 / 255),
        )

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Pictures with values 0..255 -> the network's input (batch 3 input_height input_width)."""
        return normalised(images, self.size, self.mean, self.std, self.rescale)


def network_input(
    preprocess: Preprocess,
    pixels: Float[Tensor, "batch 3 height width"],
    normals: Float[Tensor, "batch 3 height width"],
) -> Tensor:
    """Both with values 0..255 -> (batch 6 input_height input_width)."""
    as_seen = replace(preprocess, mean=_NORMALS_MEAN, std=_NORMALS_STD, rescale=1 / 255)
    return torch.cat([preprocess(pixels), as_seen(normals)], dim=1)


class Parser:
    """Keeps the weights, and `digest`, sha256 of weights and preprocessing."""

    def __init__(self, name: str, model: Any, preprocess: Preprocess):
        self.model = model.float().eval().requires_grad_(False)
        self.preprocess = preprocess
        self.reads_normals = next(p for p in model.parameters() if p.ndim == 4).shape[1] == 6
        labels = [model.config.id2label[k] for k in range(model.config.num_labels)]
        self.part_of_label = torch.tensor([_part(label) for label in labels])
        absent = set(range(len(PARTS))) - set(self.part_of_label.tolist())
        if absent:
            missing = ", ".join(PARTS[k] for k in sorted(absent))
            raise WeightsError(
                f"parser {name!r}: expected labels for {missing} as well, got {', '.join(labels)}"
            )
        self.digest = digest_of(model, preprocess)

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "Parser":
        """`name`: "embedded", a folder, or a hub repository. Raises WeightsError."""
        model, preprocess = load_pretrained(
            name,
            AutoModelForSemanticSegmentation,
            Preprocess.from_config,
            PARSERS,
            "parser",
            "mattmdjaga/segformer_b2_clothes",
        )
        return cls(name, model.to(device), preprocess)

    @torch.inference_mode()
    def __call__(
        self,
        images: UInt8[np.ndarray, "batch height width 3"],
        normals: UInt8[np.ndarray, "batch height width 3"],
    ) -> Float[np.ndarray, "batch height width parts"]:
        """normals: render.maps' of the pictures' fits."""
        height, width = images.shape[1:3]
        found = [np.zeros((0, height, width, len(PARTS)), np.float32)]
        for start in range(0, len(images), BATCH):
            pixels = self._tensor(images[start : start + BATCH])
            if self.reads_normals:
                turned = self._tensor(normals[start : start + BATCH])
                prepared = network_input(self.preprocess, pixels, turned)
            else:
                prepared = self.preprocess(pixels)
            logits = self.model(prepared).logits
            logits = functional.interpolate(logits, size=(height, width), mode="bilinear")
            shares = torch.zeros(len(logits), len(PARTS), height, width, device=logits.device)
            shares.index_add_(1, self.part_of_label.to(logits.device), logits.softmax(1))
            found.append(shares.permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(found)

    def _tensor(self, images: np.ndarray) -> Tensor:
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.model.device)
        return batch.permute(0, 3, 1, 2).float()


def _part(label: str) -> int:
    name = "".join(c for c in label.lower() if c.isalpha())
    return PARTS.index(_NAMED.get(name, "body"))
