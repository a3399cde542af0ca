"""Who lives in the embedded world: (seed, pid) -> build, skin, hair, clothes, shoes and bags.

Lengths are fractions of a limb or of the torso, so that they fit every build; colours are linear
RGB. Garments only; how they become geometry is outfit's, how they are painted is paint's.
"""

from dataclasses import dataclass

import numpy as np

from posedive.datasets.embedded.dyes import (
    DENIM,
    HAIR,
    HAIR_WEIGHTS,
    PALETTE,
    SKIN,
    between,
    dye,
    dyes,
)
from posedive.datasets.embedded.materials import PRINTS
from posedive.datasets.embedded.wardrobe import load_wardrobe


@dataclass(frozen=True, eq=False)
class Cloth:
    """How a garment is painted. colours: (3, 3) main, second, third."""

    colours: np.ndarray
    pattern: str = "plain"
    period_m: float = 0.1
    front_print: str = "none"
    back_print: str = "none"
    print_size_m: float = 0.1
    fold_m: float = 0.006
    trim: int = 0  # bits: 1 hem and cuffs in the third colour, 2 buttons or zip, 4 pockets
    gloss: float = 0.0


@dataclass(frozen=True, eq=False)
class Upper:
    """sleeve: 0 none, 0.4 above the elbow, 1 the wrist. hem: 0 the waist, 1 mid-thigh, 2 calf.
    neckline: 0 crew, 1 V, 2 high. opening: 0 closed, else half its width in metres."""

    cloth: Cloth
    sleeve: float
    hem: float
    neckline: float
    ease: float
    boxy: float
    opening: float = 0.0


@dataclass(frozen=True, eq=False)
class Lower:
    """length: 0 the hip, 1 the ankle. kind: legs or skirt; flare is the skirt's or the leg's."""

    cloth: Cloth
    kind: str
    length: float
    ease: float
    flare: float


@dataclass(frozen=True, eq=False)
class Identity:
    betas: np.ndarray
    skin: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    beard: float
    glasses: bool
    hair: str  # bald, cropped, short, bob, long, ponytail, bun
    hair_colour: np.ndarray
    hair_volume: float
    upper: Upper
    jacket: Upper | None
    lower: Lower
    shoes: Cloth
    shoe_height: float
    socks: np.ndarray
    cap: Cloth | None
    hood: bool
    backpack: Cloth | None
    shoulder_bag: Cloth | None
    hand_bag: Cloth | None


def identity(seed: int, pid: int, wide: bool = False) -> Identity:
    """The person `pid` of one world; worlds of another seed or width hold other people."""
    rng = np.random.default_rng((seed, 0x1D, int(wide), pid))
    woman = rng.random() < 0.5
    mean = load_wardrobe().woman_betas * (1 if woman else -1)
    betas = (mean + np.sqrt(1 - mean**2) * rng.standard_normal(10)).clip(-2.6, 2.6)
    skin = between(rng, SKIN, np.array([4, 4, 3, 2, 2]), 0.1)
    if woman:
        hair = rng.choice(
            ["short", "bob", "long", "ponytail", "bun"], p=[0.1, 0.25, 0.3, 0.2, 0.15]
        )
    else:
        hair = rng.choice(["bald", "cropped", "short", "bob"], p=[0.14, 0.3, 0.5, 0.06])
    hair_colour = between(rng, HAIR, HAIR_WEIGHTS, 0.15)
    upper, jacket, lower, hood = _clothes(rng, woman)
    while _looks_bare(upper, skin) or _looks_bare(jacket, skin):
        upper, jacket, lower, hood = _clothes(rng, woman)
    tall_boots = rng.random() < (0.2 if woman else 0.05)
    shoe_colour = dye(rng, 1) if rng.random() < 0.85 else dye(rng, 0)
    sole = PALETTE["white"][0] if rng.random() < 0.45 else shoe_colour * 0.4
    shoes = Cloth(np.stack([shoe_colour, sole, dye(rng, 0)]), fold_m=0.001, gloss=0.12)
    bag = rng.random()
    cap = None
    if rng.random() < 0.14:
        cap = Cloth(dyes(rng, 0), pattern=str(rng.choice(["plain", "block"])), fold_m=0.001)
        hair = "cropped" if hair == "bald" else hair
    return Identity(
        betas=betas.astype(np.float32),
        skin=skin,
        lips=skin * np.array([0.82, 0.5, 0.5]) if woman else skin * np.array([0.8, 0.6, 0.58]),
        iris=between(rng, ((0.03, 0.02, 0.01), (0.05, 0.1, 0.16), (0.05, 0.08, 0.03)), None, 0.1),
        beard=0.0 if woman or rng.random() < 0.6 else float(rng.uniform(0.35, 0.95)),
        glasses=bool(rng.random() < 0.18),
        hair=str(hair),
        hair_colour=hair_colour,
        hair_volume=float(rng.uniform(0.6, 1.5)),
        upper=upper,
        jacket=jacket,
        lower=lower,
        shoes=shoes,
        shoe_height=float(rng.uniform(0.5, 0.9) if tall_boots else rng.uniform(0.0, 0.25)),
        socks=PALETTE[str(rng.choice(["white", "black", "grey"]))][0] * np.ones(3),
        cap=cap,
        hood=hood,
        backpack=_bag(rng) if bag < 0.24 else None,
        shoulder_bag=_bag(rng) if 0.24 <= bag < 0.42 else None,
        hand_bag=_bag(rng) if 0.42 <= bag < 0.52 else None,
    )


