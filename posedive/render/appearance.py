"""The appearance map: a reference image's pixels, carried by the mesh onto another pose and view.

In: the reference's pixels and Maps, the target's Maps (both from exact or estimated fits). Out:
Appearance: rgb where the target's body is (black elsewhere), validity (how the colour was come
by), and the composite, that person in the reference's scene, the baseline any generator must beat.
The reference's part is computed once per image (reference_colours), the rest per pair.

Each target pixel asks, in this order: the same point of the body, the mirrored point, the point
on the far side, and last the nearest points that were seen. A point counts by how squarely the
reference saw it and how far it lay from any silhouette, where pixels mix two things.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

from posedive.render.background import without_person
from posedive.render.garment import likeness_of_background, standoff
from posedive.render.kinship import kinship
from posedive.render.maps import Maps
from posedive.render.rasterizer import rasterize

SEEN, MIRRORED, OPPOSITE, FILLED = 255, 128, 64, 0
_MEAN = cv2.INTER_AREA
_VISIBILITY_HEIGHT = 256  # the z-buffer that decides what the reference sees, whatever its size
_DEPTH_TOLERANCE_M = 0.015
# From no confidence to full: the cosine of normal and line of sight, and the clearance in pixels.
_FACING = (0.08, 0.43)
_CLEAR = (0.0, 2.5)
_EDGE_JUMP_M = 0.04  # a step in depth that makes a silhouette within the body


@dataclass(frozen=True, eq=False)
class ReferenceColours:
    """What a reference gives to all its targets; about 0.6 MB at 64x128.

    standoff_m (V,): how far clothes and hair stand off the body; positions, normals (V, 3) in
    camera space with them. depth, clearance (h, w): the z-buffer, and the distance to the nearest
    silhouette in the reference's pixels, less where the background shines through. fill (V, 3): a
    colour for each vertex, found somehow.
    """

    rgb: np.ndarray
    background: np.ndarray
    standoff_m: np.ndarray
    focal: float
    positions: np.ndarray
    normals: np.ndarray
    depth: np.ndarray
    clearance: np.ndarray
    fill: np.ndarray


@dataclass(frozen=True, eq=False)
class Appearance:
    """rgb (H, W, 3) uint8; validity (H, W) uint8 of SEEN, MIRRORED, OPPOSITE, FILLED, and 0
    outside the body; composite (H, W, 3) uint8."""

    rgb: np.ndarray
    validity: np.ndarray
    composite: np.ndarray


def carry(
    model,
    reference_rgb: UInt8[np.ndarray, "height width 3"],
    reference_maps: Maps,
    target_maps: Maps,
) -> Appearance:
    return carry_colours(
        model, reference_colours(model, reference_rgb, reference_maps), target_maps
    )


def reference_colours(
    model, rgb: UInt8[np.ndarray, "height width 3"], maps: Maps
) -> ReferenceColours:
    """The part of `carry` that depends on the reference only."""
    body = kinship(model)
    height, width = rgb.shape[:2]
    rgb = np.ascontiguousarray(rgb)
    background = without_person(rgb, maps.mask)
    standoff_m = standoff(rgb, background, maps, body)
    dressed = _dressed(maps, standoff_m)
    scale = max(1, round(_VISIBILITY_HEIGHT / height))
    fine = (width * scale, height * scale)
    raster = rasterize(dressed, body.faces, maps.focal, fine)
    # What looks like the background near a silhouette may be it, where a fit is not exact.
    trust = 1.0 - 0.9 * likeness_of_background(rgb, background)
    clearance = _clearance(raster.depth) / scale * cv2.resize(trust, fine)
    colours, confidence = _sample_vertices(
        dressed, maps.normals_cam, maps.focal, raster.depth, clearance, rgb
    )
    covered = cv2.resize(raster.mask.astype(np.float32), (width, height), interpolation=_MEAN) > 0
    return ReferenceColours(
        rgb=rgb,
        background=without_person(rgb, covered | maps.mask),
        standoff_m=standoff_m,
        focal=maps.focal,
        positions=dressed,
        normals=maps.normals_cam,
        depth=raster.depth,
        clearance=clearance,
        fill=body.spread(colours, body.lends * (confidence + 1e-6 * (confidence > 0))),
    )


def carry_colours(model, reference: ReferenceColours, target_maps: Maps) -> Appearance:
    """The target's size need not be the reference's; the background is scaled to it."""
    body = kinship(model)
    height, width = target_maps.mask.shape
    fine = (2 * width, 2 * height) if height <= 192 else (width, height)
    raster = rasterize(
        _dressed(target_maps, reference.standoff_m), body.faces, target_maps.focal, fine
    )
    colours, validity = _gather(
        raster.face_id,
        raster.bary,
        body.faces,
        reference.positions,
        reference.normals,
        body.twins,
        body.licence,
        reference.focal,
        reference.depth,
        reference.clearance,
        reference.rgb,
        reference.fill,
    )
    coverage = raster.mask.astype(np.float32)
    if fine != (width, height):
        colours = cv2.resize(colours, (width, height), interpolation=_MEAN)
        coverage = cv2.resize(coverage, (width, height), interpolation=_MEAN)
        validity = validity.reshape(height, 2, width, 2).max(axis=(1, 3))
    background = reference.background
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


def _dressed(maps: Maps, standoff_m: np.ndarray) -> Float[np.ndarray, "vertices 3"]:
    return maps.vertices + standoff_m[:, None] * maps.normals_cam


def _clearance(depth: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest silhouette or step in depth, in its own pixels."""
    far = np.where(depth > 0, depth, 1e3).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    step = cv2.dilate(far, kernel) - cv2.erode(far, kernel)
    return cv2.distanceTransform((step < _EDGE_JUMP_M).astype(np.uint8), cv2.DIST_L2, 3)


