"""Scores a set's images as references: a Ray Data job, done once per output.

dataset images -> pose estimator's mean confidence (actors) -> references.json at the output
"""

import json
import logging
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy

from posedive.errors import DatasetError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import mean_confidence
from posedive.jobs.references import NAME, UNREADABLE, References, read_references
from posedive.jobs.session import start_ray
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.records import PersonImage
from posedive.spec.generate import Generate
from posedive.storage import Store

log = logging.getLogger(__name__)


def score_references(spec: Generate, store: Store) -> References:
    """Reads references.json, or makes it."""
    if not store.exists(NAME):
        start_ray()
        estimator = PoseEstimator.load(spec.filter.pose_estimator).digest
        images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
        chunks = np.array_split(np.arange(len(images)), max(1, len(images) // 128))
        rows = [{"rows": chunk} for chunk in chunks]
        scored = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Scorer,
            fn_constructor_args=(spec.model_dump_json(exclude_unset=True),),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=max(1, min(4, len(rows) // 2))),
            num_cpus=1,
        )
        confidence: dict[str, float] = {}
        for batch in scored.iter_batches(batch_size=None):
            keys, values = batch["key"].tolist(), batch["confidence"].tolist()
            confidence.update(zip(keys, (round(v, 4) for v in values), strict=True))
        document = {"estimator": estimator, "confidence": dict(sorted(confidence.items()))}
        store.put_if_absent(NAME, json.dumps(document).encode())
    return read_references(store)


class _Scorer:
    def __init__(self, spec_json: str):
        spec = Generate.model_validate_json(spec_json)
        self.dataset = open_spec_dataset(spec.dataset, spec.size)
        self.images = people_of(spec.dataset, self.dataset)
        self.estimator = PoseEstimator.load(spec.filter.pose_estimator)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        images = [self.images[i] for i in batch["rows"][0]]
        return {
            "key": np.array([image.key for image in images]),
            "confidence": np.array([self._confidence(image) for image in images]),
        }

    def _confidence(self, image: PersonImage) -> float:
        try:
            pixels = self.dataset.read(image)
        except (DatasetError, OSError) as error:
            log.warning("unreadable image=%s reason=%s", image.key, error)
            return UNREADABLE
        return mean_confidence(self.estimator(pixels[None])[0])
