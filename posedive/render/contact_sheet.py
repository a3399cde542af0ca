"""A contact sheet of conditions, for people: depth, normals and skeleton of each, with its label.

In: conditions; out: one RGB image, tiles in reading order.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from posedive.body.smpl import pose_body
from posedive.records import Condition
from posedive.render.maps import condition_fit, render_maps

_GAP, _LABEL_HEIGHT = 6, 30
_INK, _PAPER = (40, 40, 40), 255


def contact_sheet(
    model, conditions: Sequence[Condition], size: tuple[int, int], renderer: str = "zbuffer"
) -> np.ndarray:
    tiles = [_tile(model, condition, size, renderer) for condition in conditions]
    height, width = tiles[0].shape[:2]
    columns = min(len(tiles), max(1, round((1.6 * len(tiles) * height / width) ** 0.5)))
    rows = -(-len(tiles) // columns)
    shape = (_GAP + rows * (height + _GAP), _GAP + columns * (width + _GAP), 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top = _GAP + i // columns * (height + _GAP)
        left = _GAP + i % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _tile(model, condition: Condition, size: tuple[int, int], renderer: str) -> np.ndarray:
    vertices, joints = pose_body(model, [condition.body])
    fit = condition_fit(model, condition, size, vertices=vertices[0])
    maps = render_maps(model, fit, size, posed=(vertices[0], joints[0]), renderer=renderer)
    images = np.hstack([maps.depth, maps.normals, maps.skeleton])
    label = np.full((_LABEL_HEIGHT, images.shape[1], 3), _PAPER, np.uint8)
    lines = (
        condition.pose_source,
        f"az {condition.azimuth_deg:.0f} el {condition.elevation_deg:.0f} f {condition.focal:g}",
    )
    for i, line in enumerate(lines):
        cv2.putText(
            label, line, (2, 12 + 13 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA
        )
    return np.vstack([images, label])
