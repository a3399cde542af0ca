"""What one image shows of a person: its pixels by body vertex, without its camera's light.

In: an image, its fit's Maps, its camera's light. Out: a Sighting. A point counts by how squarely
the image saw it and how far it lay from any silhouette, where pixels mix two things. That a skirt
bridges the legs several images tell (skirt.hem_of): `in_attire` reads an image once more.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from posedive.records import PARTS
from posedive.render.attire import Attire, attire
from posedive.render.background import without_person
from posedive.render.belongings import borne_out
from posedive.render.garment import likeness_of_background, likeness_of_person, standoff
from posedive.render.gather import sample_vertices
from posedive.render.kinship import Kinship, kinship
from posedive.render.light import EVEN, Light, spread_outward
from posedive.render.maps import Maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.skirt import seen_between

_MEAN = cv2.INTER_AREA
_VISIBILITY_HEIGHT = 256  # the z-buffer that decides what an image sees, whatever its size
_BACKGROUND, _BODY, _SKIRT, _HAIR, _HAT, _BAG = range(len(PARTS))
_CLOTH = [_BODY, _SKIRT]  # of what lies between the legs
_CLOSE = [_BODY, _SKIRT, _HAIR, _HAT]  # what stands off the body by little
_EDGE_JUMP_M = 0.04  # a step in depth that makes a silhouette within the body


@dataclass(frozen=True, eq=False)
class Shot:
    """An image and its fit. rgb (H, W, 3) uint8; body (H, W) bool: where it is, undressed; trust
    (H, W): less where the background may shine through; axes (3, 3): Maps'; light: what it was
    taken in. standoff_m (V,): how far clothes and hair stand off the body; vertices, dressed,
    normals (V, 3) in camera space, without and with them. between (2, rungs): skirt.seen_between's.
    parts (H, W, records.PARTS): a parser's shares, where one was asked; lumps (L, 2):
    belongings.borne_out's of them."""

    rgb: np.ndarray
    body: np.ndarray
    trust: np.ndarray
    axes: np.ndarray
    light: Light
    focal: float
    standoff_m: np.ndarray
    vertices: np.ndarray
    dressed: np.ndarray
    normals: np.ndarray
    between: np.ndarray
    parts: np.ndarray | None
    lumps: np.ndarray


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one image shows of a person; about 0.6 MB at 64x128.

    positions, normals (V + P, 3): of the body and of lumps, in camera space. rgb (H, W, 3)
    float32, without its light; mask (H, W) bool: where the body is, dressed. depth, clearance
    (h, w): the z-buffer, and the distance to the nearest silhouette in the image's pixels, less
    where something else shines through. colours (V + P, 3), confidence (V + P,): of each vertex,
    where the image sees it; spread (V, 3): a colour for each vertex, from what the image sees of
    its kin.
    """

    shot: Shot
    positions: np.ndarray
    normals: np.ndarray
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
    def axes(self) -> np.ndarray:
        return self.shot.axes


def sight(
    model,
    rgb: UInt8[np.ndarray, "height width 3"],
    maps: Maps,
    light: Light = EVEN,
    parts: Float[np.ndarray, "height width parts"] | None = None,
) -> Sighting:
    """What an image shows, by its fit's maps; it may serve many targets. light: of its camera, EVEN
    where it isn't known: then the image's light goes with its pixels. parts: the share of each of
    records.PARTS in each pixel; None: nobody's belongings are looked for."""
    body = kinship(model)
    rgb = np.ascontiguousarray(rgb)
    if parts is None:
        background = without_person(rgb, maps.mask)
        dressed_in = skirted = likeness_of_person(rgb, background, maps.mask)
        nobody = likeness_of_background(rgb, background)
    else:
        nobody = parts[..., _BACKGROUND]
        skirted, dressed_in = (parts[..., of].sum(axis=-1) for of in (_CLOTH, _CLOSE))
    standoff_m = standoff(dressed_in, maps, body)
    shot = Shot(
        rgb=rgb,
        body=maps.mask,
        # What looks like the background near a silhouette may be it, where a fit is not exact.
        trust=1.0 - 0.9 * nobody,
        axes=maps.axes,
        light=light,
        focal=maps.focal,
        standoff_m=standoff_m,
        vertices=maps.vertices,
        dressed=dressed(maps, standoff_m),
        normals=maps.normals_cam,
        between=seen_between(body.bridge, skirted, maps),
        parts=parts,
        lumps=np.zeros((len(body.lumps), 2)),
    )
    sighting = _shown(body, attire(body), shot)
    if parts is None:
        return sighting
    lumps = borne_out(body.lumps, parts, maps.vertices, sighting.depth, maps.axes[1], maps.focal)
    return replace(sighting, shot=replace(shot, lumps=lumps))


@lru_cache(maxsize=16)  # a person's images, for each of their references
def in_attire(model, sighting: Sighting, worn: Attire) -> Sighting:
    """The same image of somebody who is known to wear that."""
    return _shown(kinship(model), worn, sighting.shot)


def _shown(body: Kinship, worn: Attire, shot: Shot) -> Sighting:
    height, width = shot.body.shape
    scale = max(1, round(_VISIBILITY_HEIGHT / height))
    fine = (width * scale, height * scale)
    positions, outward = worn.put_on(shot.vertices, shot.dressed, shot.normals, shot.axes[1])
    raster = rasterize(positions, worn.faces, shot.focal, fine)
    clearance = _clearance(raster.depth) / scale * cv2.resize(shot.trust, fine)
    if shot.parts is not None:
        clearance *= _itself(worn.part[raster.face_id], cv2.resize(shot.parts, fine))
    share = cv2.resize(raster.mask.astype(np.float32), (width, height), interpolation=_MEAN)
    shade = shot.light.shade(positions, outward, shot.axes, worn.faces)
    shade = cv2.resize(interpolate(raster, worn.faces, shade), (width, height), interpolation=_MEAN)
    shade = shade[..., None] / np.maximum(share, 1e-6)[..., None]
    # Beside the body, as if its edge went on.
    pixels = shot.light.unlit(shot.rgb.astype(np.float32), spread_outward(shade, share > 0))
    colours, confidence = sample_vertices(
        positions, outward, shot.focal, raster.depth, clearance, pixels
    )
    num = len(shot.vertices)
    return Sighting(
        shot=shot,
        positions=positions,
        normals=outward,
        rgb=pixels,
        mask=(share > 0) | shot.body,
        depth=raster.depth,
        clearance=clearance,
        colours=colours,
        confidence=confidence,
        spread=spread_to_kin(body, colours[:num], confidence[:num]),
    )


def _itself(part: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(h, w): how sure a pixel shows what should be there: a lump's part, or the body's cloth."""
    of_lump = np.take_along_axis(shares, part[..., None], axis=-1)[..., 0]
    of_body = 1.0 - shares[..., _BAG] - shares[..., 0]
    return np.where(part > 0, of_lump, of_body).clip(0.05, 1.0).astype(np.float32)


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
