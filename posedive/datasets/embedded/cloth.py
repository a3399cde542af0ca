"""Patterns of cloth: a point of the rest pose -> which dye is there. Stripes, checks, prints, trim.

Patterns lie on the undeformed mean body (metres), so that they stay put on whoever wears them.
"""

import numpy as np
from numba import njit

from posedive.datasets.embedded.materials import (
    AXIS_Z,
    BACK_PRINT,
    BAND,
    BLOCK,
    BLOCK_Y,
    BOX,
    CAMOUFLAGE,
    CHECKS,
    CHEST_Y,
    DENIM,
    DISC,
    DOTS,
    FRONT_PRINT,
    HEM_Y,
    HIP_X,
    HIP_Y,
    KIND,
    LOWER,
    MAIN,
    NECK_Y,
    NO_PRINT,
    PATTERN,
    PERIOD,
    PINSTRIPES,
    PRINT_SIZE,
    SECOND,
    SEED,
    SHOULDER_X,
    SKIRT,
    SLEEVE_X,
    SLEEVES,
    STAR,
    STRAP,
    STRAPS,
    STRIPE,
    STRIPES,
    TEXT,
    TRIANGLE,
    TRIM,
    TRIM_BUTTONS,
    TRIM_HEM,
    TRIM_POCKETS,
    UPPER,
    WAIST_Y,
)
from posedive.datasets.embedded.noise import hash01, noise2, noise3, smoothstep


@njit(cache=True)
def _inside_print(shape, u, v, size, seed):
    """Whether (u, v), metres from a print's centre, is inked: 0 no, 1 second, 2 third colour."""
    if abs(u) > 2.4 * size or abs(v) > 1.4 * size:
        return 0
    if shape == DISC:
        r = np.sqrt(u * u + v * v)
        return 0 if r > size else (2 if r > 0.72 * size or hash01(seed, 1, 1, 1) < 0.4 else 1)
    if shape == BOX:
        if abs(u) > size or abs(v) > 0.8 * size:
            return 0
        return 2 if noise2(u / size * 3 + seed, v / size * 3, seed) > 0.55 else 1
    if shape == TEXT:
        line = v / (0.42 * size)
        row = int(np.floor(line))
        if row < -2 or row > 1 or abs(line - row - 0.5) > 0.3 or abs(u) > 1.1 * size:
            return 0
        return 1 if hash01(int(np.floor(u / (0.16 * size))), row, 2, seed) < 0.72 else 0
    if shape == STRIPE:
        return 1 if abs(v) < 0.28 * size and abs(u) < 2.2 * size else 0
    if shape == TRIANGLE:
        return 1 if -0.8 * size < v < size - 1.7 * abs(u) else 0
    if shape == STAR:
        r, a = np.sqrt(u * u + v * v), np.arctan2(u, v)
        point = abs((a * 5 / (2 * np.pi)) % 1.0 - 0.5) * 2
        return 1 if r < size * (0.42 + 0.58 * point * point) else 0
    return 0


