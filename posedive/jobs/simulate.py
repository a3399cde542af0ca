"""How long a job takes on so many machines: a simulation of its shards from stage to stage.

In: seconds per shard of each stage as measured, their spread, how many actors and CPUs there are.
Out: the time, how busy each resource is, and which one holds the rest up.

    render -> denoise -> judge -> commit -> the store's PUT
Denoise has its own actors; the other stages share the CPUs, later stages first, as Ray Data's
back-pressure has it. All shards of an output lie below one prefix, where S3 takes PUTS_PER_S and
GETS_PER_S (Amazon's published limits for a prefix that it hasn't split yet). Of a large job the
first shards are simulated, and the rest goes at the rate of its slowest resource.
"""

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass

PUTS_PER_S, GETS_PER_S = 3500, 5500
GETS_PER_DENOISER, GETS_PER_CPU = 12, 3  # weights and references, read when an actor starts
STAGES = ("render", "denoise", "judge", "commit", "store")
LEAST_SIMULATED = 2000
ROUNDS_SIMULATED = 8  # of each actor


@dataclass(frozen=True)
class Forecast:
    """seconds from the first actor's start to the last commit. busy: resource -> share of that."""

    seconds: float
    busy: dict[str, float]
    bottleneck: str


def simulate(
    seconds: Mapping[str, float],
    spread: Mapping[str, float],
    shards: int,
    denoisers: int,
    cpus: int,
    startup_s: float = 0.0,
    seed: int = 0,
) -> Forecast:
    """seconds: mean per shard of render, denoise, judge and commit; spread: their coefficients of
    variation. cpus: those left for the stages other than denoise, at least one."""
    if min(shards, denoisers, cpus) < 1:
        raise ValueError("shards, denoisers and cpus begin at 1")
    mean = dict(seconds) | {"store": 1 / PUTS_PER_S}
    servers = {"denoise": denoisers, "store": 1, "cpu": cpus}
    simulated = min(shards, max(LEAST_SIMULATED, ROUNDS_SIMULATED * (denoisers + cpus)))
    lasted, worked = _run(mean, spread, simulated, servers, random.Random(seed))
    # What each resource does for one shard, and how many shards a second that allows.
    load = {
        "denoise": mean["denoise"] / denoisers,
        "cpu": sum(mean[stage] for stage in STAGES if _resource(stage) == "cpu") / cpus,
        "store": mean["store"],
    }
    more = shards - simulated
    lasted += more * max(load.values())
    requests = denoisers * GETS_PER_DENOISER + cpus * GETS_PER_CPU
    whole = startup_s + requests / GETS_PER_S + lasted
    busy = {
        name: round(min(1.0, (worked[name] / servers[name] + more * load[name]) / whole), 4)
        for name in load
    }
    slowest = max(load, key=lambda name: load[name])
    if slowest == "cpu":
        slowest = max(("render", "judge", "commit"), key=lambda stage: mean[stage])
    return Forecast(whole, busy, slowest)


def _run(
    mean: Mapping[str, float],
    spread: Mapping[str, float],
    shards: int,
    servers: Mapping[str, int],
    rng: random.Random,
) -> tuple[float, dict[str, float]]:
    """Seconds until the last shard is through, and the work that each resource has done."""
    free = dict(servers)
    worked = dict.fromkeys(servers, 0.0)
    # Shards that wait for a resource: the latest stage first, then the order of arrival.
    waiting: dict[str, list[tuple[int, int]]] = {name: [] for name in servers}
    waiting["cpu"] = [(-STAGES.index("render"), shard) for shard in range(shards)]
    heapq.heapify(waiting["cpu"])
    events: list[tuple[float, int, int]] = []  # (when it ends, stage, shard)
    now = 0.0

    def begin(resource: str) -> None:
        while free[resource] and waiting[resource]:
            later, shard = heapq.heappop(waiting[resource])
            stage = STAGES[-later]
            lasts = mean[stage] * _around_one(spread.get(stage, 0.0), rng)
            free[resource] -= 1
            worked[resource] += lasts
            heapq.heappush(events, (now + lasts, -later, shard))

    begin("cpu")
    while events:
        now, stage, shard = heapq.heappop(events)
        resource = _resource(STAGES[stage])
        free[resource] += 1
        if stage + 1 < len(STAGES):
            following = _resource(STAGES[stage + 1])
            heapq.heappush(waiting[following], (-(stage + 1), shard))
            begin(following)
        begin(resource)
    return now, worked


def _resource(stage: str) -> str:
    return stage if stage in ("denoise", "store") else "cpu"


def _around_one(cv: float, rng: random.Random) -> float:
    """A positive number of mean 1: gamma-distributed, as times of work are."""
    return rng.gammavariate(1 / cv**2, cv**2) if cv > 0 else 1.0
