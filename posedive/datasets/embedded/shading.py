"""Light on a dressed person: raster and materials -> linear RGB, one sun, a sky, a shadow map.

In: the raster of the posed outfit, its vertices in the place frame (y up, z away from the
camera, metres). Out: radiance per pixel, 0 outside. Self-shadow and the shadow on the ground
come from one depth map seen from the sun.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from posedive.datasets.embedded.materials import FOLD, GLOSS, HAIR, KIND, SKIN
from posedive.datasets.embedded.noise import smoothstep
from posedive.datasets.embedded.paint import albedo, relief
from posedive.render.rasterizer import Raster, rasterize

SUN_DISTANCE_M = 60.0
SHADOW_PIXELS = 96
BUMP_STEP_M = 0.006


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """depth (S, S) seen from the sun, 0 where light passes; rows: the sun camera's axes."""

    depth: np.ndarray
    rows: np.ndarray
    centre: np.ndarray
    focal: float


def shadow_map(vertices: np.ndarray, faces: np.ndarray, sun_direction: np.ndarray) -> ShadowMap:
    forward = -sun_direction
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= max(np.linalg.norm(right), 1e-6)
    rows = np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
    centre = 0.5 * (vertices.min(0) + vertices.max(0))
    seen = (vertices - centre) @ rows.T
    focal = 0.46 * SUN_DISTANCE_M / float(np.abs(seen[:, :2]).max())
    seen[:, 2] += SUN_DISTANCE_M
    raster = rasterize(seen, faces, focal, (SHADOW_PIXELS, SHADOW_PIXELS))
    return ShadowMap(raster.depth, rows, centre.astype(np.float32), focal)


@njit(cache=True)
def sunlight(x, y, z, bias, depth, rows, centre, focal, spread):
    """Share of the sun (0..1) that reaches a point, over a square of (2 spread + 1)^2 texels."""
    x, y, z = x - centre[0], y - centre[1], z - centre[2]
    s = depth.shape[0]
    away = rows[2, 0] * x + rows[2, 1] * y + rows[2, 2] * z + SUN_DISTANCE_M
    scale = s * focal / away
    u = 0.5 * s + scale * (rows[0, 0] * x + rows[0, 1] * y + rows[0, 2] * z)
    v = 0.5 * s + scale * (rows[1, 0] * x + rows[1, 1] * y + rows[1, 2] * z)
    i, j = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
    fu, fv = u - 0.5 - i, v - 0.5 - j
    lit, total = 0.0, 0.0
    for dj in range(-spread, spread + 2):
        for di in range(-spread, spread + 2):
            w = 1.0
            if di == -spread:
                w *= 1.0 - fu
            elif di == spread + 1:
                w *= fu
            if dj == -spread:
                w *= 1.0 - fv
            elif dj == spread + 1:
                w *= fv
            total += w
            a, b = i + di, j + dj
            inside = 0 <= a < s and 0 <= b < s
            if not inside or depth[b, a] == 0.0 or depth[b, a] > away - bias:
                lit += w
    return lit / total


def shade(
    raster: Raster,
    faces: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    rest: np.ndarray,
    face_material: np.ndarray,
    materials: np.ndarray,
    marks: np.ndarray,
    shadows: ShadowMap,
    eye: np.ndarray,
    light: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    metre_px: float,
) -> np.ndarray:
    """(H, W, 3) float32 radiance. light: sun direction, sun, sky and bounce colours."""
    return _shade(
        raster.face_id, raster.bary, raster.depth, faces, vertices, normals, rest, face_material,
        materials, marks, shadows.depth, shadows.rows, shadows.centre, shadows.focal, eye,
        light[0], light[1], light[2], light[3], metre_px,
    )  # fmt: skip