@njit(cache=True)
def _cloth_ink(m, x, y, z, marks):
    """Which of a cloth's three colours, and a factor on it."""
    kind, pattern, period, seed = int(m[KIND]), int(m[PATTERN]), m[PERIOD], int(m[SEED])
    ax = abs(x)
    on_arm = kind == UPPER and ax > marks[SHOULDER_X] + 0.01
    along = ax - marks[SHOULDER_X] if on_arm else y
    if kind == SKIRT:
        across = np.arctan2(x, z - marks[AXIS_Z]) * 0.16
    elif on_arm:
        across = y + z
    else:
        across = x if abs(x) < 0.12 or kind != UPPER else x + 0.5 * z
    front = z > marks[AXIS_Z]
    if kind == UPPER and ax < 0.16 and not on_arm:
        shape = int(m[FRONT_PRINT]) if front else int(m[BACK_PRINT])
        if shape != NO_PRINT:
            small = front and hash01(seed, 3, 1, 1) < 0.35
            size = 0.32 * m[PRINT_SIZE] if small else m[PRINT_SIZE]
            cx = 0.075 if small else 0.0
            ink = _inside_print(
                shape, x - cx, y - (marks[CHEST_Y] + (0.03 if front else 0.01)), size, seed
            )
            if ink > 0:
                return ink, 1.0
    if (
        kind == UPPER
        and int(m[STRAPS]) & 1
        and (
            0.07 < ax < 0.105 and y > marks[CHEST_Y] - 0.14 and (front or y > marks[NECK_Y] - 0.05)
        )
    ):
        return 3, 1.0
    if kind == UPPER and int(m[STRAPS]) & 2 and not on_arm:
        # From the right shoulder to the left hip, before and behind.
        line = (x - marks[HIP_X] * 1.6) * (marks[NECK_Y] - marks[HIP_Y]) + (y - marks[HIP_Y]) * (
            marks[HIP_X] * 1.6 + 0.07
        )
        if abs(line) < 0.013:
            return 3, 1.0
    if int(m[TRIM]) & TRIM_HEM and pattern != DENIM:
        if (on_arm and m[SLEEVE_X] - ax < 0.035) or (not on_arm and y - m[HEM_Y] < 0.04):
            return 2, 1.0
    if kind == UPPER and int(m[TRIM]) & TRIM_BUTTONS and front and y > m[HEM_Y]:
        if ax < 0.0035:
            return 0, 0.35
        if (
            hash01(seed, 7, 0, 0) < 0.5
            and abs(x - 0.008) < 0.007
            and abs((y / 0.09) % 1.0 - 0.5) < 0.08
        ):
            return 2, 1.0
    if int(m[TRIM]) & TRIM_POCKETS:
        if kind == LOWER and front and 0.06 < ax < 0.15:
            if abs(y - (marks[HIP_Y] + 0.02 + 0.5 * (ax - 0.1))) < 0.004:
                return 0, 0.5
        if (
            kind == LOWER
            and not front
            and abs(ax - 0.085) < 0.055
            and abs(y - marks[HIP_Y] + 0.02) < 0.06
        ):
            edge = max(abs(ax - 0.085) / 0.055, abs(y - marks[HIP_Y] + 0.02) / 0.06)
            return 0, 0.62 if edge > 0.9 else 0.93
        if kind == UPPER and front and abs(ax - 0.085) < 0.05:
            if abs(y - (marks[WAIST_Y] - 0.02)) < 0.004:
                return 0, 0.45
    if pattern == STRIPES:
        return (1, 1.0) if (along / period) % 1.0 < 0.5 else (0, 1.0)
    if pattern == PINSTRIPES:
        return (1, 1.0) if (across / (0.6 * period)) % 1.0 < 0.18 else (0, 1.0)
    if pattern == CHECKS:
        a = (along / period) % 1.0 < 0.5
        b = (across / period) % 1.0 < 0.5
        if abs((along / period) % 1.0 - 0.25) < 0.05 or abs((across / period) % 1.0 - 0.25) < 0.05:
            return 2, 1.0
        if a and b:
            return 1, 0.8
        return (4, 1.0) if a or b else (0, 1.0)
    if pattern == BLOCK:
        if kind == UPPER:
            if y > m[BLOCK_Y]:
                return 1, 1.0
            return (2, 1.0) if y > m[BLOCK_Y] - 0.035 and period > 0.08 else (0, 1.0)
        return (1, 1.0) if y > m[BLOCK_Y] else (0, 1.0)
    if pattern == SLEEVES:
        return (
            (1, 1.0)
            if ax > marks[SHOULDER_X] - 0.045 - 0.4 * max(marks[NECK_Y] - 0.1 - y, 0.0)
            else (0, 1.0)
        )
    if pattern == CAMOUFLAGE:
        f = 6.0 * 0.1 / period
        a, b = (
            noise3(x * f * 2, y * f, z * f * 2, seed),
            noise3(x * f * 2, y * f, z * f * 2, seed + 77),
        )
        return (2, 1.0) if a > 0.6 else ((1, 1.0) if b > 0.55 else (0, 1.0))
    if pattern == DOTS:
        u, v = across / (0.6 * period), along / (0.6 * period)
        u += 0.5 * (int(np.floor(v)) & 1)
        du, dv = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
        return (1, 1.0) if du * du + dv * dv < 0.075 else (0, 1.0)
    if pattern == DENIM:  # denim, faded on the thighs, seams at the sides
        fade = smoothstep(0.09, 0.0, abs(ax - marks[HIP_X] - 0.02)) * smoothstep(-0.75, -0.2, y)
        tone = 0.75 + 0.5 * fade + 0.25 * (noise3(x * 60, y * 25, z * 60, seed) - 0.5)
        return 0, tone * (0.7 if abs(z - marks[AXIS_Z]) < 0.006 else 1.0)
    if pattern == BAND:
        if kind == LOWER:
            return (
                (1, 1.0)
                if abs(z - marks[AXIS_Z] - 0.01) < 0.022 and ax > marks[HIP_X] + 0.03
                else (0, 1.0)
            )
        if kind == SKIRT:
            return (1, 1.0) if 0.03 < y - m[HEM_Y] < 0.03 + 1.2 * period else (0, 1.0)
        level = y - marks[CHEST_Y] + 0.02
        if on_arm:
            return (1, 1.0) if abs(along - 0.16) < 0.5 * period else (0, 1.0)
        return (1, 1.0) if abs(level) < 0.6 * period else (0, 1.0)
    return 0, 1.0


@njit(cache=True)
def cloth(m, x, y, z, marks, out):
    ink, tone = _cloth_ink(m, x, y, z, marks)
    ax = abs(x)
    on_arm = int(m[KIND]) == UPPER and ax > marks[SHOULDER_X] + 0.01
    edge = m[SLEEVE_X] - ax if on_arm else y - m[HEM_Y]
    if 0.0 < edge < 0.006:
        tone *= 0.7
    tone *= 0.96 + 0.08 * noise3(90 * x, 90 * y, 90 * z, int(m[SEED]))
    for k in range(3):
        if ink == 3:
            value = m[STRAP + k]
        elif ink == 4:
            value = 0.5 * (m[MAIN + k] + m[SECOND + k])
        else:
            value = m[MAIN + 3 * ink + k]
        out[k] = value * tone
