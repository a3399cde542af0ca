"""A person leaves: takedown/pid-000002.json is the order, and stands; all else follows from it.

    ask            the order, put if absent: from here on `verify` wants the person gone
    remove_people  the shards of ordered pids, each rewritten without them and put in one step
    finalize       index, card and audit.jsonl renewed
Whatever moment a kill picks, asking again (or `posedive finalize`) goes on from there. Orders are
kept: a later `posedive generate` that still had the person's shard to make obeys them, too.

The new shard takes the old one's name, in one step: no moment shows both, or neither, and planned
names, lists of tars and the others' rows stay right. What readers keep must not outlive it, though:
stores tell caches on the way to ask again (no-cache; the ETag is another), versions that a bucket
kept are deleted, a loader's cache drops other versions of its index's shards, and whoever goes on
with the old index gets a ShardError: each picture is checked against its sha256.

An order is one JSON object: pid, asked (UTC), then shard, pictures, sha256_before, and in the end
sha256_after, done (UTC).
"""

import hashlib
import json
import logging
from datetime import UTC, datetime
from typing import Any

from posedive.errors import RequestError, ShardError
from posedive.shards.layout import Layout
from posedive.shards.tar import drop_pids
from posedive.storage import Store

log = logging.getLogger(__name__)

ORDERS = "takedown/"
SUCCESS = "_SUCCESS"
# Made from pictures, or telling of them: gone with the person, and built again by finalize (but the
# report, which is asked for by hand, and people.pt, which only generating needs).
DERIVED = ("contact_sheet.jpg", "index.parquet", "people.pt", "report.html")


def ask(store: Store, layout: Layout, pid: int) -> bool:
    """Puts the order; False when it stood already. Raises RequestError for a pid of nobody."""
    if all(identity.pid != pid for identity in layout.identities):
        raise RequestError(
            f"{store.uri}: expected a pid of the plan's {len(layout.identities)} identities, got"
            f" {pid}; plan.json lists them"
        )
    return store.put_if_absent(_order(pid), _line({"pid": pid, "asked": _now()}))


def taken_down(store: Store) -> dict[int, dict[str, Any]]:
    """The orders by pid. Raises ShardError for one that can't be read."""
    orders = {}
    for name, _ in store.list(ORDERS):
        try:
            order = json.loads(store.get(name))
            orders[int(order["pid"])] = order
        except (ValueError, KeyError, TypeError) as error:
            raise ShardError(
                f"{store.uri}/{name}: expected a takedown's JSON, got something else; was it"
                " edited? mend its pid and run `posedive takedown` again"
            ) from error
    return dict(sorted(orders.items()))


def remove_people(store: Store, layout: Layout) -> dict[int, dict[str, Any]]:
    """Carries out all orders whose shard is there; returns them as they are then.

    Orders may come in meanwhile, and two of these run at once: it ends when a look at all shards
    finds nobody who was to go.
    """
    while True:
        orders = taken_down(store)
        changed = False
        for index in _shards_of(layout, set(orders)):
            changed |= _rewrite(store, layout, index, orders)
        if not changed:
            return orders


def _rewrite(store: Store, layout: Layout, index: int, orders: dict[int, dict[str, Any]]) -> bool:
    name = layout.name(index)
    here = {one.pid for one in layout.members(index)} & orders.keys()
    if not store.exists(name):
        return False
    before = store.get(name)
    after, dropped = drop_pids(before, here, name)
    if dropped:
        store.delete(SUCCESS)
        for pid in here:
            pictures = sum(int(key.partition("_")[0]) == pid for key in dropped)
            if pictures:
                orders[pid] |= {"shard": name, "pictures": pictures, "sha256_before": _sha(before)}
                store.put(_order(pid), _line(orders[pid]))
        store.put(name, after)
    for pid in here:
        if dropped or "done" not in orders[pid]:
            for derived in DERIVED:
                store.delete(derived)
            for kept in (name, *DERIVED):
                store.forget(kept)
            orders[pid] |= {"shard": name, "sha256_after": _sha(after), "done": _now()}
            store.put(_order(pid), _line(orders[pid]))
            log.info("taken down pid=%d shard=%s", pid, name)
    return bool(dropped)


def _shards_of(layout: Layout, pids: set[int]) -> list[int]:
    if not pids:
        return []
    return [
        index
        for index in range(layout.num_shards)
        if any(one.pid in pids for one in layout.members(index))
    ]


def _order(pid: int) -> str:
    return f"{ORDERS}pid-{pid:06d}.json"


def _line(order: dict[str, Any]) -> bytes:
    return json.dumps(order, sort_keys=True).encode() + b"\n"


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