@njit(cache=True, fastmath=True)
def _shade(
    face_id, bary, depth, faces, vertices, normals, rest, face_material, materials, marks,
    shadow_depth, shadow_rows, shadow_centre, shadow_focal, eye,
    sun_direction, sun, sky, bounce, metre_px,
):  # fmt: skip
    height, width = face_id.shape
    image = np.zeros((height, width, 3), np.float32)
    colour = np.zeros(3)
    reach = max(int(0.035 * metre_px), 1)
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            a, b = bary[row, column, 0], bary[row, column, 1]
            c = 1.0 - a - b
            px = a * vertices[i, 0] + b * vertices[j, 0] + c * vertices[k, 0]
            py = a * vertices[i, 1] + b * vertices[j, 1] + c * vertices[k, 1]
            pz = a * vertices[i, 2] + b * vertices[j, 2] + c * vertices[k, 2]
            nx = a * normals[i, 0] + b * normals[j, 0] + c * normals[k, 0]
            ny = a * normals[i, 1] + b * normals[j, 1] + c * normals[k, 1]
            nz = a * normals[i, 2] + b * normals[j, 2] + c * normals[k, 2]
            x = a * rest[i, 0] + b * rest[j, 0] + c * rest[k, 0]
            y = a * rest[i, 1] + b * rest[j, 1] + c * rest[k, 1]
            z = a * rest[i, 2] + b * rest[j, 2] + c * rest[k, 2]
            length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx, ny, nz = nx / length, ny / length, nz / length
            m = materials[face_material[f]]
            vx, vy, vz = eye[0] - px, eye[1] - py, eye[2] - pz
            far = np.sqrt(vx * vx + vy * vy + vz * vz)
            vx, vy, vz = vx / far, vy / far, vz / far
            # The back of an open surface (a skirt's or a sleeve's inside) is lit as its inside.
            inner = 1.0
            if nx * vx + ny * vy + nz * vz < 0.0:
                if nx * vx + ny * vy + nz * vz < -0.25:
                    inner = 0.55
                nx, ny, nz = (nx, ny, nz) if inner == 1.0 else (-nx, -ny, -nz)

            crease = 1.0
            if m[FOLD] > 1e-4:
                # Bump along the face's own edges, taken in the rest pose and carried to the pose.
                h0 = relief(m, x, y, z, marks)
                e1x, e1y, e1z = (
                    rest[i, 0] - rest[k, 0],
                    rest[i, 1] - rest[k, 1],
                    rest[i, 2] - rest[k, 2],
                )
                e2x, e2y, e2z = (
                    rest[j, 0] - rest[k, 0],
                    rest[j, 1] - rest[k, 1],
                    rest[j, 2] - rest[k, 2],
                )
                s1 = BUMP_STEP_M / (np.sqrt(e1x * e1x + e1y * e1y + e1z * e1z) + 1e-6)
                s2 = BUMP_STEP_M / (np.sqrt(e2x * e2x + e2y * e2y + e2z * e2z) + 1e-6)
                h1 = relief(m, x + s1 * e1x, y + s1 * e1y, z + s1 * e1z, marks) - h0
                h2 = relief(m, x + s2 * e2x, y + s2 * e2y, z + s2 * e2z, marks) - h0
                ax, ay, az = (
                    s1 * (vertices[i, 0] - vertices[k, 0]),
                    s1 * (vertices[i, 1] - vertices[k, 1]),
                    s1 * (vertices[i, 2] - vertices[k, 2]),
                )
                bx, by, bz = (
                    s2 * (vertices[j, 0] - vertices[k, 0]),
                    s2 * (vertices[j, 1] - vertices[k, 1]),
                    s2 * (vertices[j, 2] - vertices[k, 2]),
                )
                cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                det = nx * cx + ny * cy + nz * cz
                if abs(det) > 1e-9:
                    gx = (h1 * (by * nz - bz * ny) + h2 * (ny * az - nz * ay)) / det
                    gy = (h1 * (bz * nx - bx * nz) + h2 * (nz * ax - nx * az)) / det
                    gz = (h1 * (bx * ny - by * nx) + h2 * (nx * ay - ny * ax)) / det
                    steep = np.sqrt(gx * gx + gy * gy + gz * gz)
                    limit = min(1.0, 0.9 / (steep + 1e-9))
                    nx, ny, nz = nx - limit * gx, ny - limit * gy, nz - limit * gz
                    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                    nx, ny, nz = nx / length, ny / length, nz / length
                crease = 0.82 + 0.18 * min(h0 / m[FOLD], 1.0)

            occluded = 0.0
            here = depth[row, column]
            for tap in range(8):
                dr = (-1, -1, -1, 0, 0, 1, 1, 1)[tap] * reach
                dc = (-1, 0, 1, -1, 1, -1, 0, 1)[tap] * reach
                if 0 <= row + dr < height and 0 <= column + dc < width:
                    there = depth[row + dr, column + dc]
                    if there > 0.0:
                        step = here - there
                        occluded += smoothstep(0.01, 0.05, step) * smoothstep(0.5, 0.2, step)
            ambient = (
                (1.0 - 0.09 * occluded) * (0.7 + 0.3 * smoothstep(0.0, 0.7, py)) * crease * inner
            )

            kind = int(m[KIND])
            facing = nx * sun_direction[0] + ny * sun_direction[1] + nz * sun_direction[2]
            wrap = 0.2 if kind == SKIN else 0.08
            direct = max((facing + wrap) / (1.0 + wrap), 0.0) * inner
            if direct > 0.0:
                direct *= sunlight(
                    px + 0.01 * nx, py + 0.01 * ny, pz + 0.01 * nz, 0.035,
                    shadow_depth, shadow_rows, shadow_centre, shadow_focal, 0,
                )  # fmt: skip
            hx, hy, hz = vx + sun_direction[0], vy + sun_direction[1], vz + sun_direction[2]
            length = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
            shine = max((nx * hx + ny * hy + nz * hz) / length, 0.0)
            shine = shine**24 * direct
            graze = 1.0 - max(nx * vx + ny * vy + nz * vz, 0.0)
            gloss = 0.05 if kind == SKIN else (0.05 if kind == HAIR else 0.012) + m[GLOSS]
            albedo(m, x, y, z, marks, colour)
            up = 0.5 + 0.5 * ny
            for q in range(3):
                hemisphere = sky[q] * (0.25 + 0.75 * up) + bounce[q] * (1.0 - up)
                lit = colour[q] * (sun[q] * direct + hemisphere * ambient)
                lit += gloss * (4.0 * shine * sun[q] + graze**4 * sky[q] * ambient)
                image[row, column, q] = lit
    return image


@njit(cache=True, fastmath=True)
def darken_ground(
    image, ground, shadow_depth, rows, centre, focal, sun, sun_y, sky, feet, softness
):
    """Multiplies the ground's radiance, in place, by what the person lets through."""
    height, width = ground.shape[:2]
    for row in range(height):
        for column in range(width):
            if ground[row, column, 1] > 0.5:
                continue
            x, z = ground[row, column, 0], ground[row, column, 2]
            if x * x + z * z > 16.0:
                continue
            lit = sunlight(x, 0.0, z, 0.03, shadow_depth, rows, centre, focal, softness)
            open_sky = 1.0
            for i in range(feet.shape[0]):
                dx, dz = x - feet[i, 0], z - feet[i, 2]
                r2 = (dx * dx + dz * dz) / (0.02 + 0.5 * feet[i, 1] * feet[i, 1])
                open_sky *= 1.0 - 0.42 * np.exp(-r2) / (1.0 + 4.0 * feet[i, 1])
            for k in range(3):
                full = sun[k] * sun_y + sky[k]
                image[row, column, k] *= (sun[k] * sun_y * lit + sky[k] * open_sky) / full
