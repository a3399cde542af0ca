"""The scene that a person is put before need not be drawn anew.

In: drawn pictures, the composites that they started from, where the bodies are. Out: the drawn
person, before the composite's scene. A small network draws the mean of what may be, which is
blurred, and so is what it makes of a scene and of silhouettes. On the 400 cases of
jobs/evaluate_generator.yaml the cosine to the truth is 0.840, all as drawn 0.837; PSNR the same.
With the composite's detail on the person, too, wherever the two differ by detail alone, pictures
are sharper and 0.1 dB farther from the truth.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

_REACH, _SOFT = 2 / 128, 1 / 128  # beyond the body, clothes and hair; of the seam; in heights


def keep_scene(
    drawn: UInt8[np.ndarray, "batch height width 3"],
    composite: UInt8[np.ndarray, "batch height width 3"],
    bodies: Bool[np.ndarray, "batch height width"],
) -> UInt8[np.ndarray, "batch height width 3"]:
    """A picture without a body stays as drawn."""
    return np.stack([_kept(*of_one) for of_one in zip(drawn, composite, bodies, strict=True)])


def _kept(drawn: np.ndarray, composite: np.ndarray, body: np.ndarray) -> np.ndarray:
    if not body.any():
        return drawn
    reach = 2 * round(_REACH * len(body)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    near = cv2.dilate(body.astype(np.float32), kernel)
    share = cv2.GaussianBlur(near, (0, 0), _SOFT * len(body))[..., None]
    return np.round(share * drawn + (1 - share) * composite).astype(np.uint8)
