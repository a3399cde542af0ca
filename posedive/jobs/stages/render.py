"""Render: a shard's number -> a row per pair, with its reference and condition maps."""

import json
from typing import Any

import numpy as np
import torch

from posedive.body.smpl import load_body
from posedive.jobs.drawing import DrawnPair, PairDrawer, load_parser
from posedive.jobs.meters import StageMeter
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, column, to_png
from posedive.records import Pair, PersonImage
from posedive.render.viewpoints import viewpoint_of
from posedive.shards.tar import pair_record
from posedive.spec.generate import Generate
from posedive.storage import open_store


class Render:
    def __init__(self, spec_json: str, conditions: tuple[str, ...]):
        """conditions: those that the generator reads."""
        torch.set_num_threads(1)
        spec = Generate.model_validate_json(spec_json)
        dataset = open_spec_dataset(spec.dataset, spec.size)
        images = people_of(spec.dataset, dataset)
        self.images = {image.key: image for image in images}
        self.plan = planned(spec, images, read_references(open_store(spec.output.uri)))
        self.conditions = conditions
        self.meter = StageMeter("render")
        drawn_on = spec.generator.appearance_images if "appearance" in conditions else 0
        self.draw = PairDrawer(
            load_body(spec.body),
            dataset,
            self.plan.images,
            spec.size,
            drawn_on,
            spec.generator.background,
            load_parser(spec.generator.parser if drawn_on else None),
        )
        if drawn_on:
            self.draw.places.learn()

    def __call__(self, batch: Rows) -> Rows:
        shard = self.plan.shard(int(batch["shard"][0]))
        with self.meter.timed() as lap:
            drawn = zip(shard.pairs, self.draw(shard.pairs), strict=True)
            rows = [self._row(pair, drawn_pair) for pair, drawn_pair in drawn]
            lap.pairs = len(rows)
        return {name: column([row[name] for row in rows]) for name in rows[0]} | {
            "shard": np.full(len(rows), shard.index),
            "render_s": np.full(len(rows), lap.seconds / len(rows)),
        }

    def _row(self, pair: Pair, drawn: DrawnPair | None) -> dict[str, Any]:
        row = {"key": pair.key, "seed": pair.seed, "reason": "", "area_px": 0.0}
        row |= {name: b"" for name in ("reference", "composite", *self.conditions)}
        row["keypoints"] = np.zeros((17, 3), np.float32)
        record = _record(pair, self.images[pair.reference])
        others = [] if drawn is None else drawn.appearance_images
        row["record"] = json.dumps(record | {"appearance_images": others})
        if drawn is None:
            return row | {"reason": "reference_unreadable"}
        condition = drawn.condition
        row |= {name: to_png(condition.maps[name]) for name in self.conditions}
        return row | {
            "reference": to_png(drawn.reference),
            "composite": to_png(condition.composite),
            "keypoints": condition.target.keypoints,
            "area_px": float(condition.target.mask.sum()),
        }


def _record(pair: Pair, image: PersonImage) -> dict[str, Any]:
    """What a sample tells of itself, before it is drawn."""
    body = pair.condition.body
    told = pair_record(pair) | {
        "body_pose": rounded(body.body_pose),
        "global_orient": rounded(body.global_orient),
        "betas": rounded(body.betas),
        "reference_view": None,
    }
    if image.fit is not None:
        azimuth, elevation = viewpoint_of(image.fit)
        told["reference_view"] = {
            "azimuth_deg": round(azimuth, 1),
            "elevation_deg": round(elevation, 1),
        }
    return told


def rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 4) for v in values]
