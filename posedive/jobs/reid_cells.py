"""A cell of a Re-ID table: one model, trained on real images and those of one output, and tested.

A Training says all that its scores depend on; its name is a hash of that, so that tables which
share a store share cells.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from posedive.datasets import Dataset
from posedive.datasets.split_file import folder_and_name
from posedive.errors import DatasetError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.jobs.sources import images_of, open_spec_dataset, people_of, read_image
from posedive.jobs.stages.painters import digest_of
from posedive.parsing.parser import Parser
from posedive.records import PersonImage
from posedive.reid.evaluate import Split, percent, search
from posedive.reid.train import Recipe, train
from posedive.shards.layout import KEY
from posedive.shards.stream import decode, samples
from posedive.shards.tar import Sample
from posedive.spec.generate import Generate
from posedive.spec.parts import Dataset as DatasetSpec
from posedive.spec.reid_table import Arm, ReidTable, Take, Yardstick
from posedive.storage import open_store

Size = tuple[int, int]
TESTS = {
    "diverse": ("query_diverse", "gallery_diverse"),
    "standard": ("query", "gallery"),
    "actions": ("query_actions", "gallery_actions"),
}
MORE = "train_more"
DEFAULT_SIZE = (64, 128)


@dataclass(frozen=True)
class Training:
    """images: URI of the generate job's output; take: which of them; real: as many of each person
    are taken, but real ones. tests: all that the set has. The rest as in the spec."""

    dataset: dict[str, Any]
    split_file: str | None
    size: Size
    yardstick: dict[str, Any]
    images: str | None
    take: dict[str, Any]
    real: bool
    tests: tuple[str, ...]
    seed: int

    @property
    def cell(self) -> str:
        """Name of the object that keeps its scores."""
        told = asdict(self)
        if self.images is not None:
            told["images"] = self.images.rpartition("/")[2]  # its name says what it was made of
        canonical = json.dumps(told, sort_keys=True, default=list)
        return f"cells/{hashlib.sha256(canonical.encode()).hexdigest()[:16]}.json"


def images_job(arm: Arm) -> Generate | None:
    """The arm's generate job; its output's name tells the networks and the split behind the images,
    too."""
    job = arm.generate
    if job is None:
        return None
    networks = [digest_of(job), _estimator_digest(job.filter.pose_estimator)]
    if job.generator.parser is not None:
        networks.append(_parser_digest(job.generator.parser))
    folder, asked = folder_and_name(job.output.uri)
    told = "/".join((asked, *networks, _split_digest(job.dataset) or ""))
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    output = job.output.model_copy(update={"uri": f"{folder}/{name}"})
    return job.model_copy(update={"output": output})


def trainings(
    spec: ReidTable, arms: dict[str, Arm], jobs: dict[str, Generate | None], name: str
) -> list[Training]:
    """One a seed. `jobs`: images_job of each arm."""
    arm = arms[name]
    source = arm.real_images or name
    job, take = jobs[source], arms[source].take
    unsaid = Yardstick.OF_MIXING if arm.generate is None else None
    yardstick = arm.yardstick.model_dump(mode="json", exclude=unsaid)
    return [
        Training(
            dataset=spec.dataset.model_dump(mode="json"),
            split_file=_split_digest(spec.dataset),
            size=arm.yardstick.size or _generated_size(jobs),
            yardstick=yardstick,
            images=None if job is None else job.output.uri,
            take={} if job is None else take.model_dump(mode="json"),
            real=arm.real_images is not None,
            tests=spec.own_tests,
            seed=spec.seed * 1000 + seed,
        )
        for seed in range(spec.seeds)
    ]


def read_people(dataset: dict[str, Any], size: Size, split: str | None) -> Split:
    """Images of the spec's own people: of a split, or, with None, those that all arms train on."""
    spec = DatasetSpec.model_validate(dataset)
    opened = open_spec_dataset(spec, size)
    people = people_of(spec, opened)
    if split is not None:
        pids = {image.pid for image in people}
        people = [image for image in opened.images(split) if image.pid in pids]
    return _read(opened, people, size)


def read_tests(
    dataset: dict[str, Any], size: Size, tests: Sequence[str]
) -> dict[str, tuple[Split, Split]]:
    """Query and gallery of each test."""
    spec = DatasetSpec.model_validate(dataset)
    opened = open_spec_dataset(spec, size)
    found = {}
    for test in tests:
        query, gallery = (_read(opened, images_of(spec, opened, n), size) for n in TESTS[test])
        found[test] = query, gallery
    return found


