"""Colour and relief of a dressed person at a point of the rest pose: what each material looks like.

Everything is a function of where the point lies on the undeformed mean body (metres, SMPL's rest
frame, pelvis at the origin), evaluated per pixel, so that hems, stripes and eyes stay sharp at any
size. `m` is a material's row, `marks` the landmarks; see materials.
"""

import numpy as np
from numba import njit

from posedive.datasets.embedded.cloth import cloth
from posedive.datasets.embedded.face import skin
from posedive.datasets.embedded.materials import (
    ANKLE_Y,
    AXIS_Z,
    BAG,
    BLOCK,
    BLOCK_Y,
    CAP,
    CHEST_Y,
    CROTCH_Y,
    EAR_Z,
    ELBOW_X,
    FOLD,
    HAIR,
    HIP_X,
    HIP_Y,
    KIND,
    KNEE_Y,
    LACES_X,
    LOWER,
    MAIN,
    PATTERN,
    SEED,
    SHOE,
    SHOE_STYLE,
    SHOULDER_X,
    SKIN,
    SKIRT,
    SOLE_Y,
    UPPER,
    WAIST_Y,
)
from posedive.datasets.embedded.noise import fbm2, noise2, noise3, smoothstep


@njit(cache=True)
def albedo(m, x, y, z, marks, out):
    """Reflectance at a rest-pose point, into out[0:3]."""
    kind = int(m[KIND])
    if kind == SKIN:
        skin(m, x, y, z, marks, out)
    elif kind == HAIR:
        angle = np.arctan2(x, z - marks[EAR_Z])
        strand = (
            0.55
            + 0.5 * noise2(38 * angle, 7 * y, int(m[SEED]))
            + 0.4 * noise2(14 * angle, 3 * y, 5)
        )
        for k in range(3):
            out[k] = m[MAIN + k] * strand
    elif kind == SHOE:
        sole = y < marks[SOLE_Y] + 0.022
        toe = z > marks[AXIS_Z] + 0.1 and m[SHOE_STYLE] > 0.5
        lace = (
            abs(abs(x) - m[LACES_X]) < 0.02
            and 0.02 < z - marks[AXIS_Z] < 0.1
            and m[SHOE_STYLE] > 0.2
        )
        first = 5 if sole or (lace and (z / 0.018) % 1.0 < 0.4) else (8 if toe else 2)
        for k in range(3):
            out[k] = m[first + k]
    elif kind == BAG or kind == CAP:
        first = 2
        if int(m[PATTERN]) == BLOCK and y < m[BLOCK_Y]:
            first = 5
        if kind == BAG and abs(y - m[BLOCK_Y]) < 0.006:
            first = 8
        tone = 0.95 + 0.1 * fbm2(30 * x, 30 * y, int(m[SEED]))
        for k in range(3):
            out[k] = m[first + k] * tone
    else:
        cloth(m, x, y, z, marks, out)


@njit(cache=True)
def relief(m, x, y, z, marks):
    """Height of folds (metres) at a rest-pose point."""
    kind, amount, seed = int(m[KIND]), m[FOLD], int(m[SEED])
    if amount < 1e-4:
        return 0.0
    if kind == SKIRT:
        angle = np.arctan2(x, z - marks[AXIS_Z])
        drop = smoothstep(0.0, -0.35, y - marks[HIP_Y])
        return amount * (0.4 + drop) * noise2(angle * 4.0, 1.5 * y, seed)
    if kind == HAIR:
        angle = np.arctan2(x, z - marks[EAR_Z])
        return amount * noise2(16 * angle, 5 * y, seed)
    if kind == UPPER or kind == LOWER:
        ax = abs(x)
        on_arm = kind == UPPER and ax > marks[SHOULDER_X]
        side = 1.0 if x > 0 else -1.0
        warp = 1.6 * noise3(5 * x, 5 * y, 5 * z, seed + 3)
        if on_arm:  # rings that bunch at the elbow
            bend = 0.5 + smoothstep(0.14, 0.0, abs(ax - marks[ELBOW_X]))
            n = noise3(ax * 22 + warp + y * 5, y * 9, z * 9 + side * 5, seed)
        elif kind == LOWER:
            bend = (
                0.45
                + smoothstep(0.16, 0.0, abs(y - marks[KNEE_Y]))
                + 0.8 * smoothstep(0.14, 0.0, abs(y - marks[CROTCH_Y]))
                + 0.7 * smoothstep(0.12, 0.0, y - marks[ANKLE_Y])
            )
            n = noise3(x * 9 + side * 5, y * 16 + warp + 14 * abs(ax - marks[HIP_X]), z * 9, seed)
        else:
            bend = 0.55 + 0.5 * smoothstep(marks[CHEST_Y], marks[WAIST_Y], y)
            n = noise3(x * 11 + warp, y * 8 + 6 * ax + warp, z * 8, seed)
        ridge = 1.0 - abs(2.0 * n - 1.0)
        return amount * bend * (ridge * ridge + 0.5 * n)
    return amount * noise3(12 * x, 12 * y, 12 * z, seed)
