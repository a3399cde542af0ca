"""The plan of a `generate` spec, the same wherever it is made: driver, render and commit stages."""

from posedive.body.poses import pose_source
from posedive.jobs.references import References, usable_images
from posedive.jobs.sources import focal_of
from posedive.records import PersonImage
from posedive.shards.plan import Plan, plan_shards
from posedive.spec.generate import Generate


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
