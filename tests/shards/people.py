"""A small Re-ID set, a pose source, and an output made from them: real tars, tiny pictures."""

import functools
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from posedive.records import PersonImage, ShardPlan
from posedive.shards.commit import commit_shard
from posedive.shards.document import open_plan, plan_document
from posedive.shards.plan import Plan, plan_shards
from posedive.shards.tar import Sample, encode_shard, pair_record, rejected_examples
from posedive.storage import Store

WEIGHTS = "0f" * 32


@dataclass(frozen=True)
class Pose:
    body_pose: np.ndarray
    global_orient: np.ndarray
    name: str


class Poses:
    def __init__(self, count: int, amplitude: float = 0.1):
        self.count, self.amplitude = count, amplitude

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pose:
        body_pose = np.full(69, self.amplitude * index, np.float32)
        return Pose(body_pose, np.zeros(3, np.float32), f"embedded/kick:{index:04d}")


def people(num_pids: int, num_images: int = 6) -> list[PersonImage]:
    """pids 1..num_pids, seen by cameras 1 to 3 in turn; and some of pid -1 and 0, as published."""
    return [
        PersonImage(f"{pid:04d}_c{1 + at % 3}s1_{at:06d}_00.jpg", pid, 1 + at % 3, "train")
        for pid in (-1, 0, *range(1, num_pids + 1))
        for at in range(num_images)
    ]


def small_plan(num_pids: int = 5, images_per_identity: int = 4, **changed: Any) -> Plan:
    arguments: dict[str, Any] = {
        "images": people(num_pids),
        "poses": Poses(20),
        "azimuth_deg": (0.0, 360.0),
        "elevation_deg": (0.0, 45.0),
        "focal": 3.0,
        "images_per_identity": images_per_identity,
        "seed": 0,
        "min_shards": 3,
    }
    return plan_shards(**(arguments | changed))


@functools.cache
def jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 32), (shade, shade, shade)).save(buffer, "JPEG")
    return buffer.getvalue()


def samples_of(shard: ShardPlan) -> list[Sample]:
    return [Sample(pair.key, jpeg(pair.seed % 256), pair_record(pair)) for pair in shard.pairs]


def tar_of(plan: Plan, index: int, num_rejected: int = 1) -> bytes:
    """The shard's tar, its first pairs rejected."""
    shard = plan.shard(index)
    made = samples_of(shard)
    rejected = {sample.key: "low_confidence" for sample in made[:num_rejected]}
    manifest = {"plan": plan.digest, "weights": WEIGHTS, "rejected": rejected}
    return encode_shard(
        shard, made[num_rejected:], manifest, rejected_examples(made[:num_rejected])
    )


def fill(store: Store, plan: Plan, spec: dict | None = None) -> None:
    open_plan(store, plan_document(plan, WEIGHTS, spec or {}))
    for index in range(plan.num_shards):
        commit_shard(store, plan.layout.name(index), tar_of(plan, index))
