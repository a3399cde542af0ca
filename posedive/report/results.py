"""A Re-ID table's output -> one HTML page: every row with its interval, and where the gain is had.

In: results.json and results.png at the store, as `posedive evaluate` of `what: reid` leaves them.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posedive.errors import StorageError
from posedive.report.page import template, write
from posedive.storage import Store

RESULTS, PLOT = "results.json", "results.png"
TESTS = {
    "diverse": "poses and views that no training image shows",
    "standard": "the set's own test",
    "actions": "falls, kicks, punches, crawls, getting up; cameras never seen",
}


def write_results(store: Store, out_path: Path) -> dict[str, Any]:
    """Writes the page, and returns what it sums up. Raises StorageError for results that can't be
    read, or when `out_path` can't be written."""
    try:
        document = json.loads(store.get(RESULTS))
        arms, groups = document["arms"], document["groups"]
        tests = [name for name in TESTS if all(name in arm for arm in arms.values())]
        tables = [_table(arms, groups.get(test, {}), test) for test in tests]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{store.uri}/{RESULTS}: expected what `posedive evaluate` of a Re-ID table writes, got"
            f" something else ({error!r}); run it again"
        ) from error
    plot = base64.b64encode(store.get(PLOT)).decode() if store.exists(PLOT) else ""
    page = template("results.html").render(uri=store.uri, tables=tables, plot=plot)
    return {"report": str(out_path), "bytes": write(out_path, page), "arms": len(arms)}


def _table(arms: Mapping[str, Any], groups: Mapping[str, Any], test: str) -> dict[str, Any]:
    return {
        "name": test,
        "what": TESTS[test],
        "rows": [_row(name, arm, test) for name, arm in arms.items()],
        "arms": list(arms),
        "groups": [
            (grouping, group, told["queries"], [_cell(told[name]) for name in arms])
            for grouping, of_each in groups.items()
            for group, told in of_each.items()
        ],
    }


def _row(name: str, arm: Mapping[str, Any], test: str) -> dict[str, Any]:
    share = arm.get("share_of_oracle", {}).get(test)
    gain = arm["gain"][test] if "gain" in arm else None
    return {
        "name": name,
        "kept": arm.get("kept"),
        "mAP": _interval(arm[test]["mAP"]),
        "rank1": _interval(arm[test]["rank1"]),
        "gain": "" if gain is None else _interval(gain, "+"),
        "against": arm.get("baseline", ""),
        "better": gain is not None and gain["low"] > 0,
        "worse": gain is not None and gain["high"] < 0,
        "share": "" if share is None else f"{share:.0%}",
        "seeds": len(arm[test]["mAP"]["seeds"]),
    }


def _interval(told: Mapping[str, float], sign: str = "") -> tuple[str, str]:
    low, high = (f"{told[end]:{sign}.1f}" for end in ("low", "high"))
    return f"{told['mean']:{sign}.1f}", f"{low} to {high}"


def _cell(figures: Mapping[str, Any]) -> str:
    if "gain" not in figures:
        return f"{figures['mAP']:.1f}"
    share = figures.get("share_of_oracle")
    return f"{figures['gain']:+.1f}" + ("" if share is None else f" · {share:.0%}")
