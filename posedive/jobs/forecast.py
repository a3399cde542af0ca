"""`posedive plan`: what a generate job comes to. Nothing is done, no Ray is started.

Pairs and shards are counted; bytes, hours and money follow from times that were measured, in this
order: of the output that `--times` names, of the job's own output where a run has left its
summary.json there, of the embedded generator as it ships. Without any, they are null.
"""

import json
import logging
import math
from collections.abc import Sequence
from typing import Any

from posedive.errors import SpecError, StorageError
from posedive.jobs.planning import planned
from posedive.jobs.simulate import Forecast, simulate
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.spec.generate import Generate, Resources
from posedive.storage import open_store

log = logging.getLogger(__name__)
SUMMARY = "summary.json"
BYTES_PER_PIXEL = 0.9  # JPEG at quality 95 and the record, measured on the embedded world
LOOK_PATIENCE_S = 5.0
# Processor seconds per pair of the embedded generator at 64x128, one core, shards of 8 (AMD
# EPYC, November 2026); start-up is Ray's and the first actors'.
EMBEDDED = {
    "render_s": 0.060,
    "denoise_rest_s": 0.040,
    "denoise_step_s": 0.017,
    "judge_s": 0.015,
    "commit_s": 0.001,
    "startup_s": 25.0,
}
UNMEASURED = (
    "nothing: no run of this generator was measured. Run the job for a few people (--set"
    " dataset.identities=8 --set output.uri=/tmp/trial) on the machines in question, and plan again"
    " with --times /tmp/trial"
)
Measured = dict[str, Any]


def plan_summary(
    spec: Generate, nodes: Sequence[int] = (), times_uri: str | None = None
) -> dict[str, Any]:
    """What the job comes to, before any reference is scored.

    nodes: also the time on each of these numbers of machines, of the kind that denoises.
    """
    images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
    plan = planned(spec, images, None)
    measured, source = measured_times(spec, times_uri)
    per_pair = BYTES_PER_PIXEL * spec.size[0] * spec.size[1]
    if measured:
        per_pair = measured.get("bytes_per_pair", per_pair)
    told: dict[str, Any] = {
        "pairs": plan.num_pairs,
        "shards": plan.num_shards,
        "bytes": round(plan.num_pairs * per_pair),
        "gpu_hours": None,
        "cost": None,
        "bottleneck": None,
        "seconds": None,
        "identities": len(plan.images),
        "digest": plan.digest,
        "measured_from": source,
    }
    if measured is None:
        return told
    asked = nodes_asked(spec.resources)
    told |= _row(spec, measured, plan.num_pairs, plan.num_shards, asked)
    if nodes:
        told["nodes"] = {
            str(count): _row(spec, measured, plan.num_pairs, plan.num_shards, count)
            for count in nodes
        }
    return told


def node_counts(text: str) -> list[int]:
    """'1,8,64' as numbers. Raises SpecError."""
    try:
        counts = [int(each) for each in text.split(",") if each.strip()]
    except ValueError:
        counts = [0]
    if any(count < 1 for count in counts):
        raise SpecError(f"--nodes: expected numbers of machines such as 1,8,64, got {text!r}")
    return counts


def nodes_asked(resources: Resources) -> int:
    """Machines that the denoise pool at its largest needs."""
    return math.ceil(resources.denoise_actors[1] / denoisers_of(resources, 1))


def denoisers_of(resources: Resources, nodes: int) -> int:
    """Denoise actors that so many machines hold: by GPUs, or by CPUs with a render actor each."""
    if resources.num_gpus:
        return max(1, int(resources.gpu_node.gpus / resources.num_gpus)) * nodes
    beside = resources.denoise_cpus + resources.render_cpus
    return max(1, int(resources.cpu_node.cpus / beside)) * nodes


def _row(spec: Generate, measured: Measured, pairs: int, shards: int, nodes: int) -> dict[str, Any]:
    asked = spec.resources
    node = asked.gpu_node if asked.num_gpus else asked.cpu_node
    denoisers = denoisers_of(asked, nodes)
    forecast = _forecast(spec, measured, pairs, shards, nodes, denoisers)
    gpu_hours = 0.0
    if asked.num_gpus:
        gpu_hours = nodes * node.gpus * forecast.seconds / 3600
    hourly = nodes * node.price_per_hour + asked.cpu_node.price_per_hour  # and the head
    return {
        "seconds": round(forecast.seconds, 1),
        "images_per_s": round(pairs / forecast.seconds, 2),
        "gpu_hours": round(gpu_hours, 3),
        "cost": round(hourly * forecast.seconds / 3600, 2),
        "bottleneck": forecast.bottleneck,
        "busy": forecast.busy,
    }


def _forecast(
    spec: Generate, measured: Measured, pairs: int, shards: int, nodes: int, denoisers: int
) -> Forecast:
    asked = spec.resources
    node = asked.gpu_node if asked.num_gpus else asked.cpu_node
    cpus = max(1, int(nodes * node.cpus - denoisers * asked.denoise_cpus))
    stages = measured["stages"]
    return simulate(
        {name: stage["s_per_pair"] * pairs / shards for name, stage in stages.items()},
        {name: stage["cv"] for name, stage in stages.items()},
        shards,
        denoisers,
        cpus,
        measured.get("startup_s", 0.0),
    )


def measured_times(spec: Generate, times_uri: str | None) -> tuple[Measured | None, str]:
    """What `flow` has measured, and where it is from. Raises SpecError where it isn't to be had
    from `times_uri`."""
    uri = times_uri or spec.output.uri
    measured = _of_output(uri, named=times_uri is not None)
    if measured:
        return measured, f"{uri.rstrip('/')}/{SUMMARY}"
    generator = spec.generator
    if generator.weights == "embedded" and spec.size == (64, 128) and generator.guidance_scale == 1:
        return _embedded(generator.steps), "the embedded generator, on one CPU core"
    return None, UNMEASURED


def _of_output(uri: str, named: bool) -> Measured | None:
    store = open_store(uri, LOOK_PATIENCE_S)
    try:
        measured = json.loads(store.get(SUMMARY)).get("measured") if store.exists(SUMMARY) else None
    except StorageError as error:
        if named:
            raise
        log.info("no times from the output: %s", error)
        return None
    if measured is None and named:
        raise SpecError(f"--times {uri}: no {SUMMARY} with times; is it the output of a whole run?")
    return measured


def _embedded(steps: int) -> Measured:
    """By `EMBEDDED`; the spread is that of shards of one size."""
    denoise = EMBEDDED["denoise_rest_s"] + steps * EMBEDDED["denoise_step_s"]
    per_pair = {
        "render": EMBEDDED["render_s"],
        "denoise": denoise,
        "judge": EMBEDDED["judge_s"],
        "commit": EMBEDDED["commit_s"],
    }
    return {
        "stages": {name: {"s_per_pair": s, "cv": 0.07} for name, s in per_pair.items()},
        "startup_s": EMBEDDED["startup_s"],
    }
