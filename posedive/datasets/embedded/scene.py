"""Backgrounds: a place, a camera and where in the place the person stands -> linear RGB.

Each pixel's ray is cut with the ground, the back wall, a side wall, the ceiling and the blocks,
so that horizon, kerbs and shadows agree with the camera's elevation. Metres, place frame.
"""

import numpy as np
from numba import njit

from posedive.datasets.embedded.noise import smoothstep
from posedive.datasets.embedded.surfaces import block_colour, floor_tone, skyline, wall_colour

SKY_DISTANCE_M = 60.0


@njit(cache=True)
def _hit_box(box, ox, oy, oz, dx, dy, dz):
    """(distance, axis) of the ray's entry into the box; distance 1e9 for a miss."""
    near, far, axis = -1e9, 1e9, 0
    for k in range(3):
        o = ox if k == 0 else (oy if k == 1 else oz)
        d = dx if k == 0 else (dy if k == 1 else dz)
        if abs(d) < 1e-9:
            d = 1e-9
        t0, t1 = (box[2 * k] - o) / d, (box[2 * k + 1] - o) / d
        if t0 > t1:
            t0, t1 = t1, t0
        if t0 > near:
            near, axis = t0, k
        far = min(far, t1)
    return (near, axis) if near < far and near > 0.0 else (1e9, 0)


@njit(cache=True)
def draw_background(
    width, height, focal, rows, camera, stand, scene, blocks, sun_direction, sun, sky, person_z
):
    """(H, W, 3) radiance and (H, W, 3) the ground point under each pixel (y = 1 if not ground).

    rows: place-frame directions of the camera's x, y, z axes; camera: its place-frame position;
    stand: what to add to (x, z) to get the place's own coordinates.
    """
    image = np.empty((height, width, 3), np.float32)
    ground = np.zeros((height, width, 3), np.float32)
    colour = np.empty(3)
    cos_yaw, sin_yaw = np.cos(scene[0]), np.sin(scene[0])
    ox = cos_yaw * camera[0] + sin_yaw * camera[2] + stand[0]
    oz = -sin_yaw * camera[0] + cos_yaw * camera[2] + stand[1]
    oy = max(camera[1], 0.05)
    sun_x = cos_yaw * sun_direction[0] + sin_yaw * sun_direction[2]
    sun_z = -sin_yaw * sun_direction[0] + cos_yaw * sun_direction[2]
    sun_y = sun_direction[1]
    kerb, wall_z, side_x, ceiling = scene[3], scene[5], scene[6], scene[7]
    shade_x, shade_z = np.cos(scene[23]), np.sin(scene[23])
    for row in range(height):
        v = (row + 0.5 - 0.5 * height) / (height * focal)
        for column in range(width):
            u = (column + 0.5 - 0.5 * width) / (height * focal)
            ax = rows[0, 0] * u + rows[1, 0] * v + rows[2, 0]
            dy = rows[0, 1] * u + rows[1, 1] * v + rows[2, 1]
            az = rows[0, 2] * u + rows[1, 2] * v + rows[2, 2]
            dx, dz = cos_yaw * ax + sin_yaw * az, -sin_yaw * ax + cos_yaw * az
            best, what = 1e9, 0
            if dy < -1e-6:
                best, what = -oy / dy, 1
            if scene[4] > 0 and dz > 1e-6 and (wall_z - oz) / dz < best:
                t = (wall_z - oz) / dz
                if t > 0 and (oy + t * dy < 3.4 or scene[4] != 7):
                    best, what = t, 2
            if side_x != 0.0 and dx * side_x > 1e-6:
                t = (side_x - ox) / dx
                # A side wall may not cut between the camera and the person.
                if person_z < t < best:
                    best, what = t, 3
            if dy > 1e-6 and (ceiling - oy) / dy < best:
                best, what = (ceiling - oy) / dy, 4
            for b in range(blocks.shape[0]):
                if blocks[b, 1] > blocks[b, 0]:
                    t, axis = _hit_box(blocks[b], ox, oy, oz, dx, dy, dz)
                    if person_z * 1.03 < t < best:
                        best, what = t, 10 + 4 * b + axis
            ground[row, column, 1] = 1.0
            if best > SKY_DISTANCE_M:
                skyline(scene, dx, dy, dz, sky, colour)
                for k in range(3):
                    image[row, column, k] = colour[k]
                continue
            x, y, z = ox + best * dx, oy + best * dy, oz + best * dz
            blur = best / (height * focal)
            sunlit = 1.0
            if what == 1:
                near = z < kerb
                kind = int(scene[1]) if near else int(scene[2])
                spread = blur * min(1.0 / max(-dy, 0.05), 12.0)
                tone = floor_tone(kind, x, z, int(scene[9]), spread)
                if abs(z - kerb) < 0.08:
                    tone *= 1.5 if z < kerb else 0.4
                if scene[4] > 0:
                    tone *= 0.6 + 0.4 * smoothstep(-0.1, 0.7, wall_z - z)
                if (x - stand[0]) * shade_x + (z - stand[1]) * shade_z > scene[22]:
                    sunlit = 0.12
                first = 10 if near else 13
                for k in range(3):
                    light = sunlit * sun[k] * sun_y + sky[k]
                    image[row, column, k] = scene[first + k] * tone * light
                ground[row, column, 0] = camera[0] + best * ax
                ground[row, column, 1] = 0.0
                ground[row, column, 2] = camera[2] + best * az
                continue
            facing, occlusion = 0.0, 1.0
            if what == 2:
                wall_colour(scene, x, y, blur, colour)
                facing = max(-sun_z, 0.0)
                occlusion = 0.6 + 0.4 * smoothstep(0.0, 0.5, y)
            elif what == 3:
                wall_colour(scene, z + 7.0, y, blur, colour)
                facing = max(-np.sign(side_x) * sun_x, 0.0)
                occlusion = 0.5 + 0.3 * smoothstep(0.0, 0.5, y)
            elif what == 4:
                g = np.floor(x / 0.6) + np.floor(z / 0.6)
                lamp = 1.8 if int(g) % 4 == 0 else 0.75
                colour[:] = 0.6 * lamp
            else:
                b, axis = (what - 10) // 4, (what - 10) % 4
                block_colour(blocks[b], x, y, axis, sky[1], colour)
                facing = abs(sun_z) if axis == 2 else (abs(sun_x) if axis == 0 else sun_y)
                occlusion = 0.65 + 0.35 * smoothstep(0.0, 0.4, y)
            for k in range(3):
                light = sun[k] * facing + 0.75 * sky[k]
                image[row, column, k] = colour[k] * light * occlusion
    return image, ground
