"""An output's store -> what the page tells of it, one shard in memory at a time.

In: plan.json, the committed tars with their manifest and the pictures below __shard__/, and
summary.json where a run has left one. Out: Gathered, whose size does not grow with the store:
counts are exact, samples of poses and scores and the pictures are capped.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from posedive.errors import ShardError
from posedive.report.distribution import view_counts
from posedive.shards.document import layout_of, read_document
from posedive.shards.layout import PREFIX, Layout
from posedive.shards.tar import Sample, check_members, read_members
from posedive.storage import Store

log = logging.getLogger(__name__)

PREVIEW, REJECTED = "__shard__/preview/", "__shard__/rejected/"
MAX_IDENTITIES, MAX_PAIRS = 12, 3
MAX_REJECTED, MAX_REJECTED_PER_REASON = 24, 4
MAX_SAMPLED = 2000  # poses, and values of one score
MAX_NAMES = 24  # of reasons and scores: what a strange record can make us remember
OTHERS = "(others)"
RUN_FIGURES = ("images_per_s", "seconds")


@dataclass(frozen=True)
class Shown:
    """A pair and its pictures as JPEG bytes; `preview` is reference and conditions in a row."""

    key: str
    record: Mapping[str, Any]
    generated: bytes | None
    preview: bytes | None = None
    reason: str = ""


@dataclass
class Reservoir:
    """A uniform sample of a stream of unknown length (Vitter's algorithm R)."""

    rng: np.random.Generator
    seen: int = 0
    values: list[Any] = field(default_factory=list)

    def add(self, value: Any) -> None:
        self.seen += 1
        if len(self.values) < MAX_SAMPLED:
            self.values.append(value)
        elif (at := int(self.rng.integers(self.seen))) < MAX_SAMPLED:
            self.values[at] = value


@dataclass
class Gathered:
    document: dict[str, Any]
    layout: Layout
    run: dict[str, float] = field(default_factory=dict)
    shards: int = 0
    kept: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    views: np.ndarray = field(default_factory=lambda: view_counts([], []))
    poses: Reservoir = field(default_factory=lambda: Reservoir(np.random.default_rng(0)))
    scores: dict[str, Reservoir] = field(default_factory=dict)
    people: dict[int, list[Shown]] = field(default_factory=dict)
    people_counts: dict[int, int] = field(default_factory=dict)
    rejected_shown: list[Shown] = field(default_factory=list)
    panels: tuple[str, ...] = ()
    unreadable: list[str] = field(default_factory=list)
    num_unreadable: int = 0

    @property
    def missing(self) -> int:
        """Pairs of shards that aren't there, or can't be read."""
        return self.layout.num_pairs - self.kept - self.rejected


def gather(store: Store) -> Gathered:
    """Raises StorageError without a plan.json, ShardError for a garbled one.

    A shard or record that can't be read is named in `unreadable` and counted nowhere else.
    """
    document = read_document(store)
    found = Gathered(document, layout_of(document), _run_figures(store))
    there = {name for name, _ in store.list(PREFIX)}
    for index in range(found.layout.num_shards):
        name = found.layout.name(index)
        if name not in there:
            continue
        try:
            _add_shard(found, name, store.get(name))
        except ShardError as error:
            _unreadable(found, str(error))
    log.info("gathered shards=%d kept=%d rejected=%d", found.shards, found.kept, found.rejected)
    return found


def _add_shard(found: Gathered, name: str, data: bytes) -> None:
    members = read_members(data, name)
    manifest, samples = check_members(members, name)
    if manifest["plan"] != found.document["digest"]:
        raise ShardError(f"{name}: made for another plan ({manifest['plan']!r})")
    found.shards += 1
    found.kept += len(samples)
    found.rejected += len(manifest["rejected"])
    for reason in map(str, manifest["rejected"].values()):
        known = reason in found.reasons or len(found.reasons) < MAX_NAMES
        found.reasons[reason if known else OTHERS] += 1
    azimuth, elevation = [], []
    for sample in samples:
        try:
            view = _number(sample.record["azimuth_deg"]), _number(sample.record["elevation_deg"])
            _add_record(found, sample.record)
        except (KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            _unreadable(found, f"{name}: record of {sample.key} has no usable viewpoint ({what})")
            continue
        azimuth.append(view[0])
        elevation.append(view[1])
    found.views += view_counts(azimuth, elevation)
    extras = {member: content for member, content in members if member.startswith("__shard__/")}
    _add_people(found, samples, extras, manifest)
    _add_rejected(found, manifest["rejected"], extras)


def _add_record(found: Gathered, record: Mapping[str, Any]) -> None:
    if (pose := _body_pose(record.get("body_pose"))) is not None:
        found.poses.add(pose)
    for name, value in scores_of(record):
        if name in found.scores or len(found.scores) < MAX_NAMES:
            found.scores.setdefault(name, Reservoir(np.random.default_rng(0))).add(value)


def _add_people(
    found: Gathered, samples: list[Sample], extras: Mapping[str, bytes], manifest: Mapping[str, Any]
) -> None:
    """A few identities of each shard, so that they come from the whole store."""
    pairs: dict[int, list[Shown]] = {}
    for sample in samples:
        preview = extras.get(f"{PREVIEW}{sample.key}.jpg")
        shown = Shown(sample.key, sample.record, sample.jpeg, preview)
        pairs.setdefault(int(sample.key.partition("_")[0]), []).append(shown)
    panels = manifest.get("preview_panels")
    if not found.panels and isinstance(panels, list):
        found.panels = tuple(str(panel)[:40] for panel in panels[:8])
    # Pairs with a preview tell more: the others show only where a shard has none.
    told = {pid: [pair for pair in of_pid if pair.preview] for pid, of_pid in pairs.items()}
    told = {pid: of_pid for pid, of_pid in told.items() if of_pid} or pairs
    share = -(-MAX_IDENTITIES // found.layout.num_shards)
    for pid in list(told)[: min(share, MAX_IDENTITIES - len(found.people))]:
        found.people[pid] = told[pid][:MAX_PAIRS]
        found.people_counts[pid] = len(pairs[pid])


def _add_rejected(
    found: Gathered, rejected: Mapping[str, Any], extras: Mapping[str, bytes]
) -> None:
    per_reason = Counter(shown.reason for shown in found.rejected_shown)
    for key, reason in sorted(rejected.items()):
        jpeg = extras.get(f"{REJECTED}{key}.jpg")
        full = len(found.rejected_shown) >= MAX_REJECTED
        if jpeg is None or full or per_reason[str(reason)] >= MAX_REJECTED_PER_REASON:
            continue
        per_reason[str(reason)] += 1
        record = _json_object(extras.get(f"{REJECTED}{key}.json", b"{}"))
        preview = extras.get(f"{PREVIEW}{key}.jpg")
        found.rejected_shown.append(Shown(key, record, jpeg, preview, str(reason)))


def before(document: Mapping[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The set's own views, counted (360, 180), and a sample of its poses (n, 69).

    None for what the plan doesn't know: a set without SMPL fits has neither.
    Raises ShardError for a distribution without "azimuth_deg", "elevation_deg" and "body_pose".
    """
    told = document.get("dataset_distribution")
    if not told:
        return None, None
    try:
        azimuth = [_number(value) for value in told["azimuth_deg"]]
        elevation = [_number(value) for value in told["elevation_deg"]]
        counts = view_counts(azimuth, elevation)
        # A sample weighs as much as the set that it was drawn from.
        counts *= _number(told.get("num_images", len(azimuth))) / max(len(azimuth), 1)
        poses = [pose for pose in map(_body_pose, told["body_pose"]) if pose is not None]
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ShardError(f"plan.json: dataset_distribution can't be read ({what})") from error
    return counts if azimuth else None, np.array(poses) if poses else None


def scores_of(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers among a record's scores."""
    scores = record.get("scores")
    for name, value in scores.items() if isinstance(scores, dict) else ():
        if is_number(value):
            yield str(name), float(value)


def _run_figures(store: Store) -> dict[str, float]:
    """Throughput, from the summary of the last run or from the progress of one under way."""
    names = ["summary.json"] if store.exists("summary.json") else []
    names += [name for name, _ in reversed(store.list("_progress")) if name.endswith(".json")]
    for name in names[:3]:
        told = _json_object(store.get(name))
        figures = {key: float(told[key]) for key in RUN_FIGURES if is_number(told.get(key))}
        if figures:
            return figures
    return {}


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _body_pose(value: Any) -> np.ndarray | None:
    """69 numbers, or None for anything else: a set may have fits for some of its images."""
    try:
        pose = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        return None
    return pose if pose.shape == (69,) and bool(np.isfinite(pose).all()) else None


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value out of JSON can be reckoned with: no text, no true, no infinity."""
    return type(value) in (int, float) and abs(value) < 1e12


def _number(value: Any) -> float:
    if is_number(value):
        return float(value)
    raise ValueError(f"expected a finite number, got {str(value)[:40]!r}")


def _unreadable(found: Gathered, message: str) -> None:
    found.num_unreadable += 1
    if len(found.unreadable) < MAX_NAMES:
        found.unreadable.append(message)
