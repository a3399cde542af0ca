"""The cameras of the embedded world: (seed, camid) -> a place and how it is photographed.

A place is told in its own frame: x right, y up from the ground, z away from the camera, metres,
the person at the origin. Colours are linear RGB.
"""

from dataclasses import dataclass

import numpy as np

FLOORS = ("asphalt", "slabs", "bricks", "grass", "tiles", "concrete", "zebra", "carpet")
WALLS = ("open", "brick", "plaster", "shops", "panels", "hedge", "shutters", "fence")
NUM_BLOCKS = 6
BLOCK_FIELDS = 12  # x0 x1 y0 y1 z0 z1, kind, r g b, seed, spare
BLOCKS = ("plain", "car", "cabin", "pole", "leaves")


@dataclass(frozen=True, eq=False)
class Place:
    """One camera: its biased viewing angles, what stands behind, the light, and the optics."""

    elevation_deg: float
    focal: float
    scene: np.ndarray  # what scene.draw_background reads, see SCENE
    blocks: np.ndarray  # NUM_BLOCKS x BLOCK_FIELDS
    sun_direction: np.ndarray  # towards the sun, place frame
    sun: np.ndarray
    sky: np.ndarray
    bounce: np.ndarray
    exposure: float
    cast: np.ndarray  # white balance, a gain per channel
    contrast: float
    saturation: float
    haze: float
    blur_px: float  # in pixels of a 128-pixel-high image
    motion_px: float
    noise: float
    jpeg_quality: int


# The fields of Place.scene, by position.
SCENE = (
    "yaw",
    "floor",
    "far_floor",
    "kerb_z",
    "wall",
    "wall_z",
    "side_x",
    "ceiling_y",
    "scale",
    "seed",
    "floor_r",
    "floor_g",
    "floor_b",
    "far_r",
    "far_g",
    "far_b",
    "wall_r",
    "wall_g",
    "wall_b",
    "accent_r",
    "accent_g",
    "accent_b",
    "shade_edge",
    "shade_angle",
    "wet",
)


def place(seed: int, camid: int, indoor: bool | None = None) -> Place:
    """indoor None: as the seed has it."""
    rng = np.random.default_rng((seed, 0xCA3, camid))
    drawn = rng.random() < 0.25
    indoor = drawn if indoor is None else indoor
    floor = rng.choice(["tiles", "carpet", "concrete", "tiles"] if indoor else _OUTDOOR_FLOORS)
    wall = rng.choice(["panels", "plaster", "shops", "panels"] if indoor else list(WALLS))
    kerb = rng.random() < 0.5 and not indoor
    sunny = rng.random() < 0.45 and not indoor
    fields = {
        "yaw": rng.uniform(-0.5, 0.5) if rng.random() < 0.7 else rng.uniform(-1.2, 1.2),
        "floor": FLOORS.index(floor),
        "far_floor": FLOORS.index(rng.choice(["asphalt", "grass", "bricks", "asphalt"])),
        "kerb_z": rng.uniform(0.8, 3.5) if kerb else 1e6,
        "wall": WALLS.index(wall),
        "wall_z": rng.uniform(1.2, 4.5) if indoor else rng.choice([2.0, 4.0, 7.0, 12.0]),
        "side_x": rng.choice([-1, 1]) * rng.uniform(1.4, 3.5) if rng.random() < 0.35 else 0.0,
        "ceiling_y": rng.uniform(2.6, 3.2) if indoor else 1e6,
        "scale": rng.uniform(0.7, 1.5),
        "seed": rng.integers(1, 10000),
        "shade_edge": rng.uniform(-1.5, 2.5) if sunny and rng.random() < 0.5 else 1e6,
        "shade_angle": rng.uniform(0, 2 * np.pi),
        "wet": rng.uniform(0.1, 0.5) if indoor else rng.choice([0.0, 0.0, 0.25]),
    }
    for name, colour in (
        ("floor", _floor_colour(rng, floor)),
        ("far", _floor_colour(rng, FLOORS[fields["far_floor"]])),
        ("wall", _wall_colour(rng, wall)),
        ("accent", _vivid(rng)),
    ):
        for channel, value in zip("rgb", colour, strict=True):
            fields[f"{name}_{channel}"] = value
    return Place(
        elevation_deg=float(rng.uniform(0, 12)),
        focal=float(np.exp(rng.uniform(np.log(1.8), np.log(6.0)))),
        scene=np.array([float(fields[name]) for name in SCENE]),
        blocks=_blocks(rng, indoor, fields["kerb_z"], fields["wall_z"]),
        **_light(rng, indoor, sunny),
        contrast=float(rng.uniform(0.85, 1.25)),
        saturation=float(rng.uniform(0.75, 1.2)),
        haze=float(rng.uniform(0.0, 0.08)),
        blur_px=float(rng.choice([0.25, 0.4, 0.5, 0.7])),
        motion_px=float(rng.choice([0.0, 0.0, 0.6, 1.0])),
        noise=float(rng.uniform(0.004, 0.02)),
        jpeg_quality=int(rng.integers(62, 93)),
    )


_OUTDOOR_FLOORS = [*FLOORS[:4], "asphalt", "slabs", "concrete", "zebra", "bricks"]


