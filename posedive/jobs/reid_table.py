"""`posedive evaluate` of `what: reid`: arms x seeds of a Re-ID model -> a table with intervals.

    generate        one generate job per arm, in turn: shards at arms/NAME       (its own pool)
      -> train      one Re-ID model per arm and seed: real images + kept ones    (Ray tasks)
      -> evaluate   on the set's test splits                                     (the same tasks)
      -> cells/NAME-SEED.json, put if absent
    table           results.json and results.md at the output                    (driver)
Running again goes on: what has a shard or a cell is not done twice.
"""

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
import torch
from scipy import stats
from tqdm import tqdm

from posedive.datasets import Dataset
from posedive.jobs.generate import run as generate
from posedive.jobs.session import start_ray
from posedive.jobs.sources import images_of, open_spec_dataset, people_of, read_image
from posedive.records import PersonImage
from posedive.reid.evaluate import Split, evaluate
from posedive.reid.train import Recipe, train
from posedive.shards.stream import decode, samples
from posedive.spec.reid_table import ReidTable
from posedive.storage import Store, open_store

log = logging.getLogger(__name__)
Size = tuple[int, int]
# Headline first: the embedded world's own test shows poses and views that its cameras never see.
TESTS = {"diverse": ("query_diverse", "gallery_diverse"), "standard": ("query", "gallery")}


def run(spec: ReidTable) -> dict[str, Any]:
    """Returns {"arms": {name: {test: {"mAP": {mean, low, high, seeds}, "rank1": ...}}}}; of the
    first test, mAP and rank1 stand beside the tests too."""
    begun = time.monotonic()
    store = open_store(spec.output)
    store.probe_conditional_put()
    jobs = {name: spec.generate_job(name) for name in spec.arms}
    told = {name: generate(job) for name, job in jobs.items() if job is not None}
    for name, of_arm in told.items():
        log.info("arm=%s kept=%d of=%d", name, of_arm["kept"], of_arm["pairs"])
    start_ray()
    cells = [(name, seed) for name in spec.arms for seed in range(spec.seeds)]
    todo = [(name, seed) for name, seed in cells if not store.exists(cell_name(name, seed))]
    spec_json = spec.model_dump_json(exclude_unset=True)
    cell = ray.remote(num_cpus=spec.num_cpus, max_retries=2)(_cell)
    pending = [cell.remote(spec_json, name, seed) for name, seed in todo]
    with tqdm(total=len(pending), unit="cell", disable=None) as bar:
        while pending:
            done, pending = ray.wait(pending)
            log.info("cell %s", ray.get(done[0]))
            bar.update()
    arms = {
        name: _summary([json.loads(store.get(cell_name(name, seed))) for seed in range(spec.seeds)])
        | ({"kept": told[name]["kept"]} if name in told else {})
        for name in spec.arms
    }
    store.put("results.json", json.dumps({"arms": arms}, indent=2).encode())
    store.put("results.md", markdown(arms).encode())
    return {"arms": arms, "seconds": round(time.monotonic() - begun, 1)}


def cell_name(arm: str, seed: int) -> str:
    return f"cells/{arm}-{seed}.json"


def _cell(spec_json: str, arm: str, seed: int) -> str:
    """Trains and tests one model; returns a line for the log."""
    spec = ReidTable.model_validate_json(spec_json)
    torch.set_num_threads(max(1, int(spec.num_cpus)))
    store = open_store(spec.output)
    job = spec.generate_job(arm)
    size = job.size if job is not None else _size(spec)
    dataset = open_spec_dataset(spec.dataset, size)
    real = _read(dataset, people_of(spec.dataset, dataset), size)
    images, pids, camids = real.images, real.pids, real.camids
    if job is not None:
        made = _generated(open_store(job.output.uri))
        images = np.concatenate([images, made.images])
        pids, camids = np.append(pids, made.pids), np.append(camids, made.camids)
    recipe = Recipe(
        backbone=spec.yardstick.backbone,
        camera_wise=spec.yardstick.camera_wise,
        steps=spec.yardstick.steps,
        generated_per_identity=spec.yardstick.generated_per_identity,
        seed=spec.seed * 1000 + seed,
    )
    generated = np.arange(len(pids)) >= len(real.pids)
    model = train(images, pids, camids, recipe, generated)
    scores = {
        test: evaluate(
            model,
            _read(dataset, images_of(spec.dataset, dataset, query), size),
            _read(dataset, images_of(spec.dataset, dataset, gallery), size),
        )
        for test, (query, gallery) in _tests(spec).items()
    }
    store.put_if_absent(cell_name(arm, seed), json.dumps(scores).encode())
    told = " ".join(f"{test}_mAP={of['mAP']:.1f}" for test, of in scores.items())
    return f"arm={arm} seed={seed} images={len(pids)} {told}"


def _size(spec: ReidTable) -> Size:
    """Of the arms' images; the baseline must see its own at the same size."""
    jobs = [job for name in spec.arms if (job := spec.generate_job(name)) is not None]
    return jobs[0].size if jobs else (64, 128)


def _tests(spec: ReidTable) -> dict[str, tuple[str, str]]:
    own = spec.dataset.name == "embedded" and spec.dataset.split_file is None
    return TESTS if own else {"standard": TESTS["standard"]}


def _read(dataset: Dataset, images: Sequence[PersonImage], size: Size) -> Split:
    return Split(
        np.stack([read_image(dataset, image, size) for image in images]),
        np.array([image.pid for image in images]),
        np.array([image.camid for image in images]),
    )


def _generated(store: Store) -> Split:
    kept = list(samples(store))
    return Split(
        np.stack([np.asarray(decode(sample)) for sample in kept]),
        np.array([sample.record["pid"] for sample in kept]),
        np.array([sample.record["camid"] for sample in kept]),
    )


def _summary(cells: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    by_test = {
        test: {score: interval([cell[test][score] for cell in cells]) for score in ("mAP", "rank1")}
        for test in cells[0]
    }
    return by_test[next(iter(by_test))] | by_test


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and its 95% interval by Student's t; of one value, the interval is that value."""
    mean, half = float(np.mean(values)), 0.0
    if len(values) > 1:
        half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return {
        "mean": round(mean, 2),
        "low": round(mean - half, 2),
        "high": round(mean + half, 2),
        "seeds": [round(v, 2) for v in values],
    }


def markdown(arms: dict[str, dict[str, Any]]) -> str:
    """One row an arm: mean and 95% interval of each test's mAP and rank-1, in percent."""
    first = next(iter(arms.values()))
    tests = [test for test in TESTS if test in first]
    head = ["arm", *(f"{test} {score}" for test in tests for score in ("mAP", "rank-1"))]
    rows = [head, ["---"] * len(head)]
    for name, arm in arms.items():
        told = [arm[test][score] for test in tests for score in ("mAP", "rank1")]
        rows.append([name, *(f"{t['mean']:.1f} [{t['low']:.1f}, {t['high']:.1f}]" for t in told)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
