"""The appearance map: a person's pixels, carried by the mesh onto another pose and view.

In: the reference's pixels and Maps, and, where the set has them, those of other images of the same
person; the target's Maps (all from exact or estimated fits). Out: Appearance: rgb where the
target's body is (black elsewhere), validity (how the colour was come by), and the composite, that
person before a scene, the baseline any generator must beat. Each image is read once
(sight), a person's images are joined once per reference (join), the rest is done per pair.

Each target pixel asks, in this order: the same point of the body, in the images that see it best;
the mirrored point, the point on the far side, and last the nearest points that were seen. Pixels
are carried without what their camera made of them (light.py), and the target is shown as the
reference's camera would; what is left between two images is brought together by what both saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from posedive.render.attire import Attire, attire
from posedive.render.belongings import worn
from posedive.render.gather import ELSEWHERE, FILLED, MIRRORED, OPPOSITE, SEEN, gather
from posedive.render.kinship import kinship
from posedive.render.maps import Maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.sighting import Sighting, dressed, in_attire, spread_to_kin
from posedive.render.skirt import hem_of
from posedive.render.sun import logarithm

__all__ = ["ELSEWHERE", "FILLED", "MIRRORED", "OPPOSITE", "SEEN"]

_MEAN = cv2.INTER_AREA
_CAST_LIMIT = 1.6  # two cameras' colours differ by this factor at most
_CAST_PRIOR = 110.0  # vertices seen by both that count as much as the whole body's colours
_SPREAD_BELIEF = 0.15  # front and back need not be of one colour


@dataclass(frozen=True, eq=False)
class Looks:
    """What is known of how a person looks. sightings: the reference first, all in its colours;
    standoff_m (V,); fill (V + P, 3): a colour for each vertex of body and lumps, found somehow."""

    attire: Attire
    sightings: tuple[Sighting, ...]
    standoff_m: np.ndarray
    fill: np.ndarray


@dataclass(frozen=True, eq=False)
class Appearance:
    """rgb (H, W, 3) uint8; validity (H, W) uint8 of SEEN, ELSEWHERE, MIRRORED, OPPOSITE, FILLED,
    and 0 outside the body; composite (H, W, 3) uint8."""

    rgb: np.ndarray
    validity: np.ndarray
    composite: np.ndarray


def join(model, reference: Sighting, others: Sequence[Sighting] = ()) -> Looks:
    """One person's images, all of one size, brought together in the reference's colours."""
    body = kinship(model)
    hem = hem_of(np.stack([s.shot.between for s in (reference, *others)]))
    lumps = worn(body.lumps, np.stack([s.shot.lumps for s in (reference, *others)]))
    clothes = attire(body, hem, lumps)
    if hem or lumps:
        reference, *others = (in_attire(model, s, clothes) for s in (reference, *others))
    sightings = (reference, *(_recoloured(reference, other) for other in others))
    confidence = np.sum([s.confidence for s in sightings], axis=0)
    colours = np.sum([s.colours * s.confidence[:, None] for s in sightings], axis=0)
    colours = colours / np.maximum(confidence, 1e-12)[:, None]
    num = len(body.part)
    fill = spread_to_kin(body, colours[:num], confidence[:num])
    return Looks(
        attire=clothes,
        sightings=sightings,
        standoff_m=np.mean([s.shot.standoff_m for s in sightings], axis=0).astype(np.float32),
        fill=np.concatenate([fill, clothes.filled(colours[num:], confidence[num:])]),
    )


def carry_colours(
    looks: Looks, target_maps: Maps, background: np.ndarray | None = None
) -> Appearance:
    """background (H, W, 3) uint8 at any size: None is the reference's own, without its person. The
    target's size need not be the reference's; the background is scaled to it."""
    height, width = target_maps.mask.shape
    fine = (2 * width, 2 * height) if height <= 192 else (width, height)
    clothes, axes = looks.attire, target_maps.axes
    positions, normals = clothes.put_on(
        target_maps.vertices,
        dressed(target_maps, looks.standoff_m),
        target_maps.normals_cam,
        axes[1],
    )
    raster = rasterize(positions, clothes.faces, target_maps.focal, fine)
    seen = looks.sightings
    colours, validity = gather(
        raster.face_id,
        raster.bary,
        clothes.faces,
        np.stack([s.positions for s in seen]),
        np.stack([s.normals for s in seen]),
        clothes.twins,
        clothes.licence,
        np.array([s.shot.focal for s in seen]),
        np.stack([s.depth for s in seen]),
        np.stack([s.clearance for s in seen]),
        np.stack([s.rgb for s in seen]),
        looks.fill,
    )
    coverage = raster.mask.astype(np.float32)
    light = seen[0].shot.light
    shade = light.shade(positions, normals, axes, clothes.faces)
    shade = interpolate(raster, clothes.faces, shade)
    colours = light.lit(colours, shade).clip(0, 255) * raster.mask[..., None]
    if fine != (width, height):
        colours = cv2.resize(colours, (width, height), interpolation=_MEAN)
        coverage = cv2.resize(coverage, (width, height), interpolation=_MEAN)
        validity = validity.reshape(height, 2, width, 2).max(axis=(1, 3))
    if background is None:
        background = seen[0].background
    if background.shape[:2] != (height, width):
        background = cv2.resize(background, (width, height), interpolation=_MEAN)
    composite = colours + (1.0 - coverage[..., None]) * background
    on_body = target_maps.mask & (coverage > 0)
    rgb = np.where(on_body[..., None], colours / np.maximum(coverage, 1e-6)[..., None], 0)
    return Appearance(
        rgb=np.round(rgb).clip(0, 255).astype(np.uint8),
        validity=np.where(on_body, validity, 0).astype(np.uint8),
        composite=np.round(composite).clip(0, 255).astype(np.uint8),
    )


def _recoloured(reference: Sighting, other: Sighting) -> Sighting:
    """`other` as the reference's camera would have coloured it: a gain per channel, from the
    vertices that both saw and, the fewer these are, from colours spread over the whole body."""
    both = np.minimum(reference.confidence, other.confidence)
    shared = both > 0.1
    gain = _SPREAD_BELIEF * _ratio(reference.spread, other.spread)
    if shared.any():
        belief = both[shared].sum() / (both[shared].sum() + _CAST_PRIOR)
        direct = _ratio(reference.colours[shared], other.colours[shared])
        gain = belief * direct + (1 - belief) * gain
    limit = np.log(_CAST_LIMIT)
    factor = np.exp(gain.clip(-limit, limit)).astype(np.float32)
    return replace(
        other,
        rgb=other.rgb * factor,
        colours=other.colours * factor,
        spread=other.spread * factor,
    )


def _ratio(colours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, 3), (N, 3) -> (3,): the usual logarithm of their ratio; near black says little."""
    return np.median(logarithm(colours) - logarithm(others), axis=0)
