"""Where a Re-ID table's gain is had, and where it is lost: its queries by what they show.

In: average precision of each query, by arm and seed, and the queries' fits. Out: for each group of
queries its size, the baseline's mAP, each arm's gain and that gain's share of the oracle's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from posedive.jobs.figures import elevation_group
from posedive.jobs.reid_cells import TESTS
from posedive.jobs.reid_results import Results, share_of
from posedive.jobs.sources import images_of, open_spec_dataset
from posedive.records import Fit
from posedive.render.viewpoints import upright_orient, viewpoint_of
from posedive.spec.reid_table import ReidTable

SIDES = ("front", "left", "back", "right")  # each 90 degrees of azimuth, about 0, 90, 180, 270
TILTS = ((30.0, "upright"), (60.0, "leaning"), (181.0, "lying"))
SIZE = (64, 128)  # of a picture that nobody draws
Groups = dict[str, dict[str, dict[str, Any]]]  # grouping -> group -> figures


def groups_of_queries(spec: ReidTable, test: str) -> dict[str, list[str]]:
    """grouping -> the group of each query: its camera and, where the set has fits, how far the
    camera looks down, the side it sees, and how the pelvis stands."""
    dataset = open_spec_dataset(spec.dataset, SIZE)
    queries = images_of(spec.dataset, dataset, TESTS[test][0])
    groups = {"camera": [str(query.camid) for query in queries]}
    fits = [fit for query in queries if (fit := query.fit) is not None]
    if len(fits) < len(queries):
        return groups
    views = [viewpoint_of(fit) for fit in fits]
    return groups | {
        "elevation": [elevation_group(elevation) for _, elevation in views],
        "side": [SIDES[round(azimuth / 90) % 4] for azimuth, _ in views],
        "body": [tilt_of(fit) for fit in fits],
    }


def tilt_of(fit: Fit) -> str:
    """By the angle between the pelvis' up axis and the vertical; on one's hands is lying, too."""
    up = Rotation.from_rotvec(upright_orient(fit)).apply([0.0, 1.0, 0.0])
    tilt_deg = float(np.degrees(np.arccos(np.clip(up[1], -1, 1))))
    return next(name for most, name in TILTS if tilt_deg < most)


def by_group(
    results: Results,
    cells: Mapping[str, Sequence[Mapping[str, Any]]],
    test: str,
    groups: Mapping[str, Sequence[str]],
) -> Groups:
    """Figures of a group: {"queries": number that have a match, arm: {"mAP"; where `results`
    compares the arm, "gain" over its baseline and "share_of_oracle"}}, means over the seeds."""
    precision = {
        arm: np.mean(np.array([c["average_precision"][test] for c in of_arm], float), axis=0)
        for arm, of_arm in cells.items()
    }
    matched = ~np.isnan(next(iter(precision.values())))
    return {
        grouping: {
            group: _figures(results, precision, matched & (np.array(of_each) == group))
            for group in sorted(set(of_each))
        }
        for grouping, of_each in groups.items()
    }


def markdown(found: Groups) -> str:
    """A row per group: its queries; of a baseline its mAP, of other arms the gain and its share."""
    arms = [name for name in next(iter(next(iter(found.values())).values())) if name != "queries"]
    rows = [["queries by", "", "number", *arms], ["---"] * (3 + len(arms))]
    for grouping, groups in found.items():
        for group, told in groups.items():
            cells = [_told(told[arm]) for arm in arms]
            rows.append([grouping, group, str(told["queries"]), *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _figures(
    results: Results, precision: Mapping[str, np.ndarray], chosen: np.ndarray
) -> dict[str, Any]:
    if not chosen.any():
        return {"queries": 0} | {arm: {"mAP": 0.0} for arm in precision}
    mAP = {arm: 100 * float(of[chosen].mean()) for arm, of in precision.items()}  # noqa: N806
    told: dict[str, Any] = {"queries": int(chosen.sum())}
    for arm, compared in results.items():
        told[arm] = {"mAP": round(mAP[arm], 2)}
        if "baseline" not in compared:
            continue
        told[arm]["gain"] = round(mAP[arm] - mAP[compared["baseline"]], 2)
        if "oracle" in compared:
            most = mAP[compared["oracle"]] - mAP[compared["baseline"]]
            told[arm]["share_of_oracle"] = share_of(told[arm]["gain"], most)
    return told


def _told(figures: Mapping[str, Any]) -> str:
    if "gain" not in figures:
        return f"{figures['mAP']:.1f}"
    share = figures.get("share_of_oracle")
    return f"{figures['gain']:+.1f}" + ("" if share is None else f" ({share:.0%})")
