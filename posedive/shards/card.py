"""The dataset card: README.md with the YAML front matter that the Hugging Face hub reads.

In: plan.json and counts gathered from the tars. Out: Markdown. The licence is the strictest of what
went into the pictures; see LICENCES.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import yaml

from posedive.shards.provenance import digital_source_type

# From free to strict. The hub knows the first by name; the others are "other" with a name.
FREE, UNKNOWN, RESEARCH = "apache-2.0", "unknown", "research-only"
LICENCES = (FREE, UNKNOWN, RESEARCH)
SETS = {"embedded": FREE, "market1501": RESEARCH, "msmt17": RESEARCH, "cuhk03": RESEARCH}
AZIMUTH_DEG, ELEVATION_DEG = 45, 15  # of a bin
SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MEANING = {
    FREE: "made from parts that are free to use, change and pass on",
    UNKNOWN: "a source named below came without a licence that this package knows; ask whoever"
    " brought it before passing this on",
    RESEARCH: "for research only: a source named below allows no more",
}


@dataclass
class Facts:
    """Counts over the samples of an output."""

    samples: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    per_pid: Counter[int] = field(default_factory=Counter)
    per_camid: Counter[int] = field(default_factory=Counter)
    azimuth: Counter[int] = field(default_factory=Counter)  # by the bin's lower end, degrees
    elevation: Counter[int] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """row: of the index; record: the sample's JSON."""
        self.samples += 1
        self.splits[row["split"]] += 1
        self.per_pid[row["pid"]] += 1
        self.per_camid[row["camid"]] += 1
        azimuth, elevation = record.get("azimuth_deg"), record.get("elevation_deg")
        if _finite(azimuth):
            self.azimuth[math.floor(azimuth % 360 / AZIMUTH_DEG) * AZIMUTH_DEG] += 1
        if _finite(elevation):
            self.elevation[math.floor(elevation / ELEVATION_DEG) * ELEVATION_DEG] += 1


def sources(document: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """{part: (what was used, its licence's place in LICENCES)} of a plan's spec."""
    spec = document["spec"]

    def embedded(name: str) -> str:
        return FREE if name.startswith("embedded") else UNKNOWN

    def text(*path: str) -> str:
        value: Any = spec
        for part in path:
            value = value.get(part, {}) if isinstance(value, Mapping) else {}
        return str(value) if value else "unknown"

    dataset, generator = text("dataset", "name"), text("generator", "weights")
    body, poses = text("body"), text("poses")
    free_control = generator in ("composite", "oracle")
    return {
        "dataset": (dataset, SETS.get(dataset, UNKNOWN)),
        "generator": (_last(generator), FREE if free_control else embedded(generator)),
        # An SMPL file's licence allows non-commercial research, AMASS's too.
        "body": (_last(body), FREE if body == "embedded" else RESEARCH),
        "poses": (_last(poses), FREE if poses.startswith("embedded") else RESEARCH),
    }


def strictest(document: Mapping[str, Any]) -> str:
    return max((licence for _, licence in sources(document).values()), key=LICENCES.index)


def write_card(document: Mapping[str, Any], facts: Facts, num_taken_down: int = 0) -> str:
    licence, used = strictest(document), sources(document)
    dataset, _ = used["dataset"]
    front: dict[str, Any] = {
        "pretty_name": f"{dataset}, re-drawn by posedive",
        "license": licence if licence == FREE else "other",
        "tags": ["person-re-identification", "synthetic", "webdataset", "posedive"],
        "task_categories": ["image-feature-extraction"],
        "size_categories": [_size(facts.samples)],
        "annotations_creators": ["machine-generated"],
        "configs": [
            {"config_name": "index", "data_files": [{"split": "train", "path": "index.parquet"}]}
        ],
    }
    if licence != FREE:
        front |= {"license_name": licence}
    counts = sorted(facts.per_pid.values()) or [0]
    parts = [
        "---\n" + yaml.safe_dump(front, sort_keys=False).rstrip() + "\n---",
        f"# {front['pretty_name']}",
        "Pictures of people drawn by a pose-guided generator, not photographs: each shows an"
        " identity of the set below in a pose and from a view that the set doesn't have. Made for"
        " training person re-identification beside the real images.",
        "![some of the pictures](contact_sheet.jpg)" if facts.samples else "",
        "## Licence",
        f"{licence}: {MEANING[licence]}. The strictest of the sources holds for all of it:",
        _table(
            ("part", "used", "licence"), [(part, f"`{u}`", how) for part, (u, how) in used.items()]
        ),
        "## Counts",
        _table(
            ("what", "number"),
            [
                ("pictures", facts.samples),
                ("identities", len(facts.per_pid)),
                ("pictures per identity", f"{counts[0]} to {counts[-1]}"),
                ("cameras", len(facts.per_camid)),
                ("rejected by the filter", facts.rejected.total()),
                *((f"rejected: {why}", n) for why, n in sorted(facts.rejected.items())),
                ("identities taken down", num_taken_down),
            ],
        ),
        "## Distributions",
        _table(("camid", "pictures"), sorted(facts.per_camid.items())),
        _table(
            ("azimuth, degrees (0 sees the face)", "pictures"), _bins(facts.azimuth, AZIMUTH_DEG)
        ),
        _table(
            ("elevation, degrees (above 0 looks down)", "pictures"),
            _bins(facts.elevation, ELEVATION_DEG),
        ),
        "## Provenance",
        "Each JPEG's XMP has IPTC's digital source type"
        f" `{digital_source_type(used['generator'][0])}`; the JSON"
        " beside it names the reference image, the pose and its source, the view, the seed, the"
        " scores, and the digest of the weights.",
        _table(
            ("what", "sha256"),
            [("plan", f"`{document['digest']}`"), ("weights", f"`{document['weights']}`")],
        ),
        "## Reading",
        "`shards/*.tar` are WebDataset tars of `{key}.jpg` and `{key}.json`; `index.parquet` has"
        " shard, offset, size, key, pid, camid and scores of each picture; `sizes.json` and"
        " `_info.json` the counts. `sha256sum -c SHA256SUMS` checks all of it. Members below"
        " `__shard__/` are no samples. Keys are `{pid}_c{camid}s0_{camid}_{number}`, the names"
        " that Re-ID trainers parse; pid and camid are the reference image's.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _finite(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) if rows else ""


def _bins(counts: Counter[int], width: int) -> list[tuple[str, int]]:
    return [(f"{low} to {low + width}", counts[low]) for low in sorted(counts)]


def _size(samples: int) -> str:
    return next((name for below, name in SIZES if samples < below), "1M<n<10M")


def _last(name: str) -> str:
    """A path's last part: where somebody's files lie is nobody else's business."""
    return name.rstrip("/").rpartition("/")[2] or name
