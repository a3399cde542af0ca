"""An output -> proof against its own plan, one shard in memory at a time.

plan.json gives the name and the keys of each shard (`layout`), so nothing but the output is needed.
Each shard must be there, be whole (`tar`), carry the plan's digests, and hold each of its keys
once, kept or rejected; nothing else may lie among the shards. Who was taken down must be gone from
there. Where there is an offset index, it must say of each shard what the shard holds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

import pyarrow as pa

from posedive.errors import ShardError
from posedive.shards.document import layout_of, read_document
from posedive.shards.index_file import NAME as INDEX
from posedive.shards.index_file import read_table, rows_of, sample_rows, table_of
from posedive.shards.layout import PREFIX, Layout, pair_seed, pid_camid_of
from posedive.shards.takedown import taken_down
from posedive.shards.tar import MANIFEST, check_members, walk_members
from posedive.storage import Store

MAX_PROBLEMS = 100
ROWS_AT_ONCE = 65536
AGAIN = "run `posedive generate JOB.yaml` again"
FINALIZE = "run `posedive finalize URI`"


@dataclass
class Verification:
    """Counts, and the first of the problems by name.

    pairs and shards are what was planned, less taken_down, the pairs of people who had to go.
    missing and doubled count keys; corrupt counts shards (whose keys count nowhere else) and what
    the index says wrong of one; foreign counts objects and keys that no plan knows.
    """

    pairs: int
    kept: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    shards: int = 0
    missing: int = 0
    doubled: int = 0
    corrupt: int = 0
    foreign: int = 0
    taken_down: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.doubled or self.corrupt or self.foreign)

    def to_json(self) -> dict[str, Any]:
        """The counts; `taken_down` and `problems` when there are any."""
        told = asdict(self).items()
        return {k: v for k, v in told if v or k not in ("taken_down", "problems")}


def verify(store: Store) -> Verification:
    """Raises StorageError when there is no plan.json, ShardError when it can't be trusted."""
    document = read_document(store)
    layout = layout_of(document)
    gone = {one.pid for one in layout.identities} & taken_down(store).keys()
    lost = len(gone) * layout.images_per_identity
    found = Verification(layout.num_pairs - lost, shards=layout.num_shards, taken_down=lost)
    indexed = _index(store, found)
    there = {name for name, _ in store.list(PREFIX)}
    for index in range(layout.num_shards):
        name = layout.name(index)
        if name in there:
            there.remove(name)
            try:
                rows = _verify_shard(found, layout, index, store.get(name), document, gone)
                if indexed is not None and rows is not None:
                    _verify_index(found, name, indexed.rows(name), rows)
            except ShardError as error:
                found.corrupt += 1
                _tell(found, f"corrupt: {error}; delete the shard and {AGAIN}")
        else:
            staying = sum(one.pid not in gone for one in layout.members(index))
            found.missing += staying * layout.images_per_identity
            count = staying * layout.images_per_identity
            _tell(found, f"missing: {name} with {count} pairs; {AGAIN}")
    found.foreign += len(there)
    for name in sorted(there):
        _tell(found, f"foreign: {name} is no shard of the plan; delete it")
    told = set() if indexed is None else indexed.spans.keys()
    for name in sorted(told - set(map(layout.name, range(layout.num_shards)))):
        found.corrupt += 1
        _tell(found, f"corrupt: {INDEX}: {name} is no shard of the plan; {FINALIZE}")
    return found


