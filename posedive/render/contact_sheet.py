"""Contact sheets, for people: tiles of images with their labels, as one RGB image; of conditions
with depth, normals and skeleton of each."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from posedive.body.smpl import pose_body
from posedive.records import Condition
from posedive.render.maps import condition_fit, render_maps

_GAP, _LINE_HEIGHT = 6, 13
_INK, _PAPER = (40, 40, 40), 255
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.35


def contact_sheet(
    model, conditions: Sequence[Condition], size: tuple[int, int], renderer: str = "zbuffer"
) -> np.ndarray:
    return sheet([_tile(model, condition, size, renderer) for condition in conditions])


def sheet(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Tiles of one size, in reading order, on a page a little wider than it is high."""
    height, width = tiles[0].shape[:2]
    columns = min(len(tiles), max(1, round((1.6 * len(tiles) * height / width) ** 0.5)))
    rows = -(-len(tiles) // columns)
    shape = (_GAP + rows * (height + _GAP), _GAP + columns * (width + _GAP), 3)
    page = np.full(shape, _PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top = _GAP + i // columns * (height + _GAP)
        left = _GAP + i % columns * (width + _GAP)
        page[top : top + height, left : left + width] = tile
    return page


def strip(images: Mapping[str, np.ndarray], lines: Sequence[str]) -> np.ndarray:
    """Images of one size side by side, their names and some lines of text below."""
    pictures = np.hstack(list(images.values()))
    label = np.full((_LINE_HEIGHT * (1 + len(lines)) + 4, pictures.shape[1], 3), _PAPER, np.uint8)
    width = pictures.shape[1] // len(images)
    texts = [(name, 2 + i * width, 0) for i, name in enumerate(images)]
    for text, left, line in texts + [(line, 2, i) for i, line in enumerate(lines, start=1)]:
        foot = 11 + _LINE_HEIGHT * line
        cv2.putText(label, text, (left, foot), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return np.vstack([pictures, label])


def _tile(model, condition: Condition, size: tuple[int, int], renderer: str) -> np.ndarray:
    vertices, joints = pose_body(model, [condition.body])
    fit = condition_fit(model, condition, size, vertices=vertices[0])
    maps = render_maps(model, fit, size, posed=(vertices[0], joints[0]), renderer=renderer)
    lines = (
        condition.pose_source,
        f"az {condition.azimuth_deg:.0f} el {condition.elevation_deg:.0f} f {condition.focal:g}",
    )
    images = {"depth": maps.depth, "normals": maps.normals, "skeleton": maps.skeleton}
    return strip(images, lines)
