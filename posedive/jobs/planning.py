"""The plan of a spec, the same wherever it is made: in the driver and in the stages."""

from posedive.body.poses import pose_source
from posedive.jobs.references import References, usable_images
from posedive.jobs.sources import focal_of
from posedive.records import PersonImage
from posedive.shards.plan import Plan, plan_shards
from posedive.spec.evaluate import Evaluate
from posedive.spec.generate import Generate

MIN_CELLS = 32


def planned(spec: Generate, images: list[PersonImage], references: References | None) -> Plan:
    """`references` None: before they are scored, every image counts as usable."""
    usable = images if references is None else usable_images(spec, images, references)[0]
    return plan_shards(
        usable,
        pose_source(spec.poses),
        azimuth_deg=spec.viewpoints.azimuth_deg,
        elevation_deg=spec.viewpoints.elevation_deg,
        focal=focal_of(spec.viewpoints),
        images_per_identity=spec.images_per_identity,
        seed=spec.seed,
        min_shards=spec.output.min_shards,
    )


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
