"""Procedural noise, compiled: a point and a seed -> a smooth number in 0..1, the same on each
machine. What cloth, plaster, asphalt and leaves are made of."""

from numba import njit


@njit(cache=True, inline="always")
def hash01(x: int, y: int, z: int, seed: int) -> float:
    """A number in 0..1 for a lattice point."""
    h = (x * 374761393 + y * 668265263 + z * 1103515245 + seed * 362437) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 461845907) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@njit(cache=True, inline="always")
def _floor(value):
    whole = int(value)
    return whole - 1 if value < whole else whole


@njit(cache=True)
def noise2(x, y, seed):
    ix, iy = _floor(x), _floor(y)
    u, v = x - ix, y - iy
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    a, b = hash01(ix, iy, 0, seed), hash01(ix + 1, iy, 0, seed)
    c, d = hash01(ix, iy + 1, 0, seed), hash01(ix + 1, iy + 1, 0, seed)
    top = a + (b - a) * u
    return top + (c + (d - c) * u - top) * v


@njit(cache=True)
def noise3(x, y, z, seed):
    ix, iy, iz = _floor(x), _floor(y), _floor(z)
    u, v, w = x - ix, y - iy, z - iz
    u, v, w = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v), w * w * (3.0 - 2.0 * w)
    total = 0.0
    for corner in range(8):
        i, j, k = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (u if i else 1.0 - u) * (v if j else 1.0 - v) * (w if k else 1.0 - w)
        total += weight * hash01(ix + i, iy + j, iz + k, seed)
    return total


@njit(cache=True)
def fbm2(x, y, seed):
    """Three octaves of noise2, still in 0..1."""
    low, middle = noise2(x, y, seed), noise2(2.1 * x, 2.1 * y, seed + 1)
    return 0.57 * low + 0.29 * middle + 0.14 * noise2(4.3 * x, 4.3 * y, seed + 2)


@njit(cache=True, inline="always")
def smoothstep(low, high, value):
    t = (value - low) / (high - low)
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)
