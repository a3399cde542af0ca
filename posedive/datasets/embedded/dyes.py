"""Colours that cloth, skin and hair come in, linear RGB: a random generator -> one of them."""

import numpy as np

# Names only for the reader; the second number is how often it is worn, above and below.
PALETTE = {
    "black": ((0.012, 0.012, 0.014), 9, 10),
    "charcoal": ((0.045, 0.045, 0.05), 5, 6),
    "grey": ((0.19, 0.19, 0.20), 5, 5),
    "silver": ((0.42, 0.42, 0.43), 3, 2),
    "white": ((0.80, 0.80, 0.78), 8, 2.5),
    "cream": ((0.64, 0.55, 0.42), 3, 2),
    "beige": ((0.40, 0.31, 0.20), 3, 4.5),
    "brown": ((0.10, 0.05, 0.03), 2, 2.5),
    "navy": ((0.010, 0.018, 0.065), 6, 6),
    "royal": ((0.020, 0.07, 0.38), 4, 1.5),
    "denim": ((0.06, 0.12, 0.26), 3, 4),
    "sky": ((0.22, 0.42, 0.66), 4, 1),
    "teal": ((0.015, 0.18, 0.19), 3, 1),
    "green": ((0.025, 0.20, 0.06), 3.5, 0.8),
    "olive": ((0.09, 0.09, 0.03), 3, 3.5),
    "lime": ((0.33, 0.54, 0.07), 1.5, 0.2),
    "yellow": ((0.74, 0.52, 0.04), 3, 0.3),
    "orange": ((0.68, 0.20, 0.025), 2.5, 0.3),
    "red": ((0.46, 0.018, 0.022), 5, 1),
    "burgundy": ((0.12, 0.010, 0.022), 3, 1.5),
    "pink": ((0.72, 0.26, 0.36), 3, 0.8),
    "magenta": ((0.42, 0.015, 0.17), 1.5, 0.3),
    "purple": ((0.13, 0.028, 0.23), 2.5, 0.7),
}
_NAMES = list(PALETTE)
DENIM = ((0.04, 0.085, 0.19), (0.10, 0.17, 0.30), (0.015, 0.028, 0.07), (0.24, 0.34, 0.46))
SKIN = ((0.66, 0.41, 0.30), (0.58, 0.34, 0.22), (0.46, 0.25, 0.14), (0.25, 0.12, 0.06),
         (0.11, 0.05, 0.028))  # fmt: skip
HAIR = ((0.008, 0.007, 0.007), (0.02, 0.011, 0.007), (0.055, 0.026, 0.012), (0.14, 0.07, 0.025),
         (0.38, 0.24, 0.09), (0.16, 0.035, 0.012), (0.28, 0.28, 0.28))  # fmt: skip
HAIR_WEIGHTS = np.array([7, 6, 5, 3, 3, 1.5, 2.5])


def dye(rng: np.random.Generator, below: int) -> np.ndarray:
    """A dye near one of the palette's; `below` 1 for legs, where dark ones are worn more."""
    weights = np.array([PALETTE[name][1 + below] for name in _NAMES], float)
    base = np.array(PALETTE[rng.choice(_NAMES, p=weights / weights.sum())][0])
    lit = base * np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.10, 3))
    return np.clip(lit, 0.006, 0.88)


def dyes(rng: np.random.Generator, below: int) -> np.ndarray:
    """Three dyes, the second and third told apart from the first."""
    first = dye(rng, below)
    chosen = [first]
    while len(chosen) < 3:
        # Mostly a neutral beside a colour, as cloth is made; now and then two colours.
        other = dye(rng, 0) if rng.random() < 0.5 else neutral_dye(rng)
        if np.abs(np.cbrt(other) - np.cbrt(first)).max() > 0.22:
            chosen.append(other)
    return np.stack(chosen)


def neutral_dye(rng: np.random.Generator) -> np.ndarray:
    name = rng.choice(["white", "black", "grey", "navy", "cream"], p=[0.4, 0.25, 0.15, 0.1, 0.1])
    return np.array(PALETTE[name][0]) * np.exp(rng.normal(0, 0.1))


def between(rng: np.random.Generator, anchors, weights, spread: float) -> np.ndarray:
    """A colour between two neighbouring anchors."""
    chance = None if weights is None else weights / weights.sum()
    first = int(rng.choice(len(anchors), p=chance))
    second = min(first + 1, len(anchors) - 1)
    mix = rng.random() * 0.6
    base = (1 - mix) * np.array(anchors[first]) + mix * np.array(anchors[second])
    return np.clip(base * np.exp(rng.normal(0, spread)), 0.004, 0.8)