def _light(rng: np.random.Generator, indoor: bool, sunny: bool) -> dict:
    azimuth = rng.uniform(0, 2 * np.pi)
    altitude = np.deg2rad(rng.uniform(55, 85) if indoor else rng.uniform(25, 65))
    direction = np.array(
        [
            np.cos(altitude) * np.sin(azimuth),
            np.sin(altitude),
            # Rather from the camera's side: faces against the light are rare and unreadable.
            np.cos(altitude) * -np.abs(np.cos(azimuth)) * rng.choice([1, 1, -0.4]),
        ]
    )
    warm = rng.uniform(-0.08, 0.12)
    strength = rng.uniform(0.9, 1.5) if sunny else rng.uniform(0.15, 0.45)
    sky = rng.uniform(0.45, 0.65) if sunny else rng.uniform(0.75, 0.95)
    tint = rng.uniform(0.0, 0.08) if not indoor else rng.uniform(-0.08, 0.02)
    cast = rng.normal(0, 0.045, 3) + rng.normal(0, 0.03) * np.array([1.0, 0.0, -1.0])
    return {
        "sun_direction": direction / np.linalg.norm(direction),
        "sun": strength * np.array([1 + warm, 1.0, 1 - warm]),
        "sky": sky * np.array([1 - tint, 1.0, 1 + tint]),
        "bounce": rng.uniform(0.2, 0.4) * np.array([1.0, 0.97, 0.92]),
        "exposure": float(np.exp(rng.normal(-0.02, 0.16))),
        "cast": np.exp(cast),
    }


def _floor_colour(rng: np.random.Generator, floor: str) -> np.ndarray:
    base = {
        "asphalt": (0.10, 0.10, 0.11),
        "slabs": (0.36, 0.34, 0.31),
        "bricks": (0.34, 0.20, 0.15),
        "grass": (0.11, 0.20, 0.05),
        "tiles": (0.50, 0.48, 0.44),
        "concrete": (0.34, 0.33, 0.31),
        "zebra": (0.12, 0.12, 0.13),
        "carpet": (0.16, 0.17, 0.24),
    }[floor]
    return np.array(base) * np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.07, 3))


def _wall_colour(rng: np.random.Generator, wall: str) -> np.ndarray:
    base = {
        "open": (0.16, 0.20, 0.12),
        "brick": (0.33, 0.15, 0.10),
        "plaster": (0.55, 0.50, 0.42),
        "shops": (0.30, 0.30, 0.32),
        "panels": (0.58, 0.57, 0.53),
        "hedge": (0.07, 0.14, 0.04),
        "shutters": (0.35, 0.37, 0.40),
        "fence": (0.15, 0.17, 0.15),
    }[wall]
    return np.array(base) * np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.12, 3))


def _vivid(rng: np.random.Generator) -> np.ndarray:
    colour = rng.uniform(0.03, 0.12, 3)
    colour[rng.integers(3)] = rng.uniform(0.35, 0.6)
    colour[rng.integers(3)] += rng.uniform(0.0, 0.3)
    return colour


def _blocks(rng: np.random.Generator, indoor: bool, kerb_z: float, wall_z: float) -> np.ndarray:
    """Things that stand behind the person: parked cars, bins, poles, bushes."""
    blocks = np.zeros((NUM_BLOCKS, BLOCK_FIELDS))
    count = 0

    def put(x, y0, z, width, height, depth, kind, colour):
        nonlocal count
        if count < NUM_BLOCKS:
            box = (x - width / 2, x + width / 2, y0, y0 + height, z, z + depth)
            blocks[count] = *box, BLOCKS.index(kind), *colour, rng.integers(1, 9999), 0
            count += 1

    back = min(wall_z, 9.0)
    for _ in range(rng.integers(0, 2 if indoor else 4)):
        x, z = rng.uniform(-3, 3), rng.uniform(0.5 * back, 0.9 * back)
        thing = rng.choice(["bin", "pole", "planter", "bench"] if indoor else _THINGS)
        grey = np.full(3, rng.uniform(0.04, 0.35))
        if thing == "car" and back > 3:
            colour = _vivid(rng) if rng.random() < 0.4 else np.full(3, rng.choice([0.02, 0.2, 0.6]))
            x, z = rng.uniform(-2.5, 2.5), max(min(kerb_z + 0.3, back - 2.0), 1.5)
            put(x, 0.18, z, 4.2, 0.68, 1.7, "car", colour)
            put(x + 0.2, 0.86, z + 0.15, 2.3, 0.55, 1.4, "cabin", colour)
        elif thing == "bin":
            put(x, 0.0, z, 0.55, 0.95, 0.5, "plain", _vivid(rng) if rng.random() < 0.5 else grey)
        elif thing == "pole":
            put(x, 0.0, z, 0.12, rng.choice([1.0, 4.0]), 0.12, "pole", grey)
        elif thing == "planter":
            put(x, 0.0, z, 1.1, 0.45, 0.5, "plain", grey)
            put(x, 0.45, z, 1.0, rng.uniform(0.4, 0.9), 0.45, "leaves", (0.06, 0.15, 0.04))
        elif thing == "bench":
            put(x, 0.42, z, 1.6, 0.08, 0.45, "plain", (0.22, 0.12, 0.06))
            put(x, 0.0, z + 0.3, 1.5, 0.85, 0.06, "pole", grey)
    return blocks


_THINGS = ("car", "car", "bin", "pole", "planter", "bench")
