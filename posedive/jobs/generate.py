"""`posedive generate`: a Re-ID set's people in new poses and views, into shards.

    references       which images may be references, once         (references.json)
                     how the set's people look, if asked, once    (people.pt)
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
from typing import Any

import numpy as np

from posedive.body.smpl import load_body
from posedive.jobs.agreement import learn_people
from posedive.jobs.drawing import load_parser
from posedive.jobs.flow import STAGES, Stages, flow_through
from posedive.jobs.forecast import SUMMARY
from posedive.jobs.planning import planned
from posedive.jobs.references import usable_images
from posedive.jobs.scoring import score_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.painters import conditions_of, digest_of
from posedive.records import PersonImage
from posedive.render.viewpoints import viewpoint_of
from posedive.shards.commit import committed
from posedive.shards.document import open_plan, plan_document
from posedive.shards.finalize import finalize
from posedive.shards.takedown import SUCCESS, remove_people
from posedive.shards.verify import verify
from posedive.spec.generate import Generate
from posedive.storage import open_store

log = logging.getLogger(__name__)
DISTRIBUTION_SAMPLE = 2000


def run(spec: Generate, stages: Stages = STAGES) -> dict[str, Any]:
    """Generates what is not committed yet. Returns verify's counts, and the run's own."""
    begun = time.monotonic()
    # Everything that can be wrong with the request shows here, before Ray starts.
    dataset = open_spec_dataset(spec.dataset, spec.size)
    images = people_of(spec.dataset, dataset)
    planned(spec, images, None)
    load_body(spec.body)
    conditions, weights = conditions_of(spec), digest_of(spec)
    if "appearance" in conditions and spec.generator.appearance_images:
        load_parser(spec.generator.parser)
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
    resumed = plan.num_pairs - sum(plan.layout.size(i) for i in todo)
    if resumed:
        log.info("resuming shards_left=%d pairs_done=%d", len(todo), resumed)
    if todo:
        learn_people(spec, store)
    flow = flow_through(spec, plan, weights, conditions, todo, stages) if todo else {}
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
        "cost": flow.get("cost", 0.0),
        "drawn_pairs": flow.get("drawn_pairs", 0),
        "resumed_pairs": resumed,
        "skipped_images": len(dataset.skipped),
        "skipped_identities": without,
    }
    if todo or not store.exists(SUMMARY):
        measured = {"measured": flow["measured"]} if flow else {}
        store.put(SUMMARY, json.dumps(summary | measured, indent=2).encode())
    return summary


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
