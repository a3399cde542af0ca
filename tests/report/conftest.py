"""A small output as `posedive generate` leaves it: plan.json, real tars, drawn stick people."""

import colorsys
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from posedive.records import Pair, PersonImage
from posedive.shards.commit import commit_shard
from posedive.shards.document import open_plan, plan_document
from posedive.shards.plan import plan_shards
from posedive.shards.tar import Sample, encode_shard, pair_record
from posedive.storage import open_store

WIDTH, HEIGHT = 64, 128


@dataclass(frozen=True)
class Pose:
    body_pose: np.ndarray
    global_orient: np.ndarray
    name: str


def drawn_jpeg(pid: int, azimuth_deg: float, panels: int = 1) -> bytes:
    """A person in the colours of their pid, once per panel; the background tells the azimuth."""
    image = Image.new("RGB", (WIDTH * panels, HEIGHT))
    draw = ImageDraw.Draw(image)
    for panel in range(panels):
        x, grey = panel * WIDTH, int(70 + abs(azimuth_deg % 360 - 180) * 0.6)
        draw.rectangle((x, 0, x + WIDTH, HEIGHT), fill=(grey, grey, grey - 20))
        shirt, legs = (
            tuple(int(255 * c) for c in colorsys.hsv_to_rgb((pid * k % 17) / 17, 0.6, 0.5))
            for k in (5, 11)
        )
        draw.ellipse((x + 25, 12, x + 39, 30), fill=(190, 150, 120))
        draw.rectangle((x + 20, 31, x + 44, 70), fill=shirt)
        draw.rectangle((x + 22, 70, x + 42, 118), fill=legs)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return data.getvalue()


def _sample(pair: Pair, changes: Mapping[str, Any]) -> Sample:
    rng = np.random.default_rng(pair.seed)
    condition = pair.condition
    record = {
        **pair_record(pair),
        "body_pose": condition.body.body_pose.tolist(),
        "global_orient": condition.body.global_orient.tolist(),
        "betas": condition.body.betas.tolist(),
        "reference_view": {"azimuth_deg": 12.0, "elevation_deg": 4.0},
        "reference_body_pose": [0.0] * 69,
        "weights_digest": "w" * 64,
        "steps": 8,
        "scores": {
            "confidence": float(rng.uniform(0.7, 1)),
            "oks": float(rng.uniform(0.6, 1)),
            "in_frame": 1.0,
        },
        **changes,
    }
    return Sample(pair.key, drawn_jpeg(pair.pid, condition.azimuth_deg), record)


@pytest.fixture(scope="session")
def write_output() -> Callable[..., str]:
    """write_output(folder, ...) -> the URI of a new output.

    people and each: identities, and pairs of each; changes: fields put into every record;
    reject: how many pairs of each shard are rejected; leave_out: shards that are never committed.
    """

    def write(
        folder: Path,
        *,
        people: int = 6,
        each: int = 8,
        distribution: bool = True,
        previews: int = 3,
        changes: Mapping[str, Any] = {},  # noqa: B006 - never written to
        reject: int = 2,
        reasons: tuple[str, ...] = ("low_confidence", "position_disagreement"),
        leave_out: tuple[int, ...] = (),
        spec: Mapping[str, Any] = {},  # noqa: B006
        run: Mapping[str, Any] | None = None,
    ) -> str:
        rng = np.random.default_rng(3)
        images = [
            PersonImage(f"{pid:04d}_c{camid}s1_{camid:06d}_00", pid, camid, "train")
            for pid in range(1, people + 1)
            for camid in (1, 2, 3)
        ]
        poses = [
            Pose((rng.normal(size=69) * 0.45).astype(np.float32), np.zeros(3, np.float32), name)
            for name in (
                f"embedded/{clip}:{i:04d}" for clip in ("kick", "dance") for i in range(60)
            )
        ]
        plan = plan_shards(
            images,
            poses,
            azimuth_deg=(0, 360),
            elevation_deg=(0, 45),
            focal=3.0,
            images_per_identity=each,
            seed=1,
            min_shards=4,
        )
        job = {"kind": "generate", "seed": 1, "size": [WIDTH, HEIGHT], **spec}
        document = plan_document(plan, "w" * 64, job)
        if distribution:
            azimuth = rng.choice([0, 180], 300) + rng.normal(0, 14, 300)
            document["dataset_distribution"] = {
                "azimuth_deg": azimuth.tolist(),
                "elevation_deg": rng.uniform(2, 14, 300).tolist(),
                "body_pose": (rng.normal(size=(300, 69)) * 0.15).tolist(),
            }
        store = open_store(str(folder))
        open_plan(store, document)
        for index in set(range(plan.num_shards)) - set(leave_out):
            shard = plan.shard(index)
            samples = [_sample(pair, changes) for pair in shard.pairs]
            out, kept = samples[:reject], samples[reject:]
            extras = {
                f"rejected/{sample.key}.{suffix}": data
                for sample in out
                for suffix, data in (
                    ("jpg", sample.jpeg),
                    ("json", json.dumps(sample.record).encode()),
                )
            }
            for sample in kept[:previews]:
                strip = drawn_jpeg(sample.record["pid"], 90, panels=4)
                extras[f"preview/{sample.key}.jpg"] = strip
            manifest = {
                "plan": plan.digest,
                "weights": "w" * 64,
                "rejected": {s.key: reasons[i % len(reasons)] for i, s in enumerate(out)},
            }
            commit_shard(store, shard.name, encode_shard(shard, kept, manifest, extras))
        if run is not None:
            store.put("summary.json", json.dumps(run).encode())
        return str(folder)

    return write
