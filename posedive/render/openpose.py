"""The skeleton map: COCO-17 keypoints -> sticks in OpenPose's colours on black.

The 18th keypoint, the neck, is the middle of the shoulders, as OpenPose's COCO model has it. All
limbs of trunk, arms and legs are drawn always: their colours tell left from right, so front from
back. Of the face only what the camera can see is drawn. Nearer limbs are painted over farther.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from posedive.body.skeleton import (
    COCO_LIMBS,
    KEYPOINT_COLOURS,
    LIMB_COLOURS,
    neck_from_coco,
)

_FACE = [0, 1, 2, 3, 4]
_LIMB_SHADE = 0.6  # OpenPose paints limbs darker than joints
_SHIFT = 4  # fractional bits of cv2's coordinates


def draw_skeleton(
    keypoints: Float[np.ndarray, "17 2"],
    depth: Float[np.ndarray, "17"],
    face_visible: Bool[np.ndarray, "17"],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "height width 3"]:
    """Keypoints in pixels, their depth in metres; `face_visible` is read for the face only."""
    width, height = size
    with_neck = np.vstack([keypoints, neck_from_coco(keypoints)])
    depths = np.append(depth, neck_from_coco(depth[:, None]))
    shown = np.isfinite(with_neck).all(axis=1) & (depths > 0)
    shown[_FACE] &= face_visible[_FACE]
    with_neck = np.clip(with_neck, -4 * height, 4 * height)  # cv2's coordinates are 32-bit
    # cv2 counts from pixel centres; ours are at half-integers.
    fixed = np.round((np.nan_to_num(with_neck) - 0.5) * (1 << _SHIFT)).astype(np.int32)

    canvas = np.zeros((height, width, 3), np.uint8)
    thickness = max(1, round(height / 64))
    far_first = sorted(range(len(COCO_LIMBS)), key=lambda i: -depths[list(COCO_LIMBS[i])].mean())
    for i in far_first:
        start, end = COCO_LIMBS[i]
        if shown[start] and shown[end]:
            colour = tuple(int(_LIMB_SHADE * c) for c in LIMB_COLOURS[i])
            points = tuple(fixed[start].tolist()), tuple(fixed[end].tolist())
            cv2.line(canvas, *points, colour, thickness, cv2.LINE_AA, _SHIFT)
    radius = round(height / 110 * (1 << _SHIFT))
    for j in np.argsort(-depths):
        if shown[j]:
            centre = tuple(fixed[j].tolist())
            cv2.circle(canvas, centre, radius, KEYPOINT_COLOURS[j], cv2.FILLED, cv2.LINE_AA, _SHIFT)
    return canvas
