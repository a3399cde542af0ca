"""What a running job tells of itself: a line per shard, and at times one of the whole.

    committed shard=000012 kept=7 rejected={'low_oks': 1} first=True seconds=2.3
    progress={"pairs": 256, "done": 96, "kept": 83, "rejected": {...}, "images_per_s": 4.1, ...}
`posedive status` reads the second kind from the job's log. kept and rejected are this run's; done
has also what earlier runs committed.
"""

import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import ray

from posedive.spec.generate import Resources

log = logging.getLogger(__name__)
TELL_EVERY_S = 10.0
WINDOW_S = 300.0  # the rate that the ETA goes by: a pool that grew counts as it is now


class Progress:
    def __init__(
        self,
        pairs: int,
        resumed: int,
        price_per_hour: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ):
        """price_per_hour: of the nodes that are up now."""
        self.pairs, self.resumed = pairs, resumed
        self.kept = 0
        self.rejected: Counter[str] = Counter()
        self.cost = 0.0
        self._price, self._clock = price_per_hour, clock
        self._recent: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._paid_at = self._told_at = clock()

    @property
    def done(self) -> int:
        """By this run."""
        return self.kept + self.rejected.total()

    def add(self, shard: int, kept: int, rejected: Counter[str], first: bool, seconds: float):
        self.kept += kept
        self.rejected.update(rejected)
        log.info(
            "committed shard=%06d kept=%d rejected=%s first=%s seconds=%.1f",
            *(shard, kept, dict(rejected), first, seconds),
        )
        now = self._clock()
        self._recent.append((now, self.done))
        while len(self._recent) > 2 and now - self._recent[0][0] > WINDOW_S:
            self._recent.popleft()
        if now - self._told_at >= TELL_EVERY_S or self.resumed + self.done >= self.pairs:
            self._told_at = now
            log.info("progress=%s", json.dumps(self.told()))

    def told(self) -> dict[str, Any]:
        now = self._clock()
        # Nodes that came or went since the last time are charged as they are now.
        self.cost += self._price() * (now - self._paid_at) / 3600
        self._paid_at = now
        (begun, before), (ended, after) = self._recent[0], self._recent[-1]
        rate = (after - before) / (ended - begun) if ended > begun else 0.0
        left = self.pairs - self.resumed - self.done
        return {
            "pairs": self.pairs,
            "done": self.resumed + self.done,
            "kept": self.kept,
            "rejected": dict(self.rejected),
            "images_per_s": round(rate, 2),
            "eta_s": round(left / rate) if rate else None,
            "cost": round(self.cost, 4),
        }


def price_of_nodes(resources: Resources) -> float:
    """Per hour, of the cluster's living nodes by the spec's prices; a head counts as a CPU node."""
    if not (resources.cpu_node.price_per_hour or resources.gpu_node.price_per_hour):
        return 0.0
    return sum(
        (resources.gpu_node if node["Resources"].get("GPU") else resources.cpu_node).price_per_hour
        for node in ray.nodes()
        if node["Alive"]
    )
