"""What places are made of: floors, walls, skies and things -> reflectance at a point, linear RGB.

`scene` is Place.scene, whose numbers cameras.SCENE names; `blur` is a pixel's footprint at the
point, metres, by which fine patterns fade instead of flickering.
"""

import numpy as np
from numba import njit

from posedive.datasets.embedded.noise import fbm2, hash01, noise2, smoothstep


@njit(cache=True)
def floor_tone(kind, x, z, seed, blur):
    """Reflectance multiplier of a floor at (x, z); `blur` is a pixel's footprint there, metres."""
    soft = 1.0 / (1.0 + 6.0 * blur)
    patches = 0.8 + 0.4 * fbm2(0.7 * x, 0.7 * z, seed)
    grain = 1.0 + soft * 0.25 * (noise2(28.0 * x, 28.0 * z, seed + 5) - 0.5)
    if kind == 1 or kind == 4:  # slabs, tiles
        size = 0.5 if kind == 1 else 0.6
        gx, gz = x / size, z / size
        ex, ez = abs(gx - np.floor(gx) - 0.5) * 2, abs(gz - np.floor(gz) - 0.5) * 2
        edge = 0.03 + 1.2 * blur
        joint = smoothstep(1.0 - 2 * edge, 1.0 - 0.2 * edge, max(ex, ez)) / (1.0 + 8.0 * blur)
        own = 0.88 + 0.24 * hash01(int(np.floor(gx)), int(np.floor(gz)), 1, seed)
        return patches * own * (1.0 - 0.45 * joint) * grain
    if kind == 2:  # bricks
        row = int(np.floor(z / 0.1))
        gx = x / 0.2 + 0.5 * (row & 1)
        ex = abs(gx - np.floor(gx) - 0.5) * 2
        ez = abs(z / 0.1 - row - 0.5) * 2
        joint = smoothstep(0.75, 1.0, max(ex, ez)) / (1.0 + 20.0 * blur)
        own = 1.0 + (hash01(int(np.floor(gx)), row, 2, seed) - 0.5) * 0.5 / (1.0 + 12.0 * blur)
        return patches * own * (1.0 - 0.4 * joint)
    if kind == 3:  # grass
        blades = noise2(35.0 * x, 14.0 * z, seed + 9) * noise2(11.0 * x, 9.0 * z, seed + 8)
        return patches * (0.75 + 0.9 * blades * soft + 0.25 * (1 - soft))
    if kind == 5:  # concrete with stains and a crack
        stain = smoothstep(0.55, 0.8, fbm2(1.3 * x, 1.3 * z, seed + 3))
        crack = smoothstep(0.03, 0.0, abs(fbm2(0.9 * x, 0.9 * z, seed + 4) - 0.5))
        return patches * (1.0 - 0.25 * stain - 0.35 * crack * soft) * grain
    if kind == 6:  # zebra crossing on asphalt
        phase = x / 0.9 + hash01(1, 1, 1, seed)
        stripe = smoothstep(
            0.5 - 0.03 - blur, 0.5 + 0.03 + blur, abs(phase - np.floor(phase) - 0.5) * 2
        )
        worn = 0.7 + 0.3 * fbm2(3.0 * x, 3.0 * z, seed + 6)
        return grain * (patches + 4.2 * stripe * worn)
    if kind == 7:  # carpet
        return 0.9 + 0.2 * noise2(9.0 * x, 9.0 * z, seed)
    return patches * grain


