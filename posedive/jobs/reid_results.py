"""Cells of a Re-ID table -> what it says: means, intervals, gains, as JSON, markdown and a plot.

An arm is compared with the arm of the same yardstick that has real images alone, seed by seed, and
with the oracle of the same conditions: true renders, which a perfect generator would give.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from posedive.spec.reid_table import Arm, Yardstick

SCORES = ("mAP", "rank1")
LEAST_TO_SHARE = 2.0  # mAP; trainings differ by as much
OF_PAINTING = {"generator", "filter", "output"}  # fields that conditions don't depend on
Results = dict[str, dict[str, Any]]


def summary(
    arms: dict[str, Arm], cells: dict[str, list[dict[str, Any]]], tests: Sequence[str]
) -> Results:
    """arm -> {"mAP", "rank1" of the first test, test: {"mAP": interval, "rank1": interval},
    "kept": images beside the set's own, "baseline": arm,
    "gain": {test: interval of the mAP over the baseline's}, "oracle": arm,
    "share_of_oracle": {test: share}}."""
    results: Results = {}
    for name, of_arm in cells.items():
        by_test = {
            test: {s: interval([c["scores"][test][s] for c in of_arm]) for s in SCORES}
            for test in tests
        }
        results[name] = by_test[tests[0]] | by_test
        if arms[name].generate is not None or arms[name].real_images is not None:
            results[name]["kept"] = of_arm[0]["added"]
    for name, arm in arms.items():
        baseline = baseline_of(arms, name)
        if baseline is None:
            continue
        gain = {test: _gain(results, name, baseline, test) for test in tests}
        results[name] |= {"baseline": baseline, "gain": gain}
        oracle = oracle_of(arms, name)
        if oracle is not None and arm.generate is not None:
            of_oracle = {test: _gain(results, oracle, baseline, test)["mean"] for test in tests}
            results[name]["oracle"] = oracle
            results[name]["share_of_oracle"] = {
                test: share_of(gain[test]["mean"], most) for test, most in of_oracle.items()
            }
    return results


def baseline_of(arms: dict[str, Arm], name: str) -> str | None:
    """The arm with real images alone that an arm is compared with."""
    if _is_baseline(arms[name]):
        return None
    wanted = arms[name].yardstick.model_dump(exclude=Yardstick.OF_MIXING)
    alike = (
        other
        for other, arm in arms.items()
        if _is_baseline(arm) and arm.yardstick.model_dump(exclude=Yardstick.OF_MIXING) == wanted
    )
    return next(alike, None)


def oracle_of(arms: dict[str, Arm], name: str) -> str | None:
    """The arm with true renders of the same conditions."""
    wanted = _conditions(arms[name])
    alike = (
        other
        for other, arm in arms.items()
        if arm.generate is not None
        and arm.generate.generator.weights == "oracle"
        and _conditions(arm) == wanted
    )
    return next(alike, None)


def share_of(gain: float, most: float) -> float | None:
    """Of the oracle's gain `most`, mAP; None where there is next to nothing to share."""
    return round(gain / most, 3) if most >= LEAST_TO_SHARE else None


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and its 95% interval by Student's t; of one value, the interval is that value."""
    mean, half = float(np.mean(values)), 0.0
    if len(values) > 1:
        half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return {
        "mean": round(mean, 2),
        "low": round(mean - half, 2),
        "high": round(mean + half, 2),
        "seeds": [round(v, 2) for v in values],
    }


def markdown(results: Results, tests: Sequence[str]) -> str:
    """One row an arm, in percent: mean and 95% interval of each test's mAP and rank-1; images
    beside the set's own; the gain in mAP over real images alone; its share of the oracle's."""
    head = ["arm", "kept", *(f"{test} {score}" for test in tests for score in ("mAP", "rank-1"))]
    head += [f"{test} {what}" for test in tests for what in ("gain", "of the oracle's")]
    rows = [head, ["---"] * len(head)]
    for name, arm in results.items():
        row = [name, f"{arm['kept']:,}" if "kept" in arm else ""]
        row += [_told(arm[test][score]) for test in tests for score in SCORES]
        for test in tests:
            share = arm.get("share_of_oracle", {}).get(test)
            row.append(_told(arm["gain"][test], "+") if "gain" in arm else "")
            row.append("" if share is None else f"{share:.0%}")
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def plot(results: Results, tests: Sequence[str]) -> bytes:
    """PNG: a panel per test, a line per arm, top down: mAP's mean, its interval, each seed."""
    figure = Figure(figsize=(4.5 * len(tests), 1 + 0.35 * len(results)), dpi=100)
    figure.set_layout_engine("constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(tests), sharey=True, squeeze=False)[0]
    for ax, test in zip(axes, tests, strict=True):
        for y, arm in enumerate(results.values()):
            told = arm[test]["mAP"]
            colour = "#2f6fb0" if "kept" not in arm else "#d9742b"
            ax.plot(told["seeds"], [y] * len(told["seeds"]), ".", color=colour, alpha=0.5)
            ax.plot([told["low"], told["high"]], [y, y], color=colour, lw=1.5)
            ax.plot(told["mean"], y, "o", color=colour)
        ax.set(title=f"{test}: mAP, %, 95% interval", yticks=range(len(results)))
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticklabels(list(results))
    axes[0].invert_yaxis()
    stream = io.BytesIO()
    canvas.print_png(stream)
    return stream.getvalue()


def _is_baseline(arm: Arm) -> bool:
    return arm.generate is None and arm.real_images is None


def _conditions(arm: Arm) -> tuple[Any, ...] | None:
    if arm.generate is None:
        return None
    asked = arm.generate.model_dump(exclude=OF_PAINTING)
    return asked, arm.take.first, arm.yardstick.model_dump()


def _gain(results: Results, name: str, baseline: str, test: str) -> dict[str, Any]:
    own, other = (results[arm][test]["mAP"]["seeds"] for arm in (name, baseline))
    return interval([a - b for a, b in zip(own, other, strict=True)])


def _told(told: dict[str, Any], sign: str = "") -> str:
    return f"{told['mean']:{sign}.1f} [{told['low']:{sign}.1f}, {told['high']:{sign}.1f}]"