@njit(cache=True, fastmath=True)
def _look(x, y, z, nx, ny, nz, focal, depth, clearance, rgb):
    """(confidence, r, g, b) of a point in the reference's camera space with its normal."""
    nothing = (np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0))
    height, width = rgb.shape[0], rgb.shape[1]
    length = np.sqrt((nx * nx + ny * ny + nz * nz) * (x * x + y * y + z * z)) + 1e-12
    facing = -(nx * x + ny * y + nz * z) / length
    if facing <= _FACING[0] or z <= 0.0:
        return nothing
    u = 0.5 * width + height * focal * x / z
    v = 0.5 * height + height * focal * y / z
    if u < 0.0 or v < 0.0 or u >= width or v >= height:
        return nothing
    scale = depth.shape[0] / height
    row, column = int(v * scale), int(u * scale)
    surface_z = depth[row, column]
    pixel_m = z / (depth.shape[0] * focal)
    if surface_z <= 0.0 or z > surface_z + _DEPTH_TOLERANCE_M + pixel_m / facing:
        return nothing
    squarely = min(max((facing - _FACING[0]) / (_FACING[1] - _FACING[0]), 0.0), 1.0)
    clear = min(max((clearance[row, column] - _CLEAR[0]) / (_CLEAR[1] - _CLEAR[0]), 0.02), 1.0)
    confidence = squarely * squarely * (3.0 - 2.0 * squarely) * clear

    u, v = min(max(u - 0.5, 0.0), width - 1.0), min(max(v - 0.5, 0.0), height - 1.0)
    i, j = min(int(v), height - 2), min(int(u), width - 2)
    b, a = np.float32(v - i), np.float32(u - j)
    w00, w01, w10, w11 = (1 - b) * (1 - a), (1 - b) * a, b * (1 - a), b * a
    red = (
        w00 * rgb[i, j, 0]
        + w01 * rgb[i, j + 1, 0]
        + w10 * rgb[i + 1, j, 0]
        + w11 * rgb[i + 1, j + 1, 0]
    )
    green = (
        w00 * rgb[i, j, 1]
        + w01 * rgb[i, j + 1, 1]
        + w10 * rgb[i + 1, j, 1]
        + w11 * rgb[i + 1, j + 1, 1]
    )
    blue = (
        w00 * rgb[i, j, 2]
        + w01 * rgb[i, j + 1, 2]
        + w10 * rgb[i + 1, j, 2]
        + w11 * rgb[i + 1, j + 1, 2]
    )
    return np.float32(confidence), np.float32(red), np.float32(green), np.float32(blue)


@njit(cache=True, fastmath=True)
def _sample_vertices(positions, normals, focal, depth, clearance, rgb):
    num_vertices = positions.shape[0]
    colours = np.zeros((num_vertices, 3), np.float32)
    confidence = np.zeros(num_vertices, np.float32)
    for i in range(num_vertices):
        p, n = positions[i], normals[i]
        c, r, g, b = _look(p[0], p[1], p[2], n[0], n[1], n[2], focal, depth, clearance, rgb)
        confidence[i] = c
        colours[i, 0], colours[i, 1], colours[i, 2] = r, g, b
    return colours, confidence


@njit(cache=True, fastmath=True)
def _gather(
    face_id, bary, faces, positions, normals, twins, licence, focal, depth, clearance, rgb, fill
):
    height, width = face_id.shape
    colours = np.zeros((height, width, 3), np.float32)
    validity = np.zeros((height, width), np.uint8)
    labels = (SEEN, MIRRORED, OPPOSITE)
    point = np.empty(3, np.float32)
    normal = np.empty(3, np.float32)
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb = bary[row, column, 0], bary[row, column, 1]
            wc = np.float32(1.0) - wa - wb
            left = np.float32(1.0)  # the share of the colour still to be found
            largest = np.float32(0.0)
            for k in range(3):
                permit = wa * licence[k, a] + wb * licence[k, b] + wc * licence[k, c]
                if permit <= 0.0:
                    continue
                ta, tb, tc = twins[k, a], twins[k, b], twins[k, c]
                for d in range(3):
                    point[d] = wa * positions[ta, d] + wb * positions[tb, d] + wc * positions[tc, d]
                    normal[d] = wa * normals[ta, d] + wb * normals[tb, d] + wc * normals[tc, d]
                confidence, red, green, blue = _look(
                    point[0],
                    point[1],
                    point[2],
                    normal[0],
                    normal[1],
                    normal[2],
                    focal,
                    depth,
                    clearance,
                    rgb,
                )
                share = left * min(confidence * permit, np.float32(1.0))
                colours[row, column, 0] += share * red
                colours[row, column, 1] += share * green
                colours[row, column, 2] += share * blue
                left -= share
                if share > largest:
                    largest = share
                    validity[row, column] = labels[k]
                if left < 0.02:
                    break
            if left > largest:
                validity[row, column] = FILLED
            for d in range(3):
                filled = wa * fill[a, d] + wb * fill[b, d] + wc * fill[c, d]
                colours[row, column, d] += left * filled
    return colours, validity