def run_cell(
    training: Training,
    real: Split,
    tests: dict[str, tuple[Split, Split]],
    more: Split | None,
    num_threads: int,
) -> dict[str, Any]:
    """{"scores": {test: {mAP, rank1, ...}}, "average_precision": {test: [of each query, null where
    it has no match]}, "images", "added"}. more: real images to take from."""
    torch.set_num_threads(max(1, num_threads))
    parts, added = [real], 0
    if training.images is not None:
        kept = taken(training.images, Take.model_validate(training.take))
        made = _first_of_each(more, kept) if more is not None else pictures(kept, training.size)
        parts.append(made)
        added = len(made.pids)
    images = np.concatenate([part.images for part in parts])
    pids = np.concatenate([part.pids for part in parts])
    camids = np.concatenate([part.camids for part in parts])
    asked = dict(training.yardstick)
    pretrained, _ = asked.pop("pretrained"), asked.pop("size")
    recipe = Recipe(
        **asked, pretrained=None if pretrained is None else Path(pretrained), seed=training.seed
    )
    generated = (np.arange(len(pids)) >= len(real.pids)) & (not training.real)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = train(images, pids, camids, recipe, generated, device=device)
    found = {test: search(model, query, gallery) for test, (query, gallery) in tests.items()}
    return {
        "scores": {test: percent(scores) for test, scores in found.items()},
        "average_precision": {
            test: [None if np.isnan(ap) else round(ap, 4) for ap in scores.average_precision]
            for test, scores in found.items()
        },
        "images": len(pids),
        "added": added,
    }


def taken(uri: str, take: Take) -> list[Sample]:
    """The output's samples that an arm trains on."""
    return [
        sample
        for sample in samples(open_store(uri))
        if (take.first is None or number_of(sample.key) < take.first)
        and sample.record["scores"]["confidence"] >= take.min_confidence
        and sample.record["scores"].get("identity", 1.0) >= take.min_identity
    ]


def number_of(key: str) -> int:
    """Which of its person's pairs a sample was."""
    found = KEY.fullmatch(key)
    assert found is not None
    return int(found[4])


def pictures(kept: Sequence[Sample], size: Size) -> Split:
    """Of no sample, no images of that size."""
    images = [np.asarray(decode(sample)) for sample in kept]
    if images and images[0].shape[:2] != (size[1], size[0]):
        images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    return Split(
        np.stack(images) if images else np.zeros((0, size[1], size[0], 3), np.uint8),
        np.array([sample.record["pid"] for sample in kept], int),
        np.array([sample.record["camid"] for sample in kept], int),
    )


def _first_of_each(more: Split, kept: Sequence[Sample]) -> Split:
    """As many of each person as there are samples, spread over the cameras."""
    rows: list[int] = []
    for pid, count in Counter(sample.record["pid"] for sample in kept).items():
        of_pid = np.random.default_rng(pid).permutation(np.flatnonzero(more.pids == pid))
        if len(of_pid) < count:
            raise DatasetError(
                f"real_images: expected {count} more real images of pid {pid}, the set has"
                f" {len(of_pid)}; lower images_per_identity of the arm that real_images names"
            )
        rows += of_pid[:count].tolist()
    return Split(more.images[rows], more.pids[rows], more.camids[rows])


@functools.cache
def _estimator_digest(name: str) -> str:
    return PoseEstimator.load(name).digest


@functools.cache
def _parser_digest(name: str) -> str:
    return Parser.load(name).digest


def _generated_size(jobs: dict[str, Generate | None]) -> Size:
    """Of the arms' images; the baseline must see its own at the same size."""
    return next((job.size for job in jobs.values() if job is not None), DEFAULT_SIZE)


def _read(dataset: Dataset, images: Sequence[PersonImage], size: Size) -> Split:
    return Split(
        np.stack([read_image(dataset, image, size) for image in images]),
        np.array([image.pid for image in images]),
        np.array([image.camid for image in images]),
    )


def _split_digest(dataset: DatasetSpec) -> str | None:
    if dataset.split_file is None:
        return None
    folder, name = folder_and_name(dataset.split_file)
    return hashlib.sha256(open_store(folder).get(name)).hexdigest()
