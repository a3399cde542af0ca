"""Looking a body's points up in the images that saw them: the inner loops of the appearance map.

In: points of the body in each image's camera space, and that image's z-buffer and pixels. Out: for
vertices or for a target's pixels, the colour found and how it was come by. Colours are float32.
"""

import numpy as np
from numba import njit

SEEN, ELSEWHERE, MIRRORED, OPPOSITE, FILLED = 255, 192, 128, 64, 0
DEPTH_TOLERANCE_M = 0.015
# From no confidence to full: the cosine of normal and line of sight, and the clearance in pixels.
FACING = (0.08, 0.43)
CLEAR = (0.0, 2.5)


@njit(cache=True, fastmath=True)
def look(x, y, z, nx, ny, nz, focal, depth, clearance, rgb):
    """(confidence, r, g, b) of a point in the reference's camera space with its normal."""
    nothing = (np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0))
    height, width = rgb.shape[0], rgb.shape[1]
    length = np.sqrt((nx * nx + ny * ny + nz * nz) * (x * x + y * y + z * z)) + 1e-12
    facing = -(nx * x + ny * y + nz * z) / length
    if facing <= FACING[0] or z <= 0.0:
        return nothing
    u = 0.5 * width + height * focal * x / z
    v = 0.5 * height + height * focal * y / z
    if u < 0.0 or v < 0.0 or u >= width or v >= height:
        return nothing
    scale = depth.shape[0] / height
    row, column = int(v * scale), int(u * scale)
    surface_z = depth[row, column]
    pixel_m = z / (depth.shape[0] * focal)
    if surface_z <= 0.0 or z > surface_z + DEPTH_TOLERANCE_M + pixel_m / facing:
        return nothing
    squarely = min(max((facing - FACING[0]) / (FACING[1] - FACING[0]), 0.0), 1.0)
    clear = min(max((clearance[row, column] - CLEAR[0]) / (CLEAR[1] - CLEAR[0]), 0.02), 1.0)
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
def sample_vertices(positions, normals, focal, depth, clearance, rgb):
    num_vertices = positions.shape[0]
    colours = np.zeros((num_vertices, 3), np.float32)
    confidence = np.zeros(num_vertices, np.float32)
    for i in range(num_vertices):
        p, n = positions[i], normals[i]
        c, r, g, b = look(p[0], p[1], p[2], n[0], n[1], n[2], focal, depth, clearance, rgb)
        confidence[i] = c
        colours[i, 0], colours[i, 1], colours[i, 2] = r, g, b
    return colours, confidence


@njit(cache=True, fastmath=True)
def gather(
    face_id, bary, faces, positions, normals, twins, licence, focal, depth, clearance, rgb, fill
):
    """Colours (h, w, 3) and validity (h, w) of a target's pixels.

    face_id (h, w), bary (h, w, 2): the target's raster. twins, licence (3, V): kinship's.
    Of R images, the first the reference: positions, normals (R, V, 3), focal (R,), depth and
    clearance (R, h', w'), rgb (R, H, W, 3). fill (V, 3): the colour where nothing is found. Those
    images tell that see a point best: by the fourth power of their confidence, which keeps its
    detail and spares noise.
    """
    height, width = face_id.shape
    num_images = rgb.shape[0]
    colours = np.zeros((height, width, 3), np.float32)
    validity = np.zeros((height, width), np.uint8)
    labels = (SEEN, MIRRORED, OPPOSITE)
    nothing = (np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0))
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
                if permit <= 0.0 or left < 0.02:
                    continue
                ta, tb, tc = twins[k, a], twins[k, b], twins[k, c]
                hidden = np.float32(1.0)
                weights, red, green, blue = nothing
                best, best_weight = 0, np.float32(0.0)
                for r in range(num_images):
                    for d in range(3):
                        point[d] = (
                            wa * positions[r, ta, d]
                            + wb * positions[r, tb, d]
                            + wc * positions[r, tc, d]
                        )
                        normal[d] = (
                            wa * normals[r, ta, d] + wb * normals[r, tb, d] + wc * normals[r, tc, d]
                        )
                    confidence, r_red, r_green, r_blue = look(
                        point[0],
                        point[1],
                        point[2],
                        normal[0],
                        normal[1],
                        normal[2],
                        focal[r],
                        depth[r],
                        clearance[r],
                        rgb[r],
                    )
                    hidden *= np.float32(1.0) - min(confidence * permit, np.float32(1.0))
                    weight = confidence * confidence * confidence * confidence
                    weights += weight
                    red += weight * r_red
                    green += weight * r_green
                    blue += weight * r_blue
                    if weight > best_weight:
                        best, best_weight = r, weight
                if weights < 1e-20:
                    continue
                share = left * (np.float32(1.0) - hidden)
                colours[row, column, 0] += share * red / weights
                colours[row, column, 1] += share * green / weights
                colours[row, column, 2] += share * blue / weights
                left -= share
                if share > largest:
                    largest = share
                    validity[row, column] = ELSEWHERE if k == 0 and best > 0 else labels[k]
            if left > largest:
                validity[row, column] = FILLED
            for d in range(3):
                filled = wa * fill[a, d] + wb * fill[b, d] + wc * fill[c, d]
                colours[row, column, d] += left * filled
    return colours, validity
