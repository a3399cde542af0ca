"""The plan of a spec, the same wherever it is made: in the driver and in the stages."""

from collections.abc import Sequence

import numpy as np

from posedive.body.heading import remove_heading
from posedive.body.poses import ArrayPoses, pose_source
from posedive.errors import DatasetError
from posedive.jobs.references import References, usable_images
from posedive.jobs.sources import focal_of
from posedive.records import Fit, PersonImage
from posedive.render.viewpoints import upright_orient, viewpoint_of
from posedive.shards.plan import Plan, plan_shards
from posedive.spec.evaluate import Evaluate
from posedive.spec.generate import Generate

MIN_CELLS = 32


def planned(spec: Generate, images: list[PersonImage], references: References | None) -> Plan:
    """`references` None: before they are scored, every image counts as usable."""
    usable = images if references is None else usable_images(spec, images, references)[0]
    return plan_shards(
        usable,
        own_poses(images) if spec.own_poses else pose_source(spec.poses),
        azimuth_deg=spec.viewpoints.azimuth_deg,
        elevation_deg=spec.viewpoints.elevation_deg,
        focal=focal_of(spec.viewpoints),
        images_per_identity=spec.images_per_identity,
        seed=spec.seed,
        min_shards=spec.output.min_shards,
        views=own_views(images) if spec.own_viewpoints else (),
    )


def own_poses(images: Sequence[PersonImage]) -> ArrayPoses:
    """In which the images show people, turned to face +z."""
    fitted = _fitted(images, "own_poses")
    return ArrayPoses(
        np.stack([fit.body.body_pose for _, fit in fitted]).astype(np.float32),
        np.stack([remove_heading(upright_orient(fit)) for _, fit in fitted]),
        [f"set/own:{key}" for key, _ in fitted],
    )


def own_views(images: Sequence[PersonImage]) -> list[tuple[float, float]]:
    """(azimuth, elevation), degrees, from which the images show people."""
    # Rounded: CPUs differ in a number's last bits.
    views = [viewpoint_of(fit) for _, fit in _fitted(images, "own_viewpoints")]
    return [(round(azimuth, 1), round(elevation, 1)) for azimuth, elevation in views]


def _fitted(images: Sequence[PersonImage], asked: str) -> list[tuple[str, Fit]]:
    fitted = [(i.key, i.fit) for i in sorted(images, key=lambda i: i.key) if i.fit is not None]
    if not fitted:
        raise DatasetError(
            f"{asked}: none of {len(images)} images has an SMPL fit to tell; set dataset.fits"
        )
    return fitted


def planned_cases(spec: Evaluate, images: list[PersonImage]) -> Plan:
    """The pictures to be judged; a shard of this plan is a cell of the evaluation."""
    return plan_shards(
        images,
        pose_source(spec.poses),
        azimuth_deg=spec.viewpoints.azimuth_deg,
        elevation_deg=spec.viewpoints.elevation_deg,
        focal=focal_of(spec.viewpoints),
        images_per_identity=spec.cases_per_identity,
        seed=spec.seed,
        min_shards=MIN_CELLS,
    )
