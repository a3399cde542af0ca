"""How far clothes and hair stand off the body in one image: measured at its silhouette.

In: the image, its background without the person, and where the body is in it. Out: a distance in
metres for each vertex. Outward from the body's rim, pixels are followed for as long as they look
more like the body's inside than like the background; what the rim shows is then spread to the
vertices like it, so that a skirt or a coat seen at its sides is wide all around.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from posedive.render.camera import project_camera_space
from posedive.render.kinship import Kinship
from posedive.render.maps import Maps

_REACH_M = 0.10
_STEP_M = 0.01
_RIM = 0.45  # cosine of normal and line of sight, below which a vertex is on the rim
_PRIOR_WEIGHT = 0.01  # of the usual distance, against one vertex of the rim
_NOISE = 14.0  # grey levels by which background and person must differ to be told apart


def standoff(
    person: Float[np.ndarray, "height width"], maps: Maps, body: Kinship
) -> Float[np.ndarray, " vertices"]:
    """Metres (V,); where the silhouette tells nothing, kinship's usual ones. person:
    likeness_of_person."""
    usual = body.standoff_m
    facing = -(maps.normals_cam * maps.vertices).sum(axis=1)
    facing /= np.linalg.norm(maps.vertices, axis=1) + 1e-9
    rim = np.flatnonzero((np.abs(facing) < _RIM) & (body.clothed > 0.5))
    if len(rim) == 0:
        return usual
    measured, known = _walk_outward(person, maps, rim)
    distance, weight = usual.copy(), np.full_like(usual, _PRIOR_WEIGHT)
    distance[rim[known]], weight[rim[known]] = measured[known], 1.0
    spread = body.spread(distance[:, None], weight)[:, 0]
    return usual + body.clothed * (spread - usual)


def _walk_outward(person: np.ndarray, maps: Maps, rim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the person reaches beyond each vertex of the rim, m, and whether that was seen.

    It was where the way out leaves the body at once; it ends at the background, at another part
    of the body, at the picture's edge.
    """
    height, width = maps.mask.shape
    way = np.arange(_STEP_M, _REACH_M + 1e-6, _STEP_M)
    points = maps.vertices[rim, None] + way[:, None] * maps.normals_cam[rim, None]
    pixels = project_camera_space(points, maps.focal, (width, height)) - 0.5
    inside = np.all((pixels >= 0) & (pixels < (width - 1, height - 1)), axis=-1)
    pixels = np.where(inside[..., None], pixels, 0).astype(np.float32)
    likeness = cv2.remap(person, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
    column, row = np.round(pixels).astype(int).transpose(2, 0, 1)
    on_body = maps.mask[row, column]
    free = inside & ~on_body
    leaves = free.argmax(axis=1)
    pixel_m = maps.vertices[rim, 2] / (height * maps.focal)
    known = free.any(axis=1) & (way[leaves] <= 1.5 * pixel_m + _STEP_M)
    underfoot = np.arange(len(way)) < leaves[:, None]
    ends = ~inside | ~underfoot & (on_body | (likeness <= 0.5))
    steps = np.where(ends.any(axis=1), ends.argmax(axis=1), len(way))
    return steps * _STEP_M, known


def likeness_of_background(
    rgb: UInt8[np.ndarray, "height width 3"], background: UInt8[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "height width"]:
    """1 where a pixel could as well be the in-painted background, 0 where it can't."""
    apart = ((rgb.astype(np.float32) - background) ** 2).sum(axis=-1)
    return np.exp(-apart / (2 * _NOISE**2))


def likeness_of_person(
    rgb: UInt8[np.ndarray, "height width 3"],
    background: UInt8[np.ndarray, "height width 3"],
    mask: Bool[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width"]:
    """(H, W) in [0, 1]: 1 like the nearest part of the person, 0 like the background or unsure."""
    image = rgb.astype(np.float32)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    sigma = 0.02 * mask.shape[0]
    weight = cv2.GaussianBlur(inner, (0, 0), sigma) + 1e-6
    person = cv2.GaussianBlur(image * inner[..., None], (0, 0), sigma) / weight[..., None]
    to_person = ((image - person) ** 2).sum(axis=-1)
    to_background = ((image - background.astype(np.float32)) ** 2).sum(axis=-1)
    likeness = to_background / (to_background + to_person + _NOISE**2)
    return np.where(mask, 1.0, likeness).astype(np.float32)
