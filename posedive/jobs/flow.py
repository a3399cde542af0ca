"""The chain of stages over the shards that are still to be made. See `generate` for its picture.

Pools grow and shrink with the cluster between their bounds. Each actor has further blocks queued
and fetched while it works (IN_FLIGHT, CALLS), so that the denoiser never waits for its input; Ray
Data holds stages back when what lies between them fills the object store, whatever the job's size.
"""

import json
import logging
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError
from tqdm import tqdm

from posedive.errors import RunError
from posedive.jobs.hardware import check_hardware
from posedive.jobs.ledger import open_ledger
from posedive.jobs.progress import Progress, price_of_nodes
from posedive.jobs.session import own_error, start_ray
from posedive.jobs.stages.commit import Commit
from posedive.jobs.stages.denoise import Denoise
from posedive.jobs.stages.judge import Judge
from posedive.jobs.stages.render import Render
from posedive.shards.plan import Plan
from posedive.spec.generate import Generate

log = logging.getLogger(__name__)
# Ray grows a pool at 1.75 tasks in flight per actor: less would never grow.
IN_FLIGHT = 4
# Of an actor's calls one computes, the other gathers its batch or hands its pictures on.
CALLS = 2

Spans = dict[str, list[tuple[float, float, float]]]


class Stages(NamedTuple):
    """Callable classes as Ray Data takes them; to measure the flow alone, others stand in."""

    render: type = Render
    denoise: type = Denoise
    judge: type = Judge
    commit: type = Commit


STAGES = Stages()


def flow_through(
    spec: Generate,
    plan: Plan,
    weights: str,
    conditions: tuple[str, ...],
    todo: list[int],
    stages: Stages = STAGES,
) -> dict[str, Any]:
    """Makes the shards `todo`.

    Returns images_per_s, denoiser_busy, cost, drawn_pairs (more than were asked for, where workers
    died), and what was measured: seconds per pair of each stage with their spread, bytes per pair,
    start-up in seconds. Raises RunError, or what a stage raised on purpose.
    """
    called = time.time()
    start_ray()
    check_hardware(spec)
    name, ledger = open_ledger()
    pairs = sum(plan.layout.size(i) for i in todo)
    progress = Progress(
        plan.num_pairs, plan.num_pairs - pairs, lambda: price_of_nodes(spec.resources)
    )
    spans: Spans = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    num_bytes = 0
    rows = chain(spec, plan, weights, conditions, todo, name, stages).iter_rows()
    with tqdm(total=pairs, unit="pair", disable=None) as bar:
        try:
            for told in rows:
                why, kept = Counter(json.loads(told["reasons"])), int(told["kept"])
                size = kept + why.total()
                by_stage = json.loads(told["seconds"])
                for stage, spent in by_stage.items():
                    seconds[stage].append(spent / size)
                num_bytes += int(told["bytes"])
                spans[told["actor"]].append((told["begun"], told["ended"], by_stage["denoise"]))
                lasted = told["ended"] - told["begun"]
                progress.add(int(told["shard"]), kept, why, bool(told["first"]), lasted)
                bar.update(size)
                bar.set_postfix(kept=progress.kept)
        except RayError as error:
            raise own_error(error) or error from None
    if not progress.done:
        raise RunError("no shard came out of the pipeline; the log above says why")
    whole = [span for of_actor in spans.values() for span in of_actor]
    begun, ended = min(span[0] for span in whole), max(span[1] for span in whole)
    return {
        "images_per_s": round(progress.done / max(ended - begun, 1e-6), 2),
        "denoiser_busy": round(busy_share(list(spans.values())), 3),
        "cost": progress.told()["cost"],
        "drawn_pairs": ray.get(ledger.begun.remote()),
        "measured": {
            "stages": {stage: mean_and_spread(each) for stage, each in seconds.items()},
            "bytes_per_pair": round(num_bytes / progress.done),
            "startup_s": round(begun - called, 2),
        },
    }


def chain(
    spec: Generate,
    plan: Plan,
    weights: str,
    conditions: tuple[str, ...],
    todo: list[int],
    ledger: str,
    stages: Stages = STAGES,
) -> ray.data.Dataset:
    """A row of `Commit` per shard, lazily. One block is one shard all the way."""
    spec_json = spec.model_dump_json(exclude_unset=True)
    asked = spec.resources
    # With fewer rows than a batch, Ray would put two shards into one block.
    batch_size = min(spec.generator.batch_size, *(plan.layout.size(i) for i in todo))
    around = (1, asked.denoise_actors[1])
    return (
        ray.data.from_items([{"shard": i} for i in todo], override_num_blocks=len(todo))
        .map_batches(
            stages.render,
            fn_constructor_args=(spec_json, conditions),
            batch_size=1,
            compute=pool(asked.render_actors or around),
            num_cpus=asked.render_cpus,
        )
        .map_batches(
            stages.denoise,
            fn_constructor_args=(spec_json, ledger),
            batch_size=batch_size,
            compute=pool(asked.denoise_actors),
            num_cpus=asked.denoise_cpus,
            num_gpus=asked.num_gpus or None,
        )
        .map_batches(
            stages.judge,
            fn_constructor_args=(spec_json,),
            batch_size=batch_size,
            compute=pool(asked.judge_actors or around),
            num_cpus=asked.judge_cpus,
            num_gpus=asked.judge_gpus or None,
        )
        .map_batches(
            stages.commit,
            fn_constructor_args=(spec_json, plan.digest, weights),
            batch_size=None,
            compute=pool(around),
            num_cpus=asked.commit_cpus,
        )
    )


def pool(bounds: tuple[int, int]) -> ActorPoolStrategy:
    return ActorPoolStrategy(
        min_size=bounds[0],
        max_size=bounds[1],
        max_tasks_in_flight_per_actor=IN_FLIGHT,
        max_concurrent_calls_per_actor=CALLS,
    )


def busy_share(spans: list[list[tuple[float, float, float]]]) -> float:
    """Share of the time between each actor's first and last batch in which it drew, over all
    actors. spans: per actor, (begin, end, seconds drawing) of its shards; they may overlap."""
    busy = sum(drawing for of_actor in spans for _, _, drawing in of_actor)
    total = sum(max(s[1] for s in of) - min(s[0] for s in of) for of in spans)
    return busy / total if total else 0.0


def mean_and_spread(per_pair: list[float]) -> dict[str, float]:
    """Over shards; cv is the standard deviation over the mean."""
    mean = float(np.mean(per_pair))
    # A stage that does nothing, as a stand-in of the bench, takes no time that a clock can tell.
    spread = float(np.std(per_pair)) / mean if mean > 0 else 0.0
    return {"s_per_pair": round(mean, 6), "cv": round(spread, 3)}
