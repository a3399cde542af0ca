"""Which images may be references (Eq. 10), as references.json at the output says.

The object is written once (scoring) and read by every later run and every stage, so that a plan
stays the same plan.
"""

import json
import logging
from dataclasses import dataclass

from posedive.errors import DatasetError
from posedive.filters.rules import accept_reference
from posedive.records import PersonImage
from posedive.spec.generate import Generate
from posedive.storage import Store

log = logging.getLogger(__name__)
NAME = "references.json"
UNREADABLE = -1.0


@dataclass(frozen=True)
class References:
    """confidence: image key -> mean keypoint confidence; UNREADABLE where there are no pixels."""

    confidence: dict[str, float]
    estimator: str

    def usable(self, images: list[PersonImage], threshold: float) -> list[PersonImage]:
        return [i for i in images if accept_reference(self.confidence[i.key], threshold).kept]


def read_references(store: Store) -> References:
    document = json.loads(store.get(NAME))
    return References(document["confidence"], document["estimator"])


def usable_images(
    spec: Generate, images: list[PersonImage], references: References
) -> tuple[list[PersonImage], list[int]]:
    """The images that may be references, and the pids that are left with none.

    Raises DatasetError when nobody is left, or when the set has changed since it was scored.
    """
    unknown = [image.key for image in images if image.key not in references.confidence]
    if unknown:
        raise DatasetError(
            f"{NAME} at the output lacks {len(unknown)} images of the set, the first {unknown[0]}; "
            "the set has changed since: choose another output"
        )
    usable = references.usable(images, spec.filter.reference_threshold)
    without = sorted({i.pid for i in images} - {i.pid for i in usable})
    if without:
        log.warning("identities without a usable reference pids=%s", without)
    if not usable:
        raise DatasetError(
            f"no image reaches filter.reference_threshold {spec.filter.reference_threshold}; "
            f"the best of {len(images)} has {max(references.confidence.values()):.2f}"
        )
    return usable, without
