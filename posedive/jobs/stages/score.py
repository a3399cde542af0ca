"""Score: a cell's number -> the scores of its pictures, a row per case; Recognise: images of the
set -> their features. Both see with the judges' eyes."""

import numpy as np
import torch

from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import oks, pck
from posedive.jobs.blocks import read_block
from posedive.jobs.judges import judges_of
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows
from posedive.quality.pixels import iou, psnr, ssim
from posedive.quality.silhouette import silhouettes
from posedive.reid.evaluate import features
from posedive.spec.evaluate import Evaluate

# The truth photographed again, and the control without a network, are judged like the generator.
ARMS = ("generated", "composite", "true")


class Score:
    def __init__(self, spec_json: str, uri: str):
        """uri: where the blocks of pictures are."""
        torch.set_num_threads(1)
        spec = Evaluate.model_validate_json(spec_json)
        self.uri, judges = uri, judges_of(spec)
        self.estimator = PoseEstimator.load(spec.pose_estimator)
        self.silhouette, self.identity = judges.silhouette(), judges.identity()

    def __call__(self, batch: Rows) -> Rows:
        cell = read_block(self.uri, int(batch["cell"][0]))
        scored = {"key": cell["key"], "truth_features": self._features(cell["truth"])}
        for arm in ARMS:
            scores = self._scores(cell, cell[arm]) | {"features": self._features(cell[arm])}
            scored |= {f"{arm}_{name}": values for name, values in scores.items()}
        return scored

    def _scores(self, cell: dict[str, np.ndarray], pictures: np.ndarray) -> dict[str, np.ndarray]:
        found, bodies = self.estimator(pictures), silhouettes(self.silhouette, pictures)
        expected, truth, foreground = cell["keypoints"], cell["truth"], cell["foreground"]
        return {
            "oks": _each(oks, found, expected, cell["area_px"]),
            "pck": _each(pck, found, expected, cell["body_px"]),
            "iou": _each(iou, bodies, foreground),
            "psnr_foreground": _each(psnr, pictures, truth, foreground),
            "ssim_foreground": _each(ssim, pictures, truth, foreground),
        }

    def _features(self, pictures: np.ndarray) -> np.ndarray:
        return features(self.identity, pictures, np.zeros(len(pictures), np.int64))


class Recognise:
    def __init__(self, spec_json: str):
        torch.set_num_threads(1)
        spec = Evaluate.model_validate_json(spec_json)
        self.dataset = open_spec_dataset(spec.dataset, spec.size)
        self.images = people_of(spec.dataset, self.dataset)
        self.identity = judges_of(spec).identity()

    def __call__(self, batch: Rows) -> Rows:
        images = [self.images[row] for row in batch["image"]]
        pictures = np.stack([self.dataset.read(image) for image in images])
        camids = np.array([image.camid for image in images])
        return {"image": batch["image"], "features": features(self.identity, pictures, camids)}


def _each(score, *columns: np.ndarray) -> np.ndarray:
    return np.array([score(*of_case) for of_case in zip(*columns, strict=True)])
