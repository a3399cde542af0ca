"""A target's body and camera, and a reference -> what the generator reads, by condition's name.

The one place where conditions are drawn, for training and for generation alike, so that every map
goes through the same transform as the image that it belongs to.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posedive.records import Fit
from posedive.render.appearance import Looks, carry_colours
from posedive.render.light import EVEN, Light
from posedive.render.maps import Maps, render_maps
from posedive.render.sighting import Sighting, sight

Parse = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class DrawnCondition:
    """maps: name -> uint8 (H, W, 3), and (H, W, 4) for appearance, whose last is the validity.
    composite: the appearance pasted on a background; black without appearance."""

    maps: dict[str, np.ndarray]
    composite: np.ndarray
    target: Maps


def read_sighting(
    model, rgb: np.ndarray, fit: Fit, light: Light = EVEN, parser: Parse | None = None
) -> Sighting:
    """Once per image of a person: its colours by body vertex, and its background. light: what the
    image was taken in. parser: tells what its pixels show, of pictures and their fits' normals."""
    height, width = rgb.shape[:2]
    maps = render_maps(model, fit, (width, height))
    parts = None if parser is None else parser(rgb[None], maps.normals[None])[0]
    return sight(model, rgb, maps, light, parts)


def draw_conditions(
    model,
    target: Fit,
    size: tuple[int, int],
    looks: Looks | None,
    posed: tuple[np.ndarray, np.ndarray] | None = None,
    background: np.ndarray | None = None,
) -> DrawnCondition:
    """`looks` None: the appearance map is empty, as for a set without SMPL fits.
    background (H, W, 3) uint8: what the composite stands before; None is the reference's own."""
    drawn = render_maps(model, target, size, posed)
    maps = {"depth": drawn.depth, "normals": drawn.normals, "skeleton": drawn.skeleton}
    if looks is None:
        maps["appearance"] = np.zeros((size[1], size[0], 4), np.uint8)
        return DrawnCondition(maps, np.zeros_like(drawn.depth), drawn)
    carried = carry_colours(looks, drawn, background)
    maps["appearance"] = np.dstack([carried.rgb, carried.validity])
    return DrawnCondition(maps, carried.composite, drawn)
