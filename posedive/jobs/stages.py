"""The stages of `posedive generate`, as callable classes for Ray Data's actor pools.

A row is one pair, a block one shard, from Render to Commit. Pictures travel as PNG bytes. A row is
never dropped: what goes wrong with a pair is its `reason`, and the stages after leave it alone.
"""

import io
import json
import logging
import time
from typing import Any

import cv2
import numpy as np
import ray
import torch
from PIL import Image

from posedive.body.smpl import load_body, pose_body
from posedive.diffusion.backends import choose_backend, choose_dtype
from posedive.diffusion.sampler import generate
from posedive.diffusion.weights import load_generator
from posedive.errors import DatasetError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import accept_generated
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.records import Pair, PersonImage
from posedive.render.conditions import draw_conditions, read_reference
from posedive.render.maps import condition_fit
from posedive.render.viewpoints import viewpoint_of
from posedive.shards.commit import commit_shard
from posedive.shards.tar import Sample, encode_shard, pair_record, rejected_examples
from posedive.spec.generate import Generate
from posedive.storage import open_store

log = logging.getLogger(__name__)
JPEG_QUALITY = 95
PREVIEWS_PER_SHARD = 4
PREVIEW_PANELS = ("reference", "appearance", "normals", "skeleton")
Rows = dict[str, Any]


class Render:
    """{shard} -> a row per pair: reference and condition maps."""

    def __init__(self, spec_json: str):
        torch.set_num_threads(1)
        self.spec = spec = Generate.model_validate_json(spec_json)
        self.dataset = open_spec_dataset(spec.dataset, spec.size)
        images = people_of(spec.dataset, self.dataset)
        self.images = {image.key: image for image in images}
        self.plan = planned(spec, images, read_references(open_store(spec.output.uri)))
        self.body = load_body(spec.body)
        self.conditions = load_generator(spec.generator.weights).config.conditions

    def __call__(self, batch: Rows) -> Rows:
        shard = self.plan.shard(int(batch["shard"][0]))
        posed = zip(*pose_body(self.body, [p.condition.body for p in shard.pairs]), strict=True)
        rows = [self._row(p, v, j) for p, (v, j) in zip(shard.pairs, posed, strict=True)]
        shard_column = np.full(len(rows), shard.index)
        return {name: column([row[name] for row in rows]) for name in rows[0]} | {
            "shard": shard_column
        }

    def _row(self, pair: Pair, vertices: np.ndarray, joints: np.ndarray) -> dict[str, Any]:
        width, height = self.spec.size
        image = self.images[pair.reference]
        row = {"key": pair.key, "seed": pair.seed, "reason": "", "area_px": 0.0}
        row |= {name: b"" for name in ("reference", "composite", *self.conditions)}
        row["keypoints"] = np.zeros((17, 3), np.float32)
        row["record"] = json.dumps(_record(pair, image))
        try:
            rgb = self.dataset.read(image)
        except (DatasetError, OSError) as error:
            log.warning("unreadable reference=%s reason=%s", image.key, error)
            return row | {"reason": "reference_unreadable"}
        if rgb.shape[:2] != (height, width):
            rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        colours = None
        if "appearance" in self.conditions and image.fit is not None:
            colours = read_reference(self.body, rgb, image.fit)
        fit = condition_fit(self.body, pair.condition, self.spec.size, vertices)
        drawn = draw_conditions(self.body, fit, self.spec.size, colours, (vertices, joints))
        row |= {name: to_png(drawn.maps[name]) for name in self.conditions}
        return row | {
            "reference": to_png(rgb),
            "composite": to_png(drawn.composite),
            "keypoints": drawn.target.keypoints,
            "area_px": float(drawn.target.mask.sum()),
        }


