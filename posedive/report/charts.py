"""Numbers -> small SVG drawings that sit inside the page and follow its colours.

Drawn by hand rather than with matplotlib: each colour is a CSS variable of page.html (so light and
dark come for free), a scatter of 4,000 points is 40 KB, and equal numbers give equal bytes. The
blue part of a drawing is the set, the orange part what was generated, stacked upon it.
"""

from collections.abc import Sequence
from math import cos, pi, sin

import numpy as np
from markupsafe import Markup, escape

ROSE_RADIUS = 108.0
PLANE = 300.0  # side of a scatter's frame


def _svg(width: int, height: int, label: str, body: Sequence[str]) -> Markup:
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(body) + "</svg>")


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.0995 or share == 0 else f"{100 * share:.1f}%"


def _petal(start: float, stop: float, inner: float, outer: float) -> str:
    """A ring sector between two angles; angle 0 points down, to the reader, and grows to the right,
    as azimuth does around a person seen from above who faces the reader."""
    corners = [(sin(a) * r, cos(a) * r) for r, a in ((inner, start), (outer, start))]
    back = [(sin(a) * r, cos(a) * r) for r, a in ((outer, stop), (inner, stop))]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = *corners, *back
    return (
        f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}A{outer:.1f} {outer:.1f} 0 0 0 {x2:.1f} {y2:.1f}"
        f"L{x3:.1f} {y3:.1f}A{inner:.1f} {inner:.1f} 0 0 1 {x0:.1f} {y0:.1f}Z"
    )


def top_share(parts: Sequence[np.ndarray]) -> float:
    """The largest stacked share, from which drawings to be compared take one scale."""
    stacked = np.sum(parts, axis=0)
    return float(stacked.max() / max(stacked.sum(), 1e-9))


def rose(label: str, in_set: np.ndarray, generated: np.ndarray, top: float) -> Markup:
    """Azimuth counts in equal bins, the first centred on 0: a petal's *area* is its bin's share."""
    width = 2 * pi / len(in_set)
    total = max(float(in_set.sum() + generated.sum()), 1e-9)

    def radius(share: float) -> float:
        return ROSE_RADIUS * (share / max(top, 1e-9)) ** 0.5

    parts = ['<g transform="translate(160 150)">']
    for share in (top, top / 4):
        parts.append(f'<circle class="grid" r="{radius(share):.1f}"/>')
    for i, (below, above) in enumerate(zip(in_set, generated, strict=True)):
        a, b = (i - 0.46) * width, (i + 0.46) * width
        middle, edge = radius(below / total), radius((below + above) / total)
        tip = f"<title>{i * 360 // len(in_set)}°: {_percent((below + above) / total)}</title>"
        if below:
            parts.append(f'<path class="set" d="{_petal(a, b, 0, middle)}">{tip}</path>')
        if above:
            parts.append(f'<path class="generated" d="{_petal(a, b, middle, edge)}">{tip}</path>')
    for x, y, text in ((0, 1, "front 0°"), (1, 0, "left"), (0, -1, "back 180°"), (-1, 0, "right")):
        anchor = {1: "start", 0: "middle", -1: "end"}[x]
        parts.append(_text(x * 116, 4 + y * 124, text, anchor))
    parts.append(_text(radius(top) * 0.707 + 4, -radius(top) * 0.707 - 3, _percent(top), "start"))
    return _svg(320, 300, label, [*parts, "</g>"])


