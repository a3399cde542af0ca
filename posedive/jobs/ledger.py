"""Who was being drawn when a worker died: bounds what a poison pair can cost (one per job).

A worker that dies takes its counts with it, and Ray gives its batch to the next one for ever. So
each batch is entered here before it is drawn and struck off after. A batch that is found entered
was under a worker that died: it is then drawn pair by pair, and a pair that has seen
MAX_ATTEMPTS of its own workers die is rejected for it.
"""

import uuid
from collections import Counter
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

MAX_ATTEMPTS = 3
KILLED = "worker_killed"


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Ledger:
    def __init__(self):
        self._open: Counter[str] = Counter()
        self._pairs = 0

    def enter(self, key: str, pairs: int = 0) -> int:
        """How often `key` was entered before and never struck off; counts `pairs` as begun."""
        before = self._open[key]
        self._open[key] += 1
        self._pairs += pairs
        return before

    def strike(self, key: str) -> None:
        del self._open[key]

    def begun(self) -> int:
        """Pairs whose drawing was begun, each as often as it was."""
        return self._pairs


def open_ledger() -> tuple[str, Any]:
    """Its name, and a handle to hold for as long as it is to live.

    It sits beside the driver, so that no other node's end is its own. Not by a soft wish: Ray put
    two of five elsewhere, and with their nodes went the counts.
    """
    name = f"posedive-ledger-{uuid.uuid4().hex}"
    node = ray.get_runtime_context().get_node_id()
    beside = NodeAffinitySchedulingStrategy(node, soft=False)
    options = Ledger.options(name=name, scheduling_strategy=beside)  # type: ignore[attr-defined]
    return name, options.remote()