class Denoise:
    """Rows with maps -> the same rows with a picture."""

    def __init__(self, spec_json: str):
        self.spec = spec = Generate.model_validate_json(spec_json)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        backend = choose_backend(spec.generator.attention, self.device)
        dtype = choose_dtype(spec.generator.precision, self.device)
        generator = load_generator(spec.generator.weights, backend)
        self.generator = generator.to(self.device, dtype)
        self.actor = ray.get_runtime_context().get_actor_id() or "driver"

    def __call__(self, rows: Rows) -> Rows:
        begun = time.time()
        keys, reasons = rows["key"].tolist(), rows["reason"].tolist()
        pictures = [b""] * len(keys)
        drawable = [i for i, reason in enumerate(reasons) if not reason]
        try:
            drawn = self._draw(rows, drawable)
        except RuntimeError as error:  # torch's; one bad pair must not take its batch with it
            log.warning("batch failed keys=%s error=%s; one by one", keys, error)
            drawn = self._one_by_one(rows, drawable, reasons)
        for i, picture in zip(drawable, drawn, strict=True):
            pictures[i] = picture
        return rows | {
            "picture": column(pictures),
            "reason": column(reasons),
            "actor": np.full(len(keys), self.actor),
            "begun": np.full(len(keys), begun),
            "ended": np.full(len(keys), time.time()),
        }

    def _one_by_one(self, rows: Rows, drawable: list[int], reasons: list[str]) -> list[bytes]:
        out = []
        for i in drawable:
            try:
                out += self._draw(rows, [i])
            except RuntimeError as error:
                log.warning("pair failed key=%s error=%s", rows["key"][i], error)
                reasons[i] = "denoise_failed"
                out.append(b"")
        return out

    def _draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        if not chosen:
            return []
        distinct = list(dict.fromkeys(rows["reference"][i] for i in chosen))
        pictures = generate(
            self.generator,
            references=np.stack([from_png(png) for png in distinct]),
            reference_index=[distinct.index(rows["reference"][i]) for i in chosen],
            maps={
                name: np.stack([from_png(rows[name][i]) for i in chosen])
                for name in self.generator.config.conditions
            },
            composite=np.stack([from_png(rows["composite"][i]) for i in chosen]),
            seeds=[int(rows["seed"][i]) for i in chosen],
            steps=self.spec.generator.steps,
            guidance_scale=self.spec.generator.guidance_scale,
        )
        return [to_png(picture) for picture in pictures]


class Judge:
    """Rows with a picture -> the same rows with scores, a verdict, and the picture as JPEG."""

    def __init__(self, spec_json: str):
        torch.set_num_threads(1)
        self.spec = spec = Generate.model_validate_json(spec_json)
        self.estimator = PoseEstimator.load(spec.filter.pose_estimator)
        self.references = read_references(open_store(spec.output.uri)).confidence

    def __call__(self, rows: Rows) -> Rows:
        rule = self.spec.filter
        reasons = rows["reason"].tolist()
        records = [json.loads(record) for record in rows["record"]]
        jpegs = [b""] * len(reasons)
        judged = [i for i, reason in enumerate(reasons) if not reason]
        if judged:
            pictures = np.stack([from_png(rows["picture"][i]) for i in judged])
            for i, picture, found in zip(judged, pictures, self.estimator(pictures), strict=True):
                verdict = accept_generated(
                    found,
                    np.asarray(rows["keypoints"][i]),
                    float(rows["area_px"][i]),
                    reference_confidence=self.references[records[i]["reference"]],
                    threshold=rule.generated_threshold,
                    max_confidence_difference=rule.max_confidence_difference,
                    min_oks=rule.min_oks,
                )
                reasons[i], jpegs[i] = verdict.reason, to_jpeg(picture)
                records[i]["scores"] = {k: round(v, 4) for k, v in verdict.scores.items()}
        return rows | {
            "reason": column(reasons),
            "jpeg": column(jpegs),
            "record": column([json.dumps(record) for record in records]),
        }


class Commit:
    """A whole shard's rows -> its tar, put if absent -> one row that tells of it."""

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

    def __call__(self, rows: Rows) -> Rows:
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
            }
            sample = Sample(key, bytes(jpeg), told)
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
        return {
            "shard": np.array([index]),
            "first": np.array([first]),
            "kept": np.array([len(samples)]),
            "reasons": column([json.dumps(list(reasons.values()))]),
            "actor": rows["actor"][:1],
            "begun": np.array([float(np.min(rows["begun"]))]),
            "ended": np.array([float(np.max(rows["ended"]))]),
        }


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


def column(values: list[Any]) -> np.ndarray:
    """One numpy column; bytes as objects, since numpy cuts trailing zeros off fixed-width ones."""
    if values and isinstance(values[0], bytes):
        out = np.empty(len(values), object)
        out[:] = values
        return out
    return np.array(values)


def to_png(image: np.ndarray) -> bytes:
    """RGB or RGBA uint8 -> PNG; lightly compressed, it lives for seconds."""
    swap = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, swap), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    return data.tobytes()


def from_png(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    swap = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(image, swap)


def to_jpeg(image: np.ndarray) -> bytes:
    """Full-resolution colour: a quarter of it would blur 64 pixels' worth of clothes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