def _looks_bare(upper: Upper | None, skin: np.ndarray) -> bool:
    """A top of the wearer's own colour would read as no top at all."""
    if upper is None:
        return False
    return bool(np.abs(np.cbrt(upper.cloth.colours[0]) - np.cbrt(skin)).max() < 0.12)


def _upper_cloth(rng: np.random.Generator, plain: float) -> Cloth:
    colours = dyes(rng, 0)
    pattern = "plain"
    if rng.random() > plain:
        pattern = str(rng.choice(["stripes", "pinstripes", "checks", "block", "sleeves",
                                  "camouflage", "dots", "band"],
                                 p=[0.2, 0.06, 0.16, 0.18, 0.16, 0.05, 0.07, 0.12]))  # fmt: skip
    front = back = "none"
    if pattern in ("plain", "sleeves", "block") and rng.random() < 0.5:
        front = str(rng.choice(PRINTS[1:]))
        if rng.random() < 0.5:
            back = front if rng.random() < 0.3 else str(rng.choice(PRINTS[1:]))
    elif rng.random() < 0.08:
        back = str(rng.choice(PRINTS[1:]))
    return Cloth(
        colours,
        pattern=pattern,
        period_m=float(np.exp(rng.uniform(np.log(0.05), np.log(0.14)))),
        front_print=front,
        back_print=back,
        print_size_m=float(rng.uniform(0.05, 0.13)),
        fold_m=float(rng.uniform(0.004, 0.009)),
        trim=int(rng.integers(0, 8)),
        gloss=float(rng.choice([0.0, 0.0, 0.05])),
    )