@njit(cache=True)
def wall_colour(scene, u, y, blur, out):
    """Reflectance of the back wall at `u` metres along and `y` up, into out[0:3]."""
    kind, seed, scale = int(scene[4]), int(scene[9]), scene[8]
    tone, accent = 0.9 + 0.2 * fbm2(0.8 * u, 0.8 * y, seed + 20), 0.0
    if kind == 1:  # brick
        row = int(np.floor(y / 0.075))
        g = u / 0.22 + 0.5 * (row & 1)
        e = max(abs(g - np.floor(g) - 0.5) * 2.0, abs(y / 0.075 - row - 0.5) * 2.0)
        soft = 1.0 / (1.0 + 25.0 * blur)
        tone *= 1.0 + soft * (0.5 * (hash01(int(np.floor(g)), row, 3, seed) - 0.5))
        tone *= 1.0 + 0.7 * soft * smoothstep(0.72, 1.0, e)
    elif kind == 2:  # plaster, a painted base and a window here and there
        tone *= 1.0 - 0.35 * smoothstep(0.6, 0.0, y) * fbm2(2.0 * u, 1.0, seed + 2)
        cell = int(np.floor(u / (2.6 * scale)))
        w = u / (2.6 * scale) - cell
        if hash01(cell, 0, 5, seed) < 0.5 and 0.3 < w < 0.7 and 0.9 < y < 2.2:
            tone = 0.12 + 0.2 * noise2(2 * u, 2 * y, seed)
            if abs(w - 0.5) < 0.02 or abs(w - 0.3) < 0.02 or abs(w - 0.7) < 0.02:
                tone = 1.3
        elif y < 0.25 + 0.5 * hash01(0, 0, 6, seed):
            tone *= 0.55
    elif kind == 3:  # shop fronts
        cell = int(np.floor(u / (2.2 * scale)))
        w = u / (2.2 * scale) - cell
        shop = hash01(cell, 0, 7, seed)
        if y > 2.35:
            tone, accent = (0.5, 0.9) if shop < 0.6 else (1.4, 0.1)
        elif y < 0.35 or abs(w - 0.5) > 0.46:
            tone *= 0.7 + 0.5 * shop
        else:
            # Dark glass: a lit ceiling far inside, goods on shelves, the street mirrored faintly.
            tone = 0.10 + 0.12 * shop + 0.25 * smoothstep(1.7, 2.3, y)
            shelf, item = int(np.floor(y / 0.42)), int(np.floor(u / 0.23))
            goods = hash01(item, shelf, 11, seed)
            inside = abs(y / 0.42 - shelf - 0.4) < 0.4 * goods and abs(u / 0.23 - item - 0.5) < 0.36
            if shop < 0.7 and inside and y < 1.75:
                tone = 0.12 + 0.4 * hash01(item, shelf, 12, seed)
                accent = 0.3 if goods > 0.7 else 0.0
            tone += 0.12 * smoothstep(0.5, 0.56, noise2(0.6 * u + 0.4 * y, 0.5 * y, seed + 8))
            if 0.12 < w < 0.38 and 0.9 < y < 1.75 and shop > 0.45:
                tone, accent = 0.3 + 0.9 * noise2(6 * u, 6 * y, seed + 4), 0.75
            if abs(w - 0.55) < 0.015:
                tone = 1.2
    elif kind == 4:  # corridor panels and doors
        cell = int(np.floor(u / (1.2 * scale)))
        w = u / (1.2 * scale) - cell
        door = hash01(cell, 0, 8, seed) < 0.35 and y < 2.1
        if door:
            tone, accent = 0.45, 0.25
            if abs(w - 0.5) > 0.45:
                tone = 1.15
            if abs(w - 0.82) < 0.02 and abs(y - 1.0) < 0.06:
                tone = 1.6
        elif abs(w - 0.5) > 0.49:
            tone *= 0.75
        if y < 0.12:
            tone *= 0.4
        elif abs(y - 1.0) < 0.05 and not door:
            tone, accent = 0.7, 0.3
    elif kind == 5:  # hedge
        leaf = fbm2(9.0 * u, 9.0 * y, seed) * 0.7 + 0.6 * noise2(22.0 * u, 22.0 * y, seed + 1)
        tone = 0.35 + 1.5 * leaf * leaf + 0.3 * smoothstep(0.5, 2.0, y)
    elif kind == 6:  # shutters
        g = y / 0.12
        tone *= 0.75 + 0.5 * (g - np.floor(g)) / (1.0 + 10.0 * blur)
        cell = u / (3.0 * scale)
        if abs(cell - np.floor(cell) - 0.5) > 0.46:
            tone *= 1.4
        if hash01(int(np.floor(cell)), 0, 9, seed) < 0.5:
            accent = 0.7 * smoothstep(0.52, 0.56, fbm2(1.7 * u, 1.7 * y, seed + 7))
    elif kind == 7:  # railings before a dark green
        g = u / 0.16
        bar = smoothstep(0.72 - blur, 0.8, abs(g - np.floor(g) - 0.5) * 2) * (
            1.0 if y < 1.7 else 0.0
        )
        rail = 1.0 if abs(y - 0.25) < 0.04 or abs(y - 1.55) < 0.04 else 0.0
        leaf = fbm2(3.0 * u, 3.0 * y, seed)
        metal = max(bar, rail)
        for k in range(3):
            green = (0.06, 0.12, 0.04)[k] * (0.4 + 1.6 * leaf)
            out[k] = metal * scene[16 + k] + (1.0 - metal) * green
        return
    for k in range(3):
        out[k] = tone * ((1.0 - accent) * scene[16 + k] + accent * scene[19 + k])


@njit(cache=True)
def skyline(scene, dx, dy, dz, sky, out):
    """What is seen where nothing is near: sky over a band of far trees or houses."""
    seed = int(scene[9])
    angle = 6.0 * np.arctan2(dx, dz)
    houses = hash01(int(np.floor(3.0 * angle)), 0, 3, seed)
    trees = fbm2(3.0 * angle, 0.5, seed)
    top = 0.03 + 0.16 * trees if hash01(0, 0, 4, seed) < 0.6 else 0.05 + 0.2 * houses
    if dy < top:
        texture = 0.5 + fbm2(9.0 * angle, 40.0 * dy, seed + 1)
        for k in range(3):
            out[k] = scene[16 + k] * texture * sky[k]
    else:
        cloud = 0.85 + 0.3 * fbm2(angle, 8.0 * dy, seed + 2)
        blue = (0.75, 0.9, 1.1)
        for k in range(3):
            out[k] = min(1.15 * sky[k] * cloud * blue[k], 1.0)


@njit(cache=True)
def block_colour(block, x, y, axis, sky_up, out):
    kind, seed = int(block[6]), int(block[10])
    tone = 0.85 + 0.2 * noise2(3 * x, 3 * y, seed)
    if kind == 1:  # a car's body: sills dark, a bright shoulder line, wheels
        h = (y - block[2]) / (block[3] - block[2])
        tone *= 0.55 + 0.7 * smoothstep(0.0, 1.0, h)
        for wheel in range(2):
            centre = block[0] + (0.8 if wheel == 0 else 3.4)
            if (x - centre) ** 2 + (y - 0.32) ** 2 < 0.105:
                tone = 0.06 if (x - centre) ** 2 + (y - 0.32) ** 2 > 0.04 else 0.5
    elif kind == 2:
        w = (x - block[0]) / (block[1] - block[0])
        if axis != 1 and 0.05 < w < 0.95 and abs(w - 0.5) > 0.025 and y < block[3] - 0.06:
            out[0], out[1], out[2] = 0.05 * sky_up, 0.06 * sky_up, 0.07 * sky_up
            return
    elif kind == 4:
        leaf = fbm2(12 * x, 12 * y, seed)
        tone = 0.3 + 2.2 * leaf * leaf
    if axis == 1:
        tone *= 1.3
    for k in range(3):
        out[k] = tone * block[7 + k]
