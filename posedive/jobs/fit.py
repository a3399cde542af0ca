"""`posedive fit`: images of a set that has no SMPL fits -> fits.npz, which `dataset.fits` reads.

    prior          what poses are likely, learnt once            (prior.npz at the output)
    images         in blocks, minus the blocks that are kept
      -> FitImages read, find keypoints, fit, compare            (CPU actors)
                   -> blocks/block-00012.npz, put if absent
    table          all blocks -> fits.npz and fit.json           (driver)
An image that can't be read, or in which no person is found, is named and skipped. Running again
resumes. Where the set has fits already, as the embedded one has, the new ones are compared.
"""

import hashlib
import io
import json
import logging
import time
from collections import Counter
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy
from tqdm import tqdm

from posedive.body.pose_prior import PosePrior, pose_prior
from posedive.body.poses import pose_source
from posedive.body.smpl import load_body
from posedive.datasets.fit_files import ONE_FILE, encoded
from posedive.errors import RunError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.jobs.blocks import existing_blocks, read_block
from posedive.jobs.session import start_ray
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.fit_images import FIGURES, FitImages
from posedive.records import PersonImage
from posedive.shards.document import FORMAT, open_plan
from posedive.shards.plan import digest
from posedive.spec.fit import Fit
from posedive.storage import Store, open_store

log = logging.getLogger(__name__)
SUMMARY, PRIOR = "fit.json", "prior.npz"
IMAGES_PER_BLOCK = 64


def run(spec: Fit) -> dict[str, Any]:
    """Fits what is not fitted yet, and tells of all that is."""
    begun = time.monotonic()
    # Everything that can be wrong with the request shows here, before Ray starts.
    dataset = open_spec_dataset(spec.dataset, spec.size)
    images = people_of(spec.dataset, dataset)
    poses = pose_source(spec.poses)
    load_body(spec.body)
    estimator = PoseEstimator.load(spec.pose_estimator)
    store = open_store(spec.output)
    store.probe_conditional_put()
    open_plan(store, _document(spec, images, estimator.digest))
    for name, reason in (*dataset.skipped, *poses.skipped):
        log.warning("skipped file=%s reason=%s", name, reason)

    if not store.exists(PRIOR):
        store.put_if_absent(PRIOR, encoded(pose_prior(poses, spec.seed).arrays()))
    uri = f"{spec.output.rstrip('/')}/blocks"
    blocks = np.array_split(np.arange(len(images)), max(1, len(images) // IMAGES_PER_BLOCK))
    todo = sorted(set(range(len(blocks))) - existing_blocks(uri))
    resumed = len(images) - sum(len(blocks[i]) for i in todo)
    if resumed:
        log.info("resuming blocks_left=%d images_done=%d", len(todo), resumed)
    if todo:
        _fit(spec, uri, blocks, todo, _read_prior(store))
    summary = _collect(store, uri, len(blocks)) | {
        "resumed_images": resumed,
        "skipped_files": len(dataset.skipped),
        "seconds": round(time.monotonic() - begun, 1),
        "fits": f"{spec.output.rstrip('/')}/{ONE_FILE}",
    }
    store.put(SUMMARY, json.dumps(summary, indent=2).encode())
    return summary


def _document(spec: Fit, images: list[PersonImage], estimator: str) -> dict[str, Any]:
    """plan.json: another spec, estimator or set of images over the output is refused by name."""
    keys = hashlib.sha256("\n".join(image.key for image in images).encode()).hexdigest()
    plan = {"images": {"count": len(images), "sha256": keys}, "block": IMAGES_PER_BLOCK}
    return {
        "format": FORMAT,
        "digest": digest(plan),
        "weights": estimator,
        "plan": plan,
        "spec": spec.asked(),
    }


def _read_prior(store: Store) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(store.get(PRIOR)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in PosePrior._fields}


def _fit(
    spec: Fit, uri: str, blocks: list[np.ndarray], todo: list[int], prior: dict[str, np.ndarray]
) -> None:
    start_ray()
    rows = [{"block": i, "images": blocks[i]} for i in todo]
    actors = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
    chain = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        FitImages,
        fn_constructor_args=(spec.model_dump_json(exclude_unset=True), uri, prior),
        batch_size=1,
        compute=ActorPoolStrategy(min_size=1, max_size=actors),
        num_cpus=1,
    )
    total = sum(len(blocks[i]) for i in todo)
    with tqdm(total=total, unit="image", disable=None) as bar:
        for told in chain.iter_rows():
            bar.update(int(told["images"]))
            log.info("fitted images=%d of=%d", told["fitted"], told["images"])


def _collect(store: Store, uri: str, num_blocks: int) -> dict[str, Any]:
    """Writes fits.npz of all blocks; names what has no fit."""
    parts = [read_block(uri, i) for i in range(num_blocks)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    skipped = [(str(name), str(reason)) for name, reason in arrays.pop("skipped")]
    figures = {name: arrays.pop(f"figure_{name}") for name in FIGURES}
    for name, reason in skipped:
        log.warning("no fit image=%s reason=%s", name, reason)
    fitted = len(arrays["names"])
    if not fitted:
        raise RunError(
            f"none of {len(skipped)} images could be fitted; the first, {skipped[0][0]}:"
            f" {skipped[0][1]}"
        )
    store.put(ONE_FILE, encoded(arrays))
    reasons = Counter(reason.partition(":")[0] for _, reason in skipped)
    summary = {"images": fitted + len(skipped), "fitted": fitted, "skipped_images": dict(reasons)}
    if len(figures[FIGURES[0]]):
        summary["figures"] = {
            name: {"mean": round(float(v.mean()), 3), "median": round(float(np.median(v)), 3)}
            for name, v in figures.items()
        } | {"compared": len(figures[FIGURES[0]])}
    return summary
