"""Render: a shard's number -> a row per pair, with its reference and condition maps."""

import json
import logging
from typing import Any

import numpy as np
import torch

from posedive.body.smpl import load_body, pose_body
from posedive.datasets.pairs import companions
from posedive.errors import DatasetError
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of, read_image
from posedive.jobs.stages.rows import Rows, column, to_png
from posedive.records import Pair, PersonImage
from posedive.render.appearance import Looks, Sighting, join
from posedive.render.conditions import draw_conditions, read_sighting
from posedive.render.maps import condition_fit
from posedive.render.viewpoints import viewpoint_of
from posedive.shards.tar import pair_record
from posedive.spec.generate import Generate
from posedive.storage import open_store

log = logging.getLogger(__name__)


class Render:
    def __init__(self, spec_json: str, conditions: tuple[str, ...]):
        """conditions: those that the generator reads."""
        torch.set_num_threads(1)
        self.spec = spec = Generate.model_validate_json(spec_json)
        self.dataset = open_spec_dataset(spec.dataset, spec.size)
        images = people_of(spec.dataset, self.dataset)
        self.images = {image.key: image for image in images}
        self.plan = planned(spec, images, read_references(open_store(spec.output.uri)))
        self.body = load_body(spec.body)
        self.conditions = conditions
        self._sightings: tuple[int, dict[str, Sighting | None]] = (0, {})

    def __call__(self, batch: Rows) -> Rows:
        shard = self.plan.shard(int(batch["shard"][0]))
        posed = zip(*pose_body(self.body, [p.condition.body for p in shard.pairs]), strict=True)
        rows = [self._row(p, v, j) for p, (v, j) in zip(shard.pairs, posed, strict=True)]
        shard_column = np.full(len(rows), shard.index)
        return {name: column([row[name] for row in rows]) for name in rows[0]} | {
            "shard": shard_column
        }

    def _row(self, pair: Pair, vertices: np.ndarray, joints: np.ndarray) -> dict[str, Any]:
        image = self.images[pair.reference]
        row = {"key": pair.key, "seed": pair.seed, "reason": "", "area_px": 0.0}
        row |= {name: b"" for name in ("reference", "composite", *self.conditions)}
        row["keypoints"] = np.zeros((17, 3), np.float32)
        looks, others = None, []
        record = _record(pair, image)
        rgb = self._pixels(image)
        if rgb is not None and "appearance" in self.conditions and image.fit is not None:
            looks, others = self._looks(pair, image)
        row["record"] = json.dumps(record | {"appearance_images": others})
        if rgb is None:
            return row | {"reason": "reference_unreadable"}
        fit = condition_fit(self.body, pair.condition, self.spec.size, vertices)
        drawn = draw_conditions(self.body, fit, self.spec.size, looks, (vertices, joints))
        row |= {name: to_png(drawn.maps[name]) for name in self.conditions}
        return row | {
            "reference": to_png(rgb),
            "composite": to_png(drawn.composite),
            "keypoints": drawn.target.keypoints,
            "area_px": float(drawn.target.mask.sum()),
        }

    def _looks(self, pair: Pair, reference: PersonImage) -> tuple[Looks | None, list[str]]:
        """What the person looks like, and the images beside the reference that told."""
        count = self.spec.generator.appearance_images - 1
        others = companions(self.plan.images[pair.pid], reference, count)
        seen = {i.key: s for i in (reference, *others) if (s := self._sighting(i)) is not None}
        first = seen.pop(reference.key)
        return join(self.body, first, list(seen.values())), list(seen)

    def _sighting(self, image: PersonImage) -> Sighting | None:
        """Read once per person: pairs of one pid follow each other. None when unreadable."""
        if self._sightings[0] != image.pid:
            self._sightings = image.pid, {}
        known = self._sightings[1]
        if image.key not in known:
            rgb = self._pixels(image)
            assert image.fit is not None
            known[image.key] = None if rgb is None else read_sighting(self.body, rgb, image.fit)
        return known[image.key]

    def _pixels(self, image: PersonImage) -> np.ndarray | None:
        try:
            return read_image(self.dataset, image, self.spec.size)
        except (DatasetError, OSError) as error:
            log.warning("unreadable image=%s reason=%s", image.key, error)
            return None


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
