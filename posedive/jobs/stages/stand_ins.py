"""Stand-ins for stages, which cost next to nothing or a known time: what is left is the flow's.

    Blank      for Render: a row per pair with its record, and one small picture for all of them
    Passed     for Judge: keeps every pair
Denoise has one in `waiting`; Commit is the real one. Benches and the kill matrix use them; no job
file can ask for them.
"""

import json
import time

import numpy as np

from posedive.jobs.planning import planned
from posedive.jobs.references import NAME, References, read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, column, from_png, to_jpeg
from posedive.jobs.stages.waiting import PICTURE
from posedive.shards.tar import pair_record
from posedive.spec.generate import Generate
from posedive.storage import open_store


def trust_references(spec: Generate) -> References:
    """Writes references.json without looking at a picture: every image is a good reference."""
    store = open_store(spec.output.uri)
    images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
    document = {"estimator": "none", "confidence": {image.key: 1.0 for image in images}}
    store.put_if_absent(NAME, json.dumps(document).encode())
    return read_references(store)


class Blank:
    def __init__(self, spec_json: str, conditions: tuple[str, ...]):
        spec = Generate.model_validate_json(spec_json)
        images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
        self.plan = planned(spec, images, read_references(open_store(spec.output.uri)))

    def __call__(self, batch: Rows) -> Rows:
        begun = time.perf_counter()
        pairs = self.plan.shard(int(batch["shard"][0])).pairs
        count = len(pairs)
        rows = {
            "key": column([pair.key for pair in pairs]),
            "seed": column([pair.seed for pair in pairs]),
            "record": column([json.dumps(pair_record(pair)) for pair in pairs]),
            "reason": column([""] * count),
            "reference": column([PICTURE] * count),
            "composite": column([PICTURE] * count),
            "shard": np.full(count, int(batch["shard"][0])),
        }
        return rows | {"render_s": np.full(count, (time.perf_counter() - begun) / count)}


class Passed:
    def __init__(self, spec_json: str):
        self.jpeg = to_jpeg(from_png(PICTURE))

    def __call__(self, rows: Rows) -> Rows:
        count = len(rows["key"])
        return rows | {
            "jpeg": column([self.jpeg] * count),
            "judge_s": np.zeros(count),
        }