def bars(
    label: str, in_set: np.ndarray, generated: np.ndarray, span: tuple[int, int], top: float
) -> Markup:
    """A histogram of elevation in degrees between the ends of `span`, in shares of all."""
    left, right, base, height = 40.0, 312.0, 150.0, 130.0
    step = (right - left) / len(in_set)
    total = max(float(in_set.sum() + generated.sum()), 1e-9)
    scale = height / max(top, 1e-9)
    parts = []
    for share in (0.0, top / 2, top):
        y = base - share * scale
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(_text(left - 5, y + 4, _percent(share), "end"))
    degrees = np.linspace(span[0], span[1], len(in_set) + 1)
    for i, (below, above) in enumerate(zip(in_set, generated, strict=True)):
        y = base
        tip = f"{degrees[i]:.0f}° to {degrees[i + 1]:.0f}°: {_percent((below + above) / total)}"
        for name, count in (("set", below), ("generated", above)):
            tall = count / total * scale
            y -= tall
            if count:
                parts.append(
                    f'<rect class="{name}" x="{left + i * step + 1:.1f}" y="{y:.1f}" '
                    f'width="{step - 2:.1f}" height="{tall:.1f}"><title>{tip}</title></rect>'
                )
    every = max(1, -(-len(degrees) // 8))
    for i in range(0, len(degrees), every):
        parts.append(_text(left + i * step, base + 17, f"{degrees[i]:.0f}°"))
    parts.append(_text((left + right) / 2, base + 34, "elevation"))
    return _svg(330, 190, label, parts)


def cells(
    label: str, in_set: np.ndarray, generated: np.ndarray, span: tuple[int, int], top: float
) -> Markup:
    """Counts of a grid, azimuth (the first column centred on 0) by elevation between the ends of
    `span`: a cell's strength is its share, its colour that of whoever fills most of it; empty ones
    are hollow."""
    left, right, base, tall = 40.0, 312.0, 110.0, 90.0
    columns, rows = in_set.shape
    wide, high = (right - left) / columns, tall / rows
    total = max(float(in_set.sum() + generated.sum()), 1e-9)
    parts = []
    for i, j in np.ndindex(columns, rows):
        share = float(in_set[i, j] + generated[i, j]) / total
        name = "set" if in_set[i, j] >= generated[i, j] else "generated"
        strength = 0.15 + 0.85 * share / max(top, 1e-9)
        look = f'class="{name}" fill-opacity="{strength:.2f}"' if share else 'class="frame"'
        azimuth, low = i * 360 // columns, span[0] + j * (span[1] - span[0]) // rows
        parts.append(
            f'<rect {look} x="{left + i * wide + 1:.1f}"'
            f' y="{base - (j + 1) * high + 1:.1f}" width="{wide - 2:.1f}" height="{high - 2:.1f}">'
            f"<title>{azimuth}°, from {low}°: {_percent(share)}</title></rect>"
        )
    for i in range(0, columns, max(1, columns // 4)):
        parts.append(_text(left + (i + 0.5) * wide, base + 17, f"{i * 360 // columns}°"))
    for j in range(rows + 1):
        degrees = span[0] + j * (span[1] - span[0]) // rows
        parts.append(_text(left - 5, base - j * high + 4, f"{degrees}°", "end"))
    parts.append(_text((left + right) / 2, base + 34, "azimuth × elevation"))
    return _svg(330, 150, label, parts)


def _dots(name: str, points: np.ndarray) -> str:
    # A zero-length line with a round cap is a dot: one path, a dozen bytes a point.
    track = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
    return f'<path class="dots {name}" d="{track}"/>'


def scatter(
    label: str, in_set: np.ndarray, generated: np.ndarray, low: np.ndarray, high: np.ndarray
) -> Markup:
    """Points (n, 2) of a plane between two corners; what was generated lies below the set."""

    def place(points: np.ndarray) -> np.ndarray:
        share = (points - low) / np.maximum(high - low, 1e-9)
        return 12 + np.stack([share[:, 0], 1 - share[:, 1]], axis=1) * (PLANE - 24)

    frame = f'<rect class="frame" x="1" y="1" width="{PLANE - 2}" height="{PLANE - 2}" rx="6"/>'
    dots = [_dots("generated", place(generated)), _dots("set", place(in_set))]
    return _svg(int(PLANE), int(PLANE), label, [frame, *dots])