def _verify_shard(
    found: Verification,
    layout: Layout,
    index: int,
    data: bytes,
    document: dict[str, Any],
    gone: set[int],
) -> list[tuple] | None:
    """The rows that an index should have of it; None when it holds a key twice."""
    name = layout.name(index)
    spans = walk_members(data, name)
    members = [(member, data[at : at + size]) for member, at, size in spans]
    twice = _twice(members)
    manifest, samples = check_members(list(dict(members).items()) if twice else members, name)
    said = {"shard": index, "plan": document["digest"], "weights": document["weights"]}
    for what, value in said.items():
        if manifest[what] != value:
            raise ShardError(f"{name}: {MANIFEST}: {what} is {manifest[what]!r}, not {value!r}")
    for sample in samples:
        seed = pair_seed(layout.seed, sample.key)
        if sample.record.get("seed", seed) != seed:
            raise ShardError(f"{name}: member '{sample.key}.json': its seed isn't the plan's")
    planned = {key for key in layout.keys(index) if pid_camid_of(key)[0] not in gone}
    kept = {sample.key for sample in samples}
    reasons = {key: str(reason) for key, reason in manifest["rejected"].items()}
    absent = planned - kept - reasons.keys()
    strays = (kept | reasons.keys()) - planned
    still = {key for key in strays if pid_camid_of(key)[0] in gone}
    elsewhere = {key for key in strays - still if layout.plans(key)}
    found.kept += len(kept & planned)
    found.rejected += len(reasons.keys() & planned)
    counted = Counter(found.reasons)
    counted.update(reason for key, reason in reasons.items() if key in planned)
    found.reasons = dict(counted)
    found.missing += len(absent)
    found.doubled += len(twice) + len(elsewhere)
    found.foreign += len(strays - elsewhere)
    for what, keys in (
        ("missing", absent),
        ("doubled", elsewhere.union(twice)),
        ("foreign", strays - elsewhere),
    ):
        if keys:
            mend = f"delete the shard and {AGAIN}"
            if keys & still:
                pid = pid_camid_of(min(keys & still))[0]
                mend = f"pid {pid} was to go: run `posedive takedown URI --pid {pid}`"
            _tell(found, f"{what}: {name}: {len(keys)} keys, {min(keys)} first; {mend}")
    if twice:
        return None
    table = table_of(sample_rows(name, spans, manifest, samples, split=""))
    return [tuple(row) for _, *row in rows_of(table)]


@dataclass(frozen=True, eq=False)
class _Indexed:
    """What the index has of each shard: its rows become Python's only when they are asked for."""

    table: pa.Table
    spans: dict[str, list[tuple[int, int]]]  # first row and number of rows

    def rows(self, name: str) -> list[tuple]:
        parts = [self.table.slice(*span) for span in self.spans.get(name, [])]
        return [tuple(row) for part in parts for _, *row in rows_of(part)]


def _index(store: Store, found: Verification) -> _Indexed | None:
    """None where there is none that can be read."""
    if not store.exists(INDEX):
        return None
    try:
        table, told = read_table(store.get(INDEX), INDEX)
    except ShardError as error:
        found.corrupt += 1
        _tell(found, f"corrupt: {error}")
        return None
    spans: dict[str, list[tuple[int, int]]] = {name: [] for name in told["shards"]}
    at = 0
    for batch in table.select(["shard"]).to_batches(max_chunksize=ROWS_AT_ONCE):
        for name, rows in groupby(batch.column("shard").to_pylist()):
            spans.setdefault(name, []).append((at, count := sum(1 for _ in rows)))
            at += count
    return _Indexed(table, spans)


def _verify_index(found: Verification, name: str, got: list[tuple], expected: list[tuple]) -> None:
    if got != expected:
        found.corrupt += 1
        wrong = [e[0] for e, g in zip(expected, got, strict=False) if e != g]
        where = f"first at key {wrong[0]}" if wrong else f"{len(got)} rows of {len(expected)}"
        _tell(found, f"corrupt: {INDEX}: disagrees with {name}, {where}; {FINALIZE}")


def _twice(members: Sequence[tuple[str, bytes]]) -> list[str]:
    counts = Counter(member.removesuffix(".jpg") for member, _ in members if ".jpg" in member)
    return [key for key, count in counts.items() if count > 1 and "/" not in key]


def _tell(found: Verification, problem: str) -> None:
    if len(found.problems) < MAX_PROBLEMS:
        found.problems.append(problem)
