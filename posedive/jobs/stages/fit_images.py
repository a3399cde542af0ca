"""FitImages: rows of numbers of images -> a block of fits, and why the other images have none."""

import logging

import numpy as np
import torch

from posedive.body.fitting import centred, fit_bodies
from posedive.body.keypoint_body import KeypointBody
from posedive.body.pose_prior import PosePrior
from posedive.body.skeleton import coco_from_smpl
from posedive.body.smpl import load_body, pose_body
from posedive.datasets.fit_files import fit_arrays
from posedive.errors import DatasetError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import mean_confidence
from posedive.jobs.blocks import write_block
from posedive.jobs.sources import open_spec_dataset, people_of, read_image
from posedive.jobs.stages.rows import Rows
from posedive.quality.joints import aligned_joint_error_mm, joint_error_mm
from posedive.quality.pixels import iou
from posedive.records import Fit, PersonImage
from posedive.render.camera import project, to_camera
from posedive.render.maps import render_maps
from posedive.spec.fit import Fit as FitSpec

log = logging.getLogger(__name__)
NUM_JOINTS = 24
# Beside fits that the set already has; the last is the estimator's own, before anything is fitted.
FIGURES = (
    "joint_error_mm",
    "aligned_joint_error_mm",
    "keypoint_error_px",
    "silhouette_iou",
    "found_keypoint_error_px",
)


class FitImages:
    """One block a call, written under `uri`; its row says how many images it has fitted."""

    def __init__(self, spec_json: str, uri: str, prior: dict[str, np.ndarray]):
        torch.set_num_threads(1)
        self.spec = spec = FitSpec.model_validate_json(spec_json)
        self.uri, self.prior = uri, PosePrior.of({k: v.copy() for k, v in prior.items()})
        self.dataset = open_spec_dataset(spec.dataset, spec.size)
        self.images = people_of(spec.dataset, self.dataset)
        self.model = load_body(spec.body)
        self.keypoint_body = KeypointBody(self.model)
        self.estimator = PoseEstimator.load(spec.pose_estimator)

    def __call__(self, batch: Rows) -> Rows:
        index = int(batch["block"][0])
        images = [self.images[int(row)] for row in batch["images"][0]]
        reasons: dict[str, str] = {}
        pictures = {image.key: pixels for image in images
                    if (pixels := self._read(image, reasons)) is not None}  # fmt: skip
        found = self._keypoints(pictures, reasons)
        fits = fit_bodies(
            self.keypoint_body,
            self.prior,
            centred(np.array(list(found.values()), np.float32).reshape(-1, 17, 3), self.spec.size),
            self.spec.focal,
            self.spec.starts,
        )
        fitted = list(zip(found, fits, strict=True))
        arrays = fit_arrays(fitted) | self._figures(fitted, found, images)
        skipped = np.array([list(each) for each in reasons.items()], dtype=np.str_).reshape(-1, 2)
        write_block(self.uri, index, arrays | {"skipped": skipped})
        return {"images": np.array([len(images)]), "fitted": np.array([len(fitted)])}

    def _read(self, image: PersonImage, reasons: dict[str, str]) -> np.ndarray | None:
        try:
            return read_image(self.dataset, image, self.spec.size)
        except (DatasetError, OSError) as error:
            reasons[image.key] = f"unreadable: {error}"
            return None

    def _keypoints(
        self, pictures: dict[str, np.ndarray], reasons: dict[str, str]
    ) -> dict[str, np.ndarray]:
        """By image; those in which nobody can be made out get a reason instead."""
        if not pictures:
            return {}
        found = dict(zip(pictures, self.estimator(np.stack(list(pictures.values()))), strict=True))
        lowest = self.spec.min_confidence
        for key, keypoints in found.items():
            confidence = mean_confidence(keypoints)
            if confidence < lowest:
                reasons[key] = (
                    f"low_confidence: keypoints have {confidence:.2f}, less than {lowest}"
                )
        return {key: keypoints for key, keypoints in found.items() if key not in reasons}

    def _figures(
        self,
        fitted: list[tuple[str, Fit]],
        found: dict[str, np.ndarray],
        images: list[PersonImage],
    ) -> dict[str, np.ndarray]:
        """FIGURES, a row per fitted image; none for a set whose images have no fit yet."""
        true = {image.key: image.fit for image in images if image.fit is not None}
        both = [(key, fit, true[key]) for key, fit in fitted if key in true]
        rows = [self._compare(fit, truth, found[key]) for key, fit, truth in both]
        columns = np.array(rows, np.float64).reshape(-1, len(FIGURES)).T
        return {f"figure_{name}": column for name, column in zip(FIGURES, columns, strict=True)}

    def _compare(self, fit: Fit, truth: Fit, found: np.ndarray) -> list[float]:
        vertices, joints = pose_body(self.model, [fit.body, truth.body])
        seen = [
            to_camera(joints[n][:NUM_JOINTS], each.camera).astype(np.float64)
            for n, each in enumerate((fit, truth))
        ]
        keypoints = [
            project(coco_from_smpl(joints[n]), each.camera, self.spec.size)[0]
            for n, each in enumerate((fit, truth))
        ]
        masks = [
            render_maps(self.model, each, self.spec.size, (vertices[n], joints[n])).mask
            for n, each in enumerate((fit, truth))
        ]
        return [
            joint_error_mm(*seen),
            aligned_joint_error_mm(*seen),
            float(np.linalg.norm(keypoints[0] - keypoints[1], axis=1).mean()),
            iou(*masks),
            float(np.linalg.norm(found[:, :2] - keypoints[1], axis=1).mean()),
        ]
