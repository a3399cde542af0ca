"""`posedive generate`: a Re-ID set's people in new poses and views, into shards.

    references       which images may be references, once         (references.json)
      -> plan        pairs by shard, minus what is committed      (plan.json)
      -> Render      shard -> a row per pair, with its maps       (CPU actors)
      -> Denoise     batches of rows -> pictures                  (GPU actors)
      -> Judge       scores, a verdict, a reason                  (CPU actors)
      -> Commit      a shard's rows -> one tar, put if absent     (CPU actors)
      -> finalize    offset index, card, checksums, _SUCCESS      (once, when all is whole)
One block is one shard all the way. Running again resumes.
"""

import json
import logging
import time
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy
from tqdm import tqdm

from posedive.body.smpl import load_body
from posedive.errors import RunError
from posedive.jobs.planning import planned
from posedive.jobs.references import usable_images
from posedive.jobs.scoring import score_references
from posedive.jobs.session import start_ray
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.commit import Commit
from posedive.jobs.stages.denoise import Denoise
from posedive.jobs.stages.judge import Judge
from posedive.jobs.stages.painters import conditions_of, digest_of
from posedive.jobs.stages.render import Render
from posedive.records import PersonImage
from posedive.render.viewpoints import viewpoint_of
from posedive.shards.commit import committed
from posedive.shards.document import open_plan, plan_document
from posedive.shards.finalize import finalize
from posedive.shards.plan import Plan
from posedive.shards.takedown import SUCCESS, remove_people
from posedive.shards.verify import verify
from posedive.spec.generate import Generate
from posedive.storage import open_store

log = logging.getLogger(__name__)
SUMMARY = "summary.json"
DISTRIBUTION_SAMPLE = 2000
BYTES_PER_PIXEL = 0.9  # JPEG at quality 95 and the record, measured on the embedded world


def plan_summary(spec: Generate) -> dict[str, Any]:
    """What the job comes to, before any reference is scored."""
    images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
    plan = planned(spec, images, None)
    per_image = BYTES_PER_PIXEL * spec.size[0] * spec.size[1]
    return {
        "pairs": plan.num_pairs,
        "shards": plan.num_shards,
        "bytes": round(plan.num_pairs * per_image),
        "identities": len(plan.images),
        "digest": plan.digest,
    }


def run(spec: Generate) -> dict[str, Any]:
    """Generates what is not committed yet. Returns verify's counts, and the run's own."""
    begun = time.monotonic()
    # Everything that can be wrong with the request shows here, before Ray starts.
    dataset = open_spec_dataset(spec.dataset, spec.size)
    images = people_of(spec.dataset, dataset)
    planned(spec, images, None)
    load_body(spec.body)
    conditions, weights = conditions_of(spec), digest_of(spec)
    store = open_store(spec.output.uri)
    store.probe_conditional_put()
    for name, reason in dataset.skipped:
        log.warning("skipped image=%s reason=%s", name, reason)
    if dataset.skipped:
        log.warning("skipped images=%d of the dataset, named above", len(dataset.skipped))

    references = score_references(spec, store)
    _, without = usable_images(spec, images, references)
    plan = planned(spec, images, references)
    document = plan_document(plan, weights, spec.asked())
    open_plan(store, document | {"dataset_distribution": distribution(images)})
    todo = sorted(set(range(plan.num_shards)) - committed(store, plan))
    resumed = plan.num_pairs - sum(len(plan.layout.keys(i)) for i in todo)
    if resumed:
        log.info("resuming shards_left=%d pairs_done=%d", len(todo), resumed)
    flow = _generate(spec, plan, weights, conditions, todo) if todo else {}
    remove_people(store, plan.layout)  # orders that came before their shard was made
    found = verify(store)
    if found.ok and (todo or not store.exists(SUCCESS)):
        finalize(store)
    if not found.ok:
        log.error("the output is not whole: %s", "; ".join(found.problems[:4]))
    summary = found.to_json() | {
        "seconds": round(time.monotonic() - begun, 1),
        "images_per_s": flow.get("images_per_s", 0.0),
        "denoiser_busy": flow.get("denoiser_busy", 0.0),
        "resumed_pairs": resumed,
        "skipped_images": len(dataset.skipped),
        "skipped_identities": without,
    }
    if todo or not store.exists(SUMMARY):
        store.put(SUMMARY, json.dumps(summary, indent=2).encode())
    return summary


