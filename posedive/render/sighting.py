"""What one image shows of a person: its pixels by body vertex, without its camera's light.

In: an image, its fit's Maps, its camera's light. Out: a Sighting. A point counts by how squarely
the image saw it and how far it lay from any silhouette, where pixels mix two things. That a skirt
bridges the legs several images tell (skirt.hem_of): `in_skirt` reads an image once more.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from jaxtyping import UInt8

from posedive.render.background import without_person
from posedive.render.garment import likeness_of_background, likeness_of_person, standoff
from posedive.render.gather import sample_vertices
from posedive.render.kinship import Kinship, kinship
from posedive.render.light import EVEN, Light, spread_outward
from posedive.render.maps import Maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.skirt import seen_between

_MEAN = cv2.INTER_AREA
_VISIBILITY_HEIGHT = 256  # the z-buffer that decides what an image sees, whatever its size
_EDGE_JUMP_M = 0.04  # a step in depth that makes a silhouette within the body


@dataclass(frozen=True, eq=False)
class Shot:
    """An image and its fit. rgb (H, W, 3) uint8; body (H, W) bool: where it is, undressed; trust
    (H, W): less where the background may shine through; axes (3, 3): Maps'; light: what it was
    taken in. standoff_m (V,): how far clothes and hair stand off the body; positions, normals
    (V, 3) in camera space with them. between (2, rungs): skirt.seen_between's."""

    rgb: np.ndarray
    body: np.ndarray
    trust: np.ndarray
    axes: np.ndarray
    light: Light
    focal: float
    standoff_m: np.ndarray
    positions: np.ndarray
    normals: np.ndarray
    between: np.ndarray


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one image shows of a person; about 0.6 MB at 64x128.

    rgb (H, W, 3) float32, without its light; mask (H, W) bool: where the body is, dressed. depth,
    clearance (h, w): the z-buffer, and the distance to the nearest silhouette in the image's
    pixels, less where the background shines through. colours (V, 3), confidence (V,): of each
    vertex, where the image sees it; spread (V, 3): a colour for each vertex, from what the image
    sees of its kin.
    """

    shot: Shot
    rgb: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    clearance: np.ndarray
    colours: np.ndarray
    confidence: np.ndarray
    spread: np.ndarray

    @cached_property
    def background(self) -> np.ndarray:
        """(H, W, 3) uint8: the image without the person."""
        return without_person(self.shot.rgb, self.mask)

    @property
    def normals(self) -> np.ndarray:
        return self.shot.normals

    @property
    def axes(self) -> np.ndarray:
        return self.shot.axes


def sight(
    model, rgb: UInt8[np.ndarray, "height width 3"], maps: Maps, light: Light = EVEN
) -> Sighting:
    """What an image shows, by its fit's maps; it may serve many targets. light: of its camera, EVEN
    where it isn't known: then the image's light goes with its pixels."""
    body = kinship(model)
    rgb = np.ascontiguousarray(rgb)
    background = without_person(rgb, maps.mask)
    person = likeness_of_person(rgb, background, maps.mask)
    standoff_m = standoff(person, maps, body)
    shot = Shot(
        rgb=rgb,
        body=maps.mask,
        # What looks like the background near a silhouette may be it, where a fit is not exact.
        trust=1.0 - 0.9 * likeness_of_background(rgb, background),
        axes=maps.axes,
        light=light,
        focal=maps.focal,
        standoff_m=standoff_m,
        positions=dressed(maps, standoff_m),
        normals=maps.normals_cam,
        between=seen_between(body.bridge, person, maps),
    )
    return _shown(body, body.faces, shot)


@lru_cache(maxsize=16)  # a person's images, for each of their references
def in_skirt(model, sighting: Sighting, hem: int) -> Sighting:
    """The same image of somebody whose skirt reaches down to the bridge's rung `hem`."""
    body = kinship(model)
    return _shown(body, body.faces_with_skirt(hem), sighting.shot)


def _shown(body: Kinship, faces: np.ndarray, shot: Shot) -> Sighting:
    height, width = shot.body.shape
    scale = max(1, round(_VISIBILITY_HEIGHT / height))
    fine = (width * scale, height * scale)
    raster = rasterize(shot.positions, faces, shot.focal, fine)
    clearance = _clearance(raster.depth) / scale * cv2.resize(shot.trust, fine)
    covered = cv2.resize(raster.mask.astype(np.float32), (width, height), interpolation=_MEAN) > 0
    normals = interpolate(raster, faces, shot.normals @ shot.axes.T)
    normals = cv2.resize(normals, (width, height), interpolation=_MEAN)
    # Beside the body, as if its edge went on.
    pixels = shot.light.unlit(shot.rgb.astype(np.float32), spread_outward(normals, covered))
    colours, confidence = sample_vertices(
        shot.positions, shot.normals, shot.focal, raster.depth, clearance, pixels
    )
    return Sighting(
        shot=shot,
        rgb=pixels,
        mask=covered | shot.body,
        depth=raster.depth,
        clearance=clearance,
        colours=colours,
        confidence=confidence,
        spread=spread_to_kin(body, colours, confidence),
    )


def spread_to_kin(body: Kinship, colours: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(V, 3): a colour for each vertex, from those (V, 3) that were seen of its kin."""
    return body.spread(colours, body.lends * (confidence + 1e-6 * (confidence > 0)))


def dressed(maps: Maps, standoff_m: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) in camera space, with clothes and hair."""
    return maps.vertices + standoff_m[:, None] * maps.normals_cam


def _clearance(depth: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest silhouette or step in depth, in its own pixels."""
    far = np.where(depth > 0, depth, 1e3).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    step = cv2.dilate(far, kernel) - cv2.erode(far, kernel)
    return cv2.distanceTransform((step < _EDGE_JUMP_M).astype(np.uint8), cv2.DIST_L2, 3)
