"""`posedive evaluate` of `what: generator`: pictures of a set's people by three arms, scored.

    plan           cases by cell, minus the cells whose pictures are kept
      -> Draw      cell -> a row per case: maps, composite, the truth twice   (CPU actors)
      -> Paint     batches of rows -> the generator's pictures                (GPU actors)
      -> Keep      a cell's pictures -> pictures/block-00012.npz              (CPU actors)
    judges         identity net and silhouette net, trained once
      -> Score     cell -> scores and features of each arm's pictures         (CPU actors)
      -> Recognise real images of the same people -> features                 (CPU actors)
    tables         evaluation.json and contact sheets at the output           (driver)
One block is one cell. Running again draws what is missing, and scores.
"""

import json
import logging
import time
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy
from tqdm import tqdm

from posedive.diffusion.weights import load_generator, weights_digest
from posedive.filters.pose_estimator import PoseEstimator
from posedive.jobs.blocks import existing_blocks
from posedive.jobs.figures import Cases, Gallery, tables
from posedive.jobs.judges import make_judges
from posedive.jobs.planning import planned_cases
from posedive.jobs.session import start_ray
from posedive.jobs.sheets import write_sheets
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.draw import Draw
from posedive.jobs.stages.paint import Keep, Paint
from posedive.jobs.stages.score import Recognise, Score
from posedive.records import PersonImage
from posedive.shards.document import open_plan, plan_document
from posedive.shards.plan import Plan
from posedive.spec.evaluate import Evaluate
from posedive.storage import open_store

log = logging.getLogger(__name__)
SUMMARY = "evaluation.json"
IMAGES_PER_BATCH = 32
SCORING_ACTORS = 4


def run(spec: Evaluate) -> dict[str, Any]:
    """Returns the figures of each arm, in all, by pose and by elevation; what is kept under the
    output is not drawn, nor trained, again."""
    begun = time.monotonic()
    # Everything that can be wrong with the request shows here, before Ray starts.
    images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
    plan = planned_cases(spec, images)
    conditions = load_generator(spec.generator.weights).config.conditions
    PoseEstimator.load(spec.pose_estimator)
    store = open_store(spec.output)
    store.probe_conditional_put()
    open_plan(store, plan_document(plan, weights_digest(spec.generator.weights), spec.asked()))

    start_ray()
    pictures_uri = f"{spec.output}/pictures"
    todo = sorted(set(range(plan.num_shards)) - existing_blocks(pictures_uri))
    if todo:
        _draw(spec, plan, conditions, pictures_uri, todo)
    make_judges(spec)
    pairs = [pair for cell in range(plan.num_shards) for pair in plan.shard(cell).pairs]
    cases = _scores(spec, plan, pictures_uri)
    rows = {key: row for row, key in enumerate(cases["key"].tolist())}
    in_order = [rows[pair.key] for pair in pairs]
    cases = {name: column[in_order] for name, column in cases.items()}
    write_sheets(store, plan, cases, pictures_uri)
    summary = tables(cases, pairs, _gallery(spec, images)) | {
        "cases": len(pairs),
        "seconds": round(time.monotonic() - begun, 1),
    }
    store.put(SUMMARY, json.dumps(summary, indent=2).encode())
    return summary


def _draw(
    spec: Evaluate, plan: Plan, conditions: tuple[str, ...], uri: str, todo: list[int]
) -> None:
    resources = spec.resources
    # With fewer rows than a batch, Ray would put two cells into one block.
    batch_size = min(spec.generator.batch_size, *(len(plan.layout.keys(i)) for i in todo))
    low, high = resources.denoise_actors
    chain = (
        ray.data.from_items([{"cell": i} for i in todo], override_num_blocks=len(todo))
        .map_batches(
            Draw,
            fn_constructor_args=(spec.model_dump_json(exclude_unset=True), conditions),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=high),
            num_cpus=resources.render_cpus,
        )
        .map_batches(
            Paint,
            fn_constructor_args=(spec.generator.model_dump_json(),),
            batch_size=batch_size,
            compute=ActorPoolStrategy(min_size=low, max_size=high, max_tasks_in_flight_per_actor=4),
            num_cpus=resources.denoise_cpus,
            num_gpus=resources.num_gpus or None,
        )
        .map_batches(
            Keep,
            fn_constructor_args=(uri,),
            batch_size=None,
            compute=ActorPoolStrategy(min_size=1, max_size=high),
            num_cpus=0,
        )
    )
    for _ in tqdm(chain.iter_rows(), "pictures", len(todo), unit="cell", disable=None):
        pass


def _scores(spec: Evaluate, plan: Plan, uri: str) -> Cases:
    rows = [{"cell": cell} for cell in range(plan.num_shards)]
    return _collected(rows, Score, (spec.model_dump_json(exclude_unset=True), uri), batch_size=1)


def _gallery(spec: Evaluate, images: list[PersonImage]) -> Gallery:
    rows = [{"image": row} for row in range(len(images))]
    spec_json = spec.model_dump_json(exclude_unset=True)
    found = _collected(rows, Recognise, (spec_json,), batch_size=IMAGES_PER_BATCH)
    seen = [images[row] for row in found["image"]]
    return Gallery(
        found["features"], np.array([i.pid for i in seen]), np.array([i.camid for i in seen])
    )


def _collected(rows: list[dict[str, int]], stage, arguments: tuple, batch_size: int) -> Cases:
    """What the stage's actors make of the rows: whole columns, in any order."""
    blocks = -(-len(rows) // batch_size)
    told = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        stage,
        fn_constructor_args=arguments,
        batch_size=batch_size,
        compute=ActorPoolStrategy(min_size=1, max_size=SCORING_ACTORS),
        num_cpus=1,
    )
    batches = list(tqdm(told.iter_batches(batch_size=None), stage.__name__, blocks, disable=None))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
