"""Skin: a point of the rest pose -> its colour, with a face, cropped hair, beard, glasses, socks.

Painted in units of half the distance of the eyes, so that all of it scales with the head.
"""

import numpy as np
from numba import njit

from posedive.datasets.embedded.materials import (
    BEARD,
    BROWS,
    CHIN_Y,
    CROPPED,
    EAR_X,
    EAR_Y,
    EAR_Z,
    EYE_X,
    EYE_Y,
    GLASSES,
    HAIR_COLOUR,
    IRIS,
    KNEE_Y,
    LIPS,
    MAIN,
    NOSE_Y,
    NOSE_Z,
    SEED,
    SOCKS,
    SOCKS_Y,
)
from posedive.datasets.embedded.noise import noise3, smoothstep


@njit(cache=True)
def skin(m, x, y, z, marks, out):
    seed = int(m[SEED])
    blotch = 0.94 + 0.12 * noise3(25 * x, 25 * y, 25 * z, seed)
    r, g, b = m[MAIN] * blotch, m[MAIN + 1] * blotch, m[MAIN + 2] * blotch
    if y < m[SOCKS_Y] and y < marks[KNEE_Y]:
        r, g, b = m[SOCKS], m[SOCKS + 1], m[SOCKS + 2]
    if y > marks[CHIN_Y] - 0.09:
        ax = abs(x)
        unit = marks[EYE_X]  # half the distance of the eyes
        front = z > marks[EAR_Z] + 0.35 * (marks[NOSE_Z] - marks[EAR_Z])
        hair = 0.0
        if m[CROPPED] > 0.0:  # hair cut so short that it is a colour
            line = marks[EYE_Y] + 1.75 * unit
            beside = smoothstep(marks[EAR_Z] + 0.062, marks[EAR_Z] + 0.03, z)
            low = marks[EAR_Y] - 0.01 if z > marks[EAR_Z] - 0.02 else marks[EAR_Y] - 0.045
            cut = min(line, 100.0) * (1 - beside) + low * beside
            behind_ear = ax > marks[EAR_X] - 0.012 and y < marks[EAR_Y] + 0.03
            hair = 0.0 if behind_ear else m[CROPPED] * smoothstep(-0.004, 0.01, y - cut)
        if front:
            u, v = (ax - unit) / unit, (y - marks[EYE_Y]) / unit
            flush = smoothstep(1.0, 0.0, np.sqrt(u * u + (v + 1.0) ** 2))
            r, g, b = r * (1 + 0.10 * flush), g * (1 - 0.06 * flush), b * (1 - 0.06 * flush)
            socket = smoothstep(1.0, 0.3, np.sqrt(u * u + (1.3 * v) ** 2))
            r, g, b = r * (1 - 0.28 * socket), g * (1 - 0.32 * socket), b * (1 - 0.3 * socket)
            # Eyes: the white, the iris, a dark lash line above.
            lid = 0.24 * (1.0 - (u / 0.5) ** 2)
            if abs(u) < 0.5:
                if abs(v) < lid:
                    r, g, b = 0.25 + 0.35 * m[MAIN], 0.24 + 0.35 * m[MAIN], 0.23 + 0.35 * m[MAIN]
                    if u * u + v * v < 0.042:
                        r, g, b = m[IRIS], m[IRIS + 1], m[IRIS + 2]
                    if u * u + v * v < 0.009:
                        r, g, b = 0.005, 0.005, 0.005
                if lid - 0.02 < v < lid + 0.09:
                    r, g, b = 0.25 * r, 0.22 * g, 0.22 * b
            brow = 0.68 + 0.12 * (1 - (u - 0.1) ** 2)
            if abs(u - 0.05) < 0.68 and abs(v - brow) < 0.11 - 0.05 * abs(u):
                mix = 0.85 * m[BROWS]
                r, g, b = (
                    r + mix * (m[HAIR_COLOUR] - r),
                    g + mix * (m[HAIR_COLOUR + 1] - g),
                    b + mix * (m[HAIR_COLOUR + 2] - b),
                )
            # Nostrils, mouth, shadow below the lip.
            w = (y - marks[NOSE_Y]) / unit
            if abs(ax / unit - 0.2) < 0.1 and abs(w + 0.26) < 0.07:
                r, g, b = 0.45 * r, 0.4 * g, 0.4 * b
            mouth = w + 1.02
            half = 0.76
            if ax < half * unit:
                curve = 1 - (ax / (half * unit)) ** 2
                if -0.26 * curve < mouth < 0.16 * curve:
                    r, g, b = m[LIPS], m[LIPS + 1], m[LIPS + 2]
                if abs(mouth) < 0.045:
                    r, g, b = 0.3 * r, 0.25 * g, 0.25 * b
            if m[BEARD] > 0.0:
                chin = smoothstep(-1.24, -1.4, w)
                moustache = smoothstep(0.14, 0.06, abs(w + 0.62)) * smoothstep(0.85, 0.7, ax / unit)
                cheek = smoothstep(0.75, 0.95, ax / unit) * smoothstep(-0.25, -0.6, w)
                stubble = m[BEARD] * max(chin, moustache, cheek) * smoothstep(-3.1, -2.7, w)
                r, g, b = (
                    r + stubble * (m[HAIR_COLOUR] - r),
                    g + stubble * (m[HAIR_COLOUR + 1] - g),
                    b + stubble * (m[HAIR_COLOUR + 2] - b),
                )
            if m[GLASSES] > 0.0:
                rim = np.sqrt((u * 0.9) ** 2 + (v * 1.1) ** 2)
                if abs(rim - 0.72) < 0.09 or (ax < 0.35 * unit and abs(v - 0.12) < 0.08):
                    r, g, b = 0.012, 0.012, 0.014
                elif rim < 0.72 and m[GLASSES] > 1.5:
                    r, g, b = 0.02, 0.02, 0.024
        elif m[GLASSES] > 0.0 and abs(y - marks[EYE_Y] - 0.005) < 0.004 and z > marks[EAR_Z]:
            r, g, b = 0.012, 0.012, 0.014
        if hair > 0.0:
            strand = 0.7 + 0.6 * noise3(120 * x, 40 * y, 120 * z, seed)
            r += hair * (m[HAIR_COLOUR] * strand - r)
            g += hair * (m[HAIR_COLOUR + 1] * strand - g)
            b += hair * (m[HAIR_COLOUR + 2] * strand - b)
    out[0], out[1], out[2] = r, g, b
