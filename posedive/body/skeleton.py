"""SMPL's 24 joints, COCO's 17 keypoints, and the way from one to the other.

smplx returns 45 joints: SMPL's 24, then 21 chosen vertices (nose, eyes, ears, toes, heels,
fingertips) in the order of EXTRA_JOINTS. Left and right are the person's own.
"""

import numpy as np
from jaxtyping import Float

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
EXTRA_JOINTS = (
    "nose", "right_eye", "left_eye", "right_ear", "left_ear",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel", "left_thumb", "left_index", "left_middle", "left_ring", "left_pinky",
    "right_thumb", "right_index", "right_middle", "right_ring", "right_pinky",
)  # fmt: skip

COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


def _swap_sides(names: tuple[str, ...]) -> tuple[int, ...]:
    other = {"left": "right", "right": "left"}
    twins = ("_".join(other.get(word, word) for word in name.split("_")) for name in names)
    return tuple(names.index(twin) for twin in twins)


MIRROR_SMPL = _swap_sides(SMPL_JOINTS)
COCO_FLIP = _swap_sides(COCO_KEYPOINTS)
COCO_FROM_SMPL = tuple((SMPL_JOINTS + EXTRA_JOINTS).index(name) for name in COCO_KEYPOINTS)

# OpenPose draws a neck, which COCO has not: here number 17, halfway between the shoulders.
NECK = 17
COCO_LIMBS = (
    (NECK, 6), (NECK, 5), (6, 8), (8, 10), (5, 7), (7, 9), (NECK, 12), (12, 14), (14, 16),
    (NECK, 11), (11, 13), (13, 15), (NECK, 0), (0, 2), (2, 4), (0, 1), (1, 3),
)  # fmt: skip
# OpenPose's rainbow (RGB), one colour for each limb above.
LIMB_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170),
)  # fmt: skip
# One colour for each COCO keypoint, then the neck's.
KEYPOINT_COLOURS = (
    (255, 0, 0), (255, 0, 255), (170, 0, 255), (255, 0, 85), (255, 0, 170), (85, 255, 0),
    (255, 170, 0), (170, 255, 0), (255, 255, 0), (0, 255, 0), (255, 255, 85), (0, 170, 255),
    (0, 255, 85), (0, 85, 255), (0, 255, 170), (0, 0, 255), (0, 255, 255), (255, 85, 0),
)  # fmt: skip


def coco_from_smpl(joints: Float[np.ndarray, "*batch 45 dims"]) -> np.ndarray:
    """smplx's joints (..., 45, D) -> COCO's keypoints (..., 17, D)."""
    return joints[..., COCO_FROM_SMPL, :]


def neck_from_coco(keypoints: Float[np.ndarray, "*batch 17 dims"]) -> np.ndarray:
    """OpenPose's neck (..., D): the middle of the shoulders of COCO's keypoints (..., 17, D)."""
    return (keypoints[..., 5, :] + keypoints[..., 6, :]) / 2
