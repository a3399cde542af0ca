"""What was carried from photographs need not be drawn anew: the scene, and detail on the person.

In: drawn pictures, the composites that they started from, where the bodies are. Out: the drawn
person before the composite's scene, with the composite's pixels wherever the two differ by detail
alone. A small network draws the mean of what may be, which is blurred: nearer to the truth, but
who somebody is lies in the detail. Where it departs from the composite (a bag, a shadow, a skirt's
other side) its picture stays.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

_REACH, _SOFT = 2 / 128, 1 / 128  # beyond the body, clothes and hair; of the seam; in heights
_DETAIL = 3 / 128  # deviation of the blur that leaves no detail, in heights
_DEPARTURE = 8.0  # grey levels by which blurred pictures differ where one is not the other's


def keep_carried(
    drawn: UInt8[np.ndarray, "batch height width 3"],
    composite: UInt8[np.ndarray, "batch height width 3"],
    bodies: Bool[np.ndarray, "batch height width"],
) -> UInt8[np.ndarray, "batch height width 3"]:
    """A picture without a body stays as drawn."""
    return np.stack([_kept(*of_one) for of_one in zip(drawn, composite, bodies, strict=True)])


def _kept(drawn: np.ndarray, composite: np.ndarray, body: np.ndarray) -> np.ndarray:
    if not body.any():
        return drawn
    height = len(body)
    reach = 2 * round(_REACH * height) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    near = cv2.dilate(body.astype(np.float32), kernel)
    share = cv2.GaussianBlur(near, (0, 0), _SOFT * height)[..., None]
    apart = share * (drawn.astype(np.float32) - composite)
    coarse = cv2.GaussianBlur(apart, (0, 0), _DETAIL * height)
    departs = 1 - np.exp(-(coarse**2).mean(axis=-1, keepdims=True) / (2 * _DEPARTURE**2))
    return np.round(composite + departs * apart).astype(np.uint8)
