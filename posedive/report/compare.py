"""The set, what was generated, and both (the paper's Figure 2): drawings, and figures beside them.

In: what `gather` counted. Out: Comparison, whose panels are SVG and whose rows are text.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from posedive.report import charts
from posedive.report import distribution as d

ELEVATION_DEG = 5


@dataclass(frozen=True)
class Panel:
    name: str
    note: str
    drawings: tuple[Markup, ...]


@dataclass(frozen=True)
class Comparison:
    """Panels side by side, a table with a column for each, and the same figures as numbers."""

    note: str
    panels: tuple[Panel, ...] = ()
    rows: tuple[tuple[str, tuple[str, ...]], ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One column: the set's share of it, and the generated images' (counts, or rows of points)."""

    key: str
    name: str
    in_set: np.ndarray
    generated: np.ndarray


def compare_views(in_set: np.ndarray | None, generated: np.ndarray) -> Comparison:
    """Counts (360, 180) of azimuth and elevation; in_set is None where nothing is known of it."""
    nobody = np.zeros_like(generated)
    stages = _stages(in_set, generated, nobody)
    everyone = generated if in_set is None else in_set + generated
    if not everyone.any():
        return Comparison("No image was kept, so there is nothing to compare.")
    span = d.elevation_span(everyone, ELEVATION_DEG)
    roses = [(d.azimuth_bins(s.in_set), d.azimuth_bins(s.generated)) for s in stages]
    bars = [
        (
            d.elevation_bins(stage.in_set, span, ELEVATION_DEG),
            d.elevation_bins(stage.generated, span, ELEVATION_DEG),
        )
        for stage in stages
    ]
    low, high = corners = d.elevation_span(everyone, d.ELEVATION_CELL_DEG)
    cells = [
        (d.view_cells(stage.in_set, corners), d.view_cells(stage.generated, corners))
        for stage in stages
    ]
    # One scale for all panels, so that they can be compared.
    rose_top, bar_top, cell_top = (max(map(charts.top_share, x)) for x in (roses, bars, cells))
    panels = tuple(
        Panel(
            stage.name,
            f"{round((stage.in_set + stage.generated).sum()):,} images",
            (
                charts.rose(f"{stage.name}: shares of azimuth", *rose, rose_top),
                charts.bars(f"{stage.name}: shares of elevation", *bar, span, bar_top),
                charts.cells(f"{stage.name}: shares of cells", *cell, corners, cell_top),
            ),
        )
        for stage, rose, bar, cell in zip(stages, roses, bars, cells, strict=True)
    )
    covered = [d.coverage(in_set + generated) for in_set, generated in cells]
    most = covered[0].max_bits
    rows = (
        (f"empty cells, of {covered[0].cells}", tuple(f"{c.empty_share:.0%}" for c in covered)),
        (f"entropy, of at most {most:.2f} bits", tuple(f"{c.entropy_bits:.2f}" for c in covered)),
    )
    note = (
        f"The table and the lowest drawings count cells of {d.AZIMUTH_CELL_DEG}° of azimuth by"
        f" {d.ELEVATION_CELL_DEG}° of elevation, from {low}° to {high}°."
    )
    figures = {stage.key: asdict(one) for stage, one in zip(stages, covered, strict=True)}
    return Comparison(note, panels, rows, figures)


def compare_poses(in_set: np.ndarray | None, generated: np.ndarray) -> Comparison:
    """body_pose (n, 69) of both; in_set is None where nothing is known of it."""
    some = generated if in_set is None else np.concatenate([in_set, generated])
    if not len(some):
        return Comparison("No body poses were recorded.")
    rotations = d.joint_rotations(some)
    points, explained = d.embed_poses(rotations)
    low, high = points.min(axis=0), points.max(axis=0)
    num_set = len(some) - len(generated)
    known = points[:num_set] if num_set else None
    stages = _stages(known, points[num_set:], points[:0])
    panels = tuple(
        Panel(
            stage.name,
            f"{len(stage.in_set) + len(stage.generated):,} poses",
            (charts.scatter(f"{stage.name}: poses", stage.in_set, stage.generated, low, high),),
        )
        for stage in stages
    )
    cells = [
        d.pose_cells(np.concatenate([stage.in_set, stage.generated]), low, high) for stage in stages
    ]
    covered = [d.coverage(counts) for counts in cells]
    parts = [rotations]
    if num_set:
        parts = [rotations[:num_set], rotations[num_set:], rotations]
    spread = [d.pose_spread_deg(part) if len(part) else 0.0 for part in parts]
    reached = [int(np.count_nonzero(counts)) for counts in cells]
    rows = (
        (f"empty cells, of {covered[0].cells}", tuple(f"{c.empty_share:.0%}" for c in covered)),
        (f"cells reached, of {max(reached)} that any image reaches", _texts(reached, "d")),
        ("entropy over cells, bits", _texts([one.entropy_bits for one in covered], ".2f")),
        ("mean angle between one joint of two images, degrees", _texts(spread, ".1f")),
    )
    note = (
        "Each dot is the body pose of one image, from a sample where there are many: the rotations"
        " of 23 joints along their two principal components, which carry"
        f" {explained:.0%} of the variance; cells are a grid of {d.POSE_CELLS} × {d.POSE_CELLS}."
    )
    figures = {
        stage.key: {**asdict(one), "spread_deg": angle}
        for stage, one, angle in zip(stages, covered, spread, strict=True)
    }
    return Comparison(note, panels, rows, figures)


def _stages(
    in_set: np.ndarray | None, generated: np.ndarray, nothing: np.ndarray
) -> tuple[Stage, ...]:
    if in_set is None:
        return (Stage("generated", "Generated", nothing, generated),)
    return (
        Stage("before", "The set alone", in_set, nothing),
        Stage("generated", "Generated", nothing, generated),
        Stage("after", "Set + generated", in_set, generated),
    )


def _texts(values: Sequence[float], form: str) -> tuple[str, ...]:
    return tuple(format(value, form) for value in values)
