"""A crop without its person.

In: an image (H, W, 3) uint8 and where its person may be (H, W) bool. `without_person` paints them
away by a push-pull pyramid: from the nearest pixels that are known, the softer the farther they
are; what is compared with it should be like it. `mirrored_along_rows` makes a place to look at.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.special import expit

# Clothes, hair and bags stick out beyond the naked body: part of its length on each side.
_REACH = 0.06
_OUTLINE = 0.06  # of the height: how smooth a mirror's edge is
_FADE = 0.08  # of a hole's width: how softly its two sides meet
_SIDE = 2  # pixels beside a hole that make a side


def without_person(
    rgb: UInt8[np.ndarray, "height width 3"], body: Bool[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    if not body.any():
        return rgb
    if body.all():
        return np.broadcast_to(rgb.mean(axis=(0, 1)).round().astype(np.uint8), rgb.shape).copy()
    reach, near = near_person(body)
    known = 1.0 - near.astype(np.float32)
    if not known.any():  # a person who fills the frame: what little is seen beside the body
        known = 1.0 - body.astype(np.float32)
    filled = _pull_push(rgb.astype(np.float32), known)
    # Feathered, so that the seam of kept and painted pixels doesn't show.
    keep = cv2.GaussianBlur(known, (0, 0), 0.4 * reach) * known
    keep = np.clip(2.0 * keep - 1.0, 0.0, 1.0)[..., None]
    return np.round(keep * rgb + (1.0 - keep) * filled).astype(np.uint8)


def near_person(body: Bool[np.ndarray, "height width"]) -> tuple[int, np.ndarray]:
    """How far a person reaches beyond the body, in pixels, and (H, W) bool: all within reach."""
    if not body.any():
        return 0, body
    length = max(np.ptp(np.flatnonzero(body.any(axis=axis))) + 1 for axis in (0, 1))
    reach = max(2, round(_REACH * length))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return reach, cv2.dilate(body.astype(np.uint8), kernel) > 0


def mirrored_along_rows(
    rgb: UInt8[np.ndarray, "height width 3"], hidden: Bool[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """What is hidden is what lies beside it at the same height, mirrored at the hole's two edges:
    so floors, walls and streets run, and their grain stays. Where nothing is beside it, as
    without_person."""
    height, width = hidden.shape
    rows = hidden.any(axis=1)
    if not rows.any():
        return rgb
    first = np.where(rows, hidden.argmax(axis=1), width).astype(np.float32)
    last = np.where(rows, width - hidden[:, ::-1].argmax(axis=1), 0).astype(np.float32)
    middle = 0.5 * (first[rows].min() + last[rows].max())
    reach = max(1, round(_OUTLINE * height))
    left = _smooth_outline(-np.where(rows, first, middle), reach)
    right = _smooth_outline(np.where(rows, last, middle), reach)
    left, right = -left.clip(-width, 0)[:, None], right.clip(0, width)[:, None]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height))
    image = rgb.astype(np.float32)

    def at(column: np.ndarray) -> np.ndarray:
        where = (column - 0.5).astype(np.float32), y.astype(np.float32)
        return cv2.remap(image, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    from_left = at(left - folded(x - left, left))
    from_right = at(right + folded(x - right, width - right))
    # The side that shows more tells more.
    share = left / np.maximum(left + width - right, 1e-6)
    across = (x - left) / np.maximum(right - left, 1e-6)
    fade = expit((share - across) / _FADE)
    shows_left, shows_right = left >= _SIDE, width - right >= _SIDE
    fade = np.where(shows_left & shows_right, fade, shows_left)[..., None]
    filled = fade * from_left + (1 - fade) * from_right
    if not (shows_left | shows_right).all():
        filled = np.where(
            (shows_left | shows_right)[..., None], filled, without_person(rgb, hidden)
        )
    inside = ((x > left) & (x < right))[..., None]
    return np.where(inside, np.round(filled).clip(0, 255).astype(np.uint8), rgb)


def folded(x: np.ndarray, room: np.ndarray | float) -> np.ndarray:
    """x, mirrored at 0 and at room until it lies between."""
    room = np.maximum(room, 1.0)
    wrapped = np.mod(x, 2 * room)
    return np.where(wrapped > room, 2 * room - wrapped, wrapped)


def _smooth_outline(outward: Float[np.ndarray, " height"], reach: int) -> np.ndarray:
    """A curve (H,) that is nowhere below `outward`, and smooth over some `reach` rows."""
    column, edge = outward[:, None], cv2.BORDER_REPLICATE
    farthest = cv2.dilate(column, np.ones((2 * reach + 1, 1), np.uint8), borderType=edge)
    smooth = cv2.GaussianBlur(farthest, (1, 4 * reach + 1), sigmaX=1, sigmaY=reach, borderType=edge)
    return np.maximum(smooth.reshape(-1), outward)


def _pull_push(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill where known is 0 from coarser and coarser means of what is known."""
    weight = np.ascontiguousarray(known, dtype=np.float32)
    colour = image * weight[..., None]
    levels = []
    while weight.min() < 0.999 and max(weight.shape) > 1:
        levels.append((colour, weight))
        height, width = weight.shape
        size = ((width + 1) // 2, (height + 1) // 2)
        colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        gain = (1.0 / np.maximum(weight, 1e-6)).clip(max=4.0)
        colour = colour.reshape(*weight.shape, 3) * gain[..., None]
        weight = weight * gain
    colour = colour / np.maximum(weight, 1e-6)[..., None]
    for finer, finer_weight in reversed(levels):
        height, width = finer_weight.shape
        colour = cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR)
        colour = colour.reshape(height, width, 3)
        share = np.clip(finer_weight, 0.0, 1.0)[..., None]
        colour = finer + (1.0 - share) * colour
    return colour
