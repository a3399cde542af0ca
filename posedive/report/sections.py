"""What was gathered -> the words and pictures of the page's sections, ready for page.html.

Nothing here escapes: the template does. Long values are cut, large pictures scaled down.
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from posedive.report.gather import Gathered, Shown, is_number, scores_of

PANELS = {
    3: ("reference", "normals", "skeleton"),
    4: ("reference", "appearance", "normals", "skeleton"),
    5: ("reference", "appearance", "depth", "normals", "skeleton"),
}
SIDES = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
MAX_TEXT = 80
MAX_SCORES = 8
MAX_HEIGHT_PX = 512


def grouped(number: float) -> str:
    return f"{number:,.0f}"


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "–"


def tiles(found: Gathered) -> list[tuple[str, str, str]]:
    """(name, value, note) of the figures on top."""
    done, per_s = found.kept + found.rejected, found.run.get("images_per_s")
    return [
        ("Pairs planned", grouped(found.layout.num_pairs), _identities(found)),
        ("Kept", grouped(found.kept), share(found.kept, done)),
        ("Rejected", grouped(found.rejected), share(found.rejected, done)),
        ("Shards", grouped(found.shards), f"of {grouped(found.layout.num_shards)} planned"),
        ("Images per second", "–" if per_s is None else f"{per_s:,.2f}", _duration(found.run)),
    ]


def notes(found: Gathered) -> list[str]:
    """What isn't as it should be; nothing for a finished output."""
    told = []
    if found.missing:
        planned = grouped(found.layout.num_pairs)
        told.append(f"{grouped(found.missing)} of {planned} pairs are not there yet.")
    told += found.unreadable
    if more := found.num_unreadable - len(found.unreadable):
        told.append(f"And {grouped(more)} more that can't be read.")
    return told


def asked(document: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The spec as (group, [(field, value)]); fields of its own come first, in the group "job"."""
    groups: dict[str, list[tuple[str, str]]] = {"job": []}
    for key, value in document["spec"].items():
        inner = value if isinstance(value, Mapping) else {key: value}
        groups.setdefault(key if inner is value else "job", []).extend(_leaves(inner))
    groups.setdefault("generator", []).append(("digest", str(document["weights"])[:16]))
    return list(groups.items())


def outcome(found: Gathered) -> list[tuple[str, str, int]]:
    """(name, CSS class, pairs) of the bar that shows where the planned pairs are."""
    parts = [("kept", "k", found.kept), ("rejected", "r", found.rejected)]
    return parts + ([("not there yet", "o", found.missing)] if found.missing else [])


def score_quantiles(found: Gathered) -> list[tuple[str, list[str]]]:
    return [
        (name, [f"{value:.3f}" for value in np.quantile(sample.values, [0.05, 0.5, 0.95])])
        for name, sample in sorted(found.scores.items())
    ]


def people(found: Gathered) -> list[dict[str, Any]]:
    return [
        {
            "pid": f"{pid:04d}",
            "kept": found.people_counts[pid],
            "pairs": [pair(shown, found.panels) for shown in pairs],
        }
        for pid, pairs in sorted(found.people.items())
    ]


def rejected(found: Gathered) -> list[dict[str, Any]]:
    shown = sorted(found.rejected_shown, key=lambda one: (one.reason, one.key))
    return [pair(one, found.panels) for one in shown]


def pair(shown: Shown, panels: tuple[str, ...]) -> dict[str, Any]:
    """One figure: pictures as data: URIs ("" for one that can't be drawn), and its caption."""
    record = shown.record
    generated, aspect = _picture(shown.generated)
    preview, preview_aspect = _picture(shown.preview)
    wide = round(preview_aspect / aspect)
    if len(panels) != wide:
        panels = PANELS.get(wide, ("reference and condition",))
    return {
        "key": shown.key,
        "reason": shown.reason[:MAX_TEXT],
        "generated": generated,
        "preview": preview,
        "panels": panels,
        "columns": f"{preview_aspect:.3f}fr {aspect:.3f}fr",
        "view": _view(record) or "view not recorded",
        "pose_source": str(record.get("pose_source", "not recorded"))[:MAX_TEXT],
        "reference": str(record.get("reference", "not recorded"))[:MAX_TEXT],
        "reference_view": _view(record.get("reference_view")),
        "scores": [(name[:MAX_TEXT], f"{value:.2f}") for name, value in scores_of(record)][
            :MAX_SCORES
        ],
    }


def _identities(found: Gathered) -> str:
    return f"for {grouped(len(found.layout.identities))} identities"


def _duration(run: Mapping[str, float]) -> str:
    if "seconds" not in run:
        return "last run" if "images_per_s" in run else "not recorded"
    minutes, seconds = divmod(round(run["seconds"]), 60)
    return f"over {minutes} min {seconds} s" if minutes else f"over {seconds} s"


def _leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{above}{key}.")
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner)
            yield f"{above}{key}", text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _picture(jpeg: bytes | None) -> tuple[str, float]:
    """A data: URI and width / height; "" for bytes that no browser would draw."""
    try:
        with Image.open(io.BytesIO(jpeg or b""), formats=["JPEG"]) as image:
            image.load()
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return "", 0.5
    if image.height > MAX_HEIGHT_PX:
        scaled = io.BytesIO()
        image.thumbnail((image.width, MAX_HEIGHT_PX))
        image.save(scaled, "JPEG", quality=85)
        jpeg = scaled.getvalue()
    encoded = base64.b64encode(jpeg or b"").decode()
    return f"data:image/jpeg;base64,{encoded}", image.width / image.height


def _view(told: Any) -> str:
    """The two angles of a record or a reference_view in words; "" where they aren't known."""
    angles = told if isinstance(told, Mapping) else {}
    azimuth, elevation = angles.get("azimuth_deg"), angles.get("elevation_deg")
    if not is_number(azimuth) or not is_number(elevation):
        return ""
    side = SIDES[round(azimuth % 360 / 45) % 8]
    return f"azimuth {azimuth % 360:.0f}° ({side}), elevation {elevation:.0f}°"