def _generate(
    spec: Generate, plan: Plan, weights: str, conditions: tuple[str, ...], todo: list[int]
) -> dict[str, float]:
    """Runs the chain over the shards `todo`; one log line per shard."""
    start_ray()
    spec_json = spec.model_dump_json(exclude_unset=True)
    resources = spec.resources
    # With fewer rows than a batch, Ray would put two shards into one block.
    batch_size = min(spec.generator.batch_size, *(len(plan.layout.keys(i)) for i in todo))
    low, high = resources.denoise_actors
    chain = (
        ray.data.from_items([{"shard": i} for i in todo], override_num_blocks=len(todo))
        .map_batches(
            Render,
            fn_constructor_args=(spec_json, conditions),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=high),
            num_cpus=resources.render_cpus,
        )
        .map_batches(
            Denoise,
            fn_constructor_args=(spec_json,),
            batch_size=batch_size,
            compute=ActorPoolStrategy(min_size=low, max_size=high, max_tasks_in_flight_per_actor=4),
            num_cpus=resources.denoise_cpus,
            num_gpus=resources.num_gpus or None,
        )
        .map_batches(
            Judge,
            fn_constructor_args=(spec_json,),
            batch_size=batch_size,
            compute=ActorPoolStrategy(min_size=1, max_size=high),
            num_cpus=0,
        )
        .map_batches(
            Commit,
            fn_constructor_args=(spec_json, plan.digest, weights),
            batch_size=None,
            compute=ActorPoolStrategy(min_size=1, max_size=high),
            num_cpus=0,
        )
    )
    reasons: Counter[str] = Counter()
    images = 0
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tqdm(total=sum(len(plan.layout.keys(i)) for i in todo), unit="pair", disable=None) as bar:
        for told in chain.iter_rows():
            why = Counter(json.loads(told["reasons"]))
            pairs = int(told["kept"]) + why.total()
            reasons.update(why)
            images += pairs
            spans[told["actor"]].append((told["begun"], told["ended"]))
            bar.update(pairs)
            bar.set_postfix(kept=images - reasons.total())
            log.info(
                "committed shard=%06d kept=%d rejected=%s first=%s seconds=%.1f",
                told["shard"],
                told["kept"],
                dict(why),
                bool(told["first"]),
                told["ended"] - told["begun"],
            )
    if not images:
        raise RunError("no shard came out of the pipeline; the log above says why")
    whole = [span for of_actor in spans.values() for span in of_actor]
    elapsed = max(end for _, end in whole) - min(begin for begin, _ in whole)
    return {
        "images_per_s": round(images / max(elapsed, 1e-6), 2),
        "denoiser_busy": round(busy_share(list(spans.values())), 3),
    }


def busy_share(spans: list[list[tuple[float, float]]]) -> float:
    """Share of the time between each actor's first and last shard in which it had one, over all
    actors. spans: per actor, (begin, end) of its shards in seconds; they may overlap."""
    busy = total = 0.0
    for of_actor in spans:
        ordered = sorted(of_actor)
        reached = ordered[0][0]
        for begin, end in ordered:
            busy += max(0.0, end - max(begin, reached))
            reached = max(reached, end)
        total += reached - ordered[0][0]
    return busy / total if total else 0.0


def distribution(images: list[PersonImage]) -> dict[str, Any] | None:
    """Viewpoints and poses of the set, for the report: at most 2,000 images, evenly drawn."""
    fitted = [image for image in images if image.fit is not None]
    if not fitted:
        return None
    chosen = np.unique(np.linspace(0, len(fitted) - 1, DISTRIBUTION_SAMPLE).round().astype(int))
    fits = [image.fit for i in chosen if (image := fitted[i]).fit is not None]
    views = [viewpoint_of(fit) for fit in fits if fit is not None]
    return {
        "num_images": len(images),
        "azimuth_deg": [round(azimuth, 1) for azimuth, _ in views],
        "elevation_deg": [round(elevation, 1) for _, elevation in views],
        "body_pose": [
            [round(float(v), 3) for v in fit.body.body_pose] for fit in fits if fit is not None
        ],
    }
