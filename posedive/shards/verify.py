"""An output -> proof against its own plan, one shard in memory at a time.

plan.json gives the name and the keys of each shard (`layout`), so nothing but the output is needed.
Each shard must be there, be whole (`tar`), carry the plan's digests, and hold each of its keys
once, kept or rejected; nothing else may lie among the shards.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from posedive.errors import ShardError
from posedive.shards.document import layout_of, read_document
from posedive.shards.layout import PREFIX, Layout, pair_seed
from posedive.shards.tar import MANIFEST, check_members, read_members
from posedive.storage import Store

MAX_PROBLEMS = 100


@dataclass
class Verification:
    """Counts, and the first of the problems by name.

    pairs and shards are what was planned; missing and doubled count keys, corrupt counts shards
    (whose keys count nowhere else), foreign counts objects and keys that no plan knows.
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
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.doubled or self.corrupt or self.foreign)

    def to_json(self) -> dict[str, Any]:
        """The counts, and `problems` when there are any."""
        return {name: value for name, value in asdict(self).items() if name != "problems" or value}


def verify(store: Store) -> Verification:
    """Raises StorageError when there is no plan.json, ShardError when it can't be trusted."""
    document = read_document(store)
    layout = layout_of(document)
    found = Verification(pairs=layout.num_pairs, shards=layout.num_shards)
    there = {name for name, _ in store.list(PREFIX)}
    for index in range(layout.num_shards):
        name = layout.name(index)
        if name in there:
            there.remove(name)
            try:
                _verify_shard(found, layout, index, store.get(name), document)
            except ShardError as error:
                found.corrupt += 1
                _tell(found, f"corrupt: {error}")
        else:
            count = len(layout.members(index)) * layout.images_per_identity
            found.missing += count
            _tell(found, f"missing: {name} with {count} pairs")
    found.foreign += len(there)
    for name in sorted(there):
        _tell(found, f"foreign: {name} is no shard of the plan")
    return found


def _verify_shard(
    found: Verification, layout: Layout, index: int, data: bytes, document: dict[str, Any]
) -> None:
    name = layout.name(index)
    members = read_members(data, name)
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
    planned = set(layout.keys(index))
    kept = {sample.key for sample in samples}
    reasons = {key: str(reason) for key, reason in manifest["rejected"].items()}
    absent = planned - kept - reasons.keys()
    strays = (kept | reasons.keys()) - planned
    elsewhere = {key for key in strays if layout.plans(key)}
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
            _tell(found, f"{what}: {name}: {len(keys)} keys, {min(keys)} first")


def _twice(members: Sequence[tuple[str, bytes]]) -> list[str]:
    counts = Counter(member.removesuffix(".jpg") for member, _ in members if ".jpg" in member)
    return [key for key, count in counts.items() if count > 1 and "/" not in key]


def _tell(found: Verification, problem: str) -> None:
    if len(found.problems) < MAX_PROBLEMS:
        found.problems.append(problem)
