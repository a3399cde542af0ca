"""A crop without its person.

In: an image (H, W, 3) uint8 and where its person may be (H, W) bool. `without_person` paints them
away by a push-pull pyramid: from the nearest pixels that are known, the softer the farther they
are. (Filling along rows, as streets and walls run, measured worse and streaky.)
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

# Clothes, hair and bags stick out beyond the naked body: part of its length on each side.
_REACH = 0.06


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
