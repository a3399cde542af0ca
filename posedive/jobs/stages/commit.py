"""Commit: a whole shard's rows -> its tar, put if absent -> one row that tells of it."""

import json
from collections import Counter

import numpy as np

from posedive.errors import DatasetError
from posedive.jobs.meters import CommitMeter
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, column, from_png, to_jpeg
from posedive.shards.card import strictest
from posedive.shards.commit import commit_shard
from posedive.shards.provenance import digital_source_type, with_provenance
from posedive.shards.tar import Sample, encode_shard, rejected_examples
from posedive.spec.generate import Generate
from posedive.storage import open_store

TIMED = ("render", "denoise", "judge")
PREVIEWS_PER_SHARD = 4
PREVIEW_PANELS = ("reference", "appearance", "normals", "skeleton")


class Commit:
    def __init__(self, spec_json: str, plan_digest: str, weights: str):
        self.spec = spec = Generate.model_validate_json(spec_json)
        self.store = open_store(spec.output.uri)
        images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
        self.plan = planned(spec, images, read_references(self.store))
        if self.plan.digest != plan_digest:
            raise DatasetError(
                "this node plans other pairs than the driver; does it see the same dataset?"
            )
        self.weights = weights
        self.source_type = digital_source_type(spec.generator.weights)
        self.licence = strictest({"spec": spec.asked()})
        self.meter = CommitMeter()

    def __call__(self, rows: Rows) -> Rows:
        with self.meter.timed() as lap:
            told, size = self._commit(rows)
            lap.pairs = len(rows["key"])
        verdicts = Counter(json.loads(told["reasons"][0])) | Counter(kept=int(told["kept"][0]))
        if told["first"][0]:
            self.meter.committed(verdicts, size)
        seconds = {stage: float(np.sum(rows[f"{stage}_s"])) for stage in TIMED}
        seconds["commit"] = lap.seconds
        return told | {
            "seconds": column([json.dumps(seconds)]),
            "bytes": np.array([size]),
        }

    def _commit(self, rows: Rows) -> tuple[Rows, int]:
        index = int(rows["shard"][0])
        plan = self.plan.shard(index)
        samples, rejected, reasons = [], [], {}
        for key, jpeg, record, reason in zip(
            rows["key"].tolist(), rows["jpeg"], rows["record"], rows["reason"].tolist(), strict=True
        ):
            told = json.loads(record) | {
                "weights_digest": self.weights,
                "steps": self.spec.generator.steps,
                "guidance_scale": self.spec.generator.guidance_scale,
                "digital_source_type": self.source_type,
            }
            sample = Sample(
                key,
                with_provenance(bytes(jpeg), self.source_type, self.licence) if jpeg else b"",
                told,
            )
            if not reason:
                samples.append(sample)
                continue
            reasons[key] = reason
            if jpeg:
                rejected.append(sample)
        manifest = {"plan": self.plan.digest, "weights": self.weights, "rejected": reasons}
        panels = [p for p in PREVIEW_PANELS if p in rows]
        data = encode_shard(
            plan,
            samples,
            manifest | {"preview_panels": panels},
            rejected_examples(rejected) | previews(rows, panels),
        )
        first = commit_shard(self.store, plan.name, data)
        told = {
            "shard": np.array([index]),
            "first": np.array([first]),
            "kept": np.array([len(samples)]),
            "reasons": column([json.dumps(list(reasons.values()))]),
            "actor": rows["actor"][:1],
            "begun": np.array([float(np.min(rows["begun"]))]),
            "ended": np.array([float(np.max(rows["ended"]))]),
        }
        return told, len(data)


def previews(rows: Rows, panels: list[str]) -> dict[str, bytes]:
    """Reference and conditions side by side, for the report: the first few pairs and rejects."""
    order = np.argsort(rows["key"])
    drawn = [i for i in order if len(rows["reference"][i])]
    rejected = [i for i in drawn if rows["reason"][i]]
    out = {}
    for i in {*drawn[:PREVIEWS_PER_SHARD], *rejected[:PREVIEWS_PER_SHARD]}:
        strip = np.hstack([from_png(rows[panel][i])[..., :3] for panel in panels])
        out[f"preview/{rows['key'][i]}.jpg"] = to_jpeg(strip)
    return out
