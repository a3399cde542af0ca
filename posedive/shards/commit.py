"""Shard bytes -> the store, once: the conditional PUT is the commit, and no other file says so."""

import logging

from posedive.shards.layout import PREFIX
from posedive.shards.plan import Plan
from posedive.storage import Store

log = logging.getLogger(__name__)


def commit_shard(store: Store, name: str, data: bytes) -> bool:
    """True when these bytes are now the shard; False when another attempt's already were."""
    first = store.put_if_absent(name, data)
    log.info("committed object=%s bytes=%d first=%s", name, len(data), first)
    return first


def committed(store: Store, plan: Plan) -> set[int]:
    """The indices of the plan's shards that need no more work."""
    there = {name for name, _ in store.list(PREFIX)}
    return {index for index in range(plan.num_shards) if plan.layout.name(index) in there}