def _clothes(rng: np.random.Generator, woman: bool):
    kind = rng.choice(
        ["t-shirt", "shirt", "sweater", "hoodie", "jacket", "coat", "dress", "tank"],
        p=[0.27, 0.12, 0.12, 0.11, 0.17, 0.07, 0.10, 0.04]
        if woman
        else [0.32, 0.15, 0.12, 0.14, 0.19, 0.05, 0.0, 0.03],
    )
    loose = float(rng.uniform(0.1, 1.0))
    tucked = rng.random() < 0.15
    hem = float(rng.uniform(0.12, 0.5)) if not tucked else 0.02
    short, long = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.9, 1.0))
    jacket, hood = None, False
    if kind == "t-shirt":
        neckline = float(rng.choice([0.0, 0.0, 0.6, 1.0]))
        upper = Upper(_upper_cloth(rng, 0.35), short, hem, neckline, 0.008, loose)
    elif kind == "tank":
        upper = Upper(_upper_cloth(rng, 0.5), 0.0, hem, 0.6, 0.006, 0.5 * loose)
    elif kind in ("shirt", "sweater"):
        sleeve = long if kind == "sweater" or rng.random() < 0.75 else 0.6
        cloth = _upper_cloth(rng, 0.4)
        upper = Upper(cloth, sleeve, hem, 0.3 if kind == "shirt" else 0.0, 0.011, loose)
    elif kind == "hoodie":
        hood = True
        upper = Upper(_upper_cloth(rng, 0.5), long, max(hem, 0.15), 0.0, 0.02, max(loose, 0.5))
    else:
        upper = Upper(_upper_cloth(rng, 0.5), short, 0.2, 0.0, 0.007, 0.4 * loose)
    if kind in ("jacket", "coat"):
        opening = float(rng.choice([0.0, 0.02, 0.05, 0.08]))
        length = float(rng.uniform(0.15, 0.5)) if kind == "jacket" else float(rng.uniform(1.0, 1.7))
        ease = 0.024 if kind == "jacket" else 0.028
        high = 2.0 if rng.random() < 0.4 else 0.4
        jacket = Upper(_upper_cloth(rng, 0.6), long, length, high, ease, max(loose, 0.4), opening)
        hood = bool(rng.random() < 0.3)
    if kind == "dress":
        sleeve = float(rng.choice([0.0, 0.3, 0.95]))
        upper = Upper(_upper_cloth(rng, 0.35), sleeve, 0.0, 0.5, 0.006, 0.1)
        length = float(rng.uniform(0.4, 0.85))
        flare = float(rng.uniform(0.2, 1.0))
        return upper, None, Lower(upper.cloth, "skirt", length, 0.012, flare), False
    return upper, jacket, _lower(rng, woman), hood


def _lower(rng: np.random.Generator, woman: bool) -> Lower:
    kind = rng.choice(
        ["jeans", "trousers", "leggings", "shorts", "skirt", "joggers"],
        p=[0.27, 0.17, 0.14, 0.12, 0.22, 0.08] if woman else [0.32, 0.28, 0.0, 0.22, 0.0, 0.18],
    )
    colours = dyes(rng, 1)
    length = float(rng.choice([0.98, 0.98, rng.uniform(0.8, 0.95)]))
    if kind == "jeans":
        denim = np.array(DENIM[rng.integers(len(DENIM))]) * np.exp(rng.normal(0, 0.15))
        colours[0] = denim
        cloth = Cloth(colours, "denim", trim=4, fold_m=0.006)
        return Lower(cloth, "legs", length, 0.006, float(rng.uniform(0.0, 1.0)))
    if kind == "leggings":
        cloth = Cloth(colours, fold_m=0.0015, gloss=0.04)
        return Lower(cloth, "legs", length, 0.003, 0.0)
    if kind == "skirt":
        pattern = str(rng.choice(["plain", "plain", "checks", "stripes", "dots", "band"]))
        cloth = Cloth(colours, pattern, float(rng.uniform(0.05, 0.14)), fold_m=0.012)
        return Lower(cloth, "skirt", float(rng.uniform(0.3, 0.9)), 0.01, float(rng.uniform(0, 1)))
    if kind == "shorts":
        pattern = str(rng.choice(["plain", "plain", "plain", "checks", "band", "denim"]))
        cloth = Cloth(colours, pattern, 0.09, trim=int(rng.integers(0, 2)), fold_m=0.006)
        return Lower(
            cloth, "legs", float(rng.uniform(0.3, 0.52)), 0.014, float(rng.uniform(0.3, 1))
        )
    pattern = "band" if kind == "joggers" and rng.random() < 0.5 else "plain"
    cloth = Cloth(colours, pattern, 0.09, trim=4, fold_m=0.007)
    return Lower(cloth, "legs", length, 0.011, float(rng.uniform(0.2, 1.0)))


def _bag(rng: np.random.Generator) -> Cloth:
    pattern = str(rng.choice(["plain", "plain", "block"]))
    return Cloth(dyes(rng, 0), pattern, 0.15, fold_m=0.003, gloss=0.05)
