"""Augmentation: a rendered person with exact joints -> the picture and joints to train on.

Besides the usual (flip, scale, rotation, colour, blur, noise, clutter), one picture in ten shows
that confidence must be able to say no: noise, an empty background, shuffled patches, a body so
blurred or faint that no one could point at its joints, or a body whose limbs are missing; the
joints that are not there get no target. Pictures are HWC uint8 of one fixed size, points pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, UInt8

from posedive.body.skeleton import COCO_FLIP

# Parts of a body that go missing, by COCO's joints.
LIMBS = {
    "head": (0, 1, 2, 3, 4),
    "left arm": (7, 9),
    "right arm": (8, 10),
    "left leg": (13, 15),
    "right leg": (14, 16),
    "legs": (13, 14, 15, 16),
    "arms": (7, 8, 9, 10),
    "lower half": (11, 12, 13, 14, 15, 16),
    "upper half": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
}
# Where a limb begins: the joint before each joint, from which it is painted over.
PARENTS = {7: 5, 8: 6, 9: 7, 10: 8, 13: 11, 14: 12, 15: 13, 16: 14}
GARBAGE_SHARE = 0.05
MISSING_SHARE = 0.03
FAINT_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Example:
    """image (H, W, 3) uint8; mask (H, W) bool of the body; joints (17, 3): x px, y px, in frame."""

    image: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]
    joints: Float[np.ndarray, "joints 3"]


def augment(example: Example, other: Example, rng: np.random.Generator) -> Example:
    """`other` is another picture, for clutter and backgrounds."""
    draw = rng.random()
    if draw < GARBAGE_SHARE:
        return _colour(_garbage(example, other, rng), rng)
    if draw < GARBAGE_SHARE + MISSING_SHARE:
        example = _without_limb(example, rng)
    elif draw < GARBAGE_SHARE + MISSING_SHARE + FAINT_SHARE:
        example = _faint(example, rng)
    elif rng.random() < 0.1:
        example = _occlude(example, other, rng)
    if rng.random() < 0.5:
        example = flip(example)
    return _colour(_move(example, rng), rng)


def flip(example: Example) -> Example:
    """Mirror image: what was the left wrist is now a right one."""
    joints = example.joints[list(COCO_FLIP)].copy()
    joints[:, 0] = example.image.shape[1] - joints[:, 0]
    return Example(example.image[:, ::-1], example.mask[:, ::-1], joints)


def background_behind(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A guess of what the body hides: its surroundings, blurred inwards."""
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    seen = (~grown).astype(np.float32)
    sigma = image.shape[0] / 10
    around = cv2.GaussianBlur(image.astype(np.float32) * seen[..., None], (0, 0), sigma)
    weight = cv2.GaussianBlur(seen, (0, 0), sigma)[..., None]
    filled = around / np.maximum(weight, 1e-3)
    return np.where(grown[..., None], filled, image).clip(0, 255).astype(np.uint8)


def _absent(image: np.ndarray) -> Example:
    return Example(image, np.zeros(image.shape[:2], bool), np.zeros((17, 3), np.float32))


def _garbage(example: Example, other: Example, rng: np.random.Generator) -> Example:
    height, width = example.image.shape[:2]
    kind = rng.integers(4)
    if kind == 0:
        grain = int(rng.choice([1, 2, 4, 8, 16]))
        blocks = rng.integers(0, 256, (height // grain + 1, width // grain + 1, 3), dtype=np.uint8)
        how = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
        noise = cv2.resize(blocks, (width, height), interpolation=how)
        return _absent(noise)
    if kind == 1:
        return _absent(background_behind(example.image, example.mask))
    if kind == 2:
        side = int(rng.choice([8, 16]))
        rows, columns = height // side, width // side
        tiles = example.image[: rows * side, : columns * side]
        tiles = rearrange(tiles, "(r y) (c x) rgb -> (r c) y x rgb", y=side, x=side)
        tiles = tiles[rng.permutation(len(tiles))]
        return _absent(rearrange(tiles, "(r c) y x rgb -> (r y) (c x) rgb", r=rows, c=columns))
    # The body's outline filled with another picture's background: a shape, but nobody.
    texture = background_behind(other.image, other.mask)
    turned = np.roll(example.image, rng.integers(height), axis=0)
    mixed = np.where(rng.random((height // 8, width // 8, 1)) < 0.5, 1, 0).astype(np.uint8)
    blend = cv2.resize(mixed, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]
    return _absent(np.where(blend > 0, texture, turned))


def _without_limb(example: Example, rng: np.random.Generator) -> Example:
    joints = example.joints.copy()
    gone = LIMBS[str(rng.choice(list(LIMBS)))]
    if not (joints[list(gone), 2] > 0).all():
        return example
    height, width = example.image.shape[:2]
    painted = np.zeros((height, width), np.uint8)
    spread = np.ptp(joints[joints[:, 2] > 0, :2], axis=0).max()
    thickness = max(int(0.16 * spread), 3)
    points = np.rint(joints[:, :2]).astype(int)
    for joint in gone:
        start = points[PARENTS.get(joint, joint)]
        # From a little below the parent, which is still there.
        start = np.rint(start + 0.35 * (points[joint] - start)).astype(int)
        end = np.rint(points[joint] + 0.35 * (points[joint] - start)).astype(int)
        cv2.line(painted, tuple(map(int, start)), tuple(map(int, end)), 1, thickness)
    for first, second in ((5, 6), (11, 12), (5, 12), (6, 11)):
        if first in gone and second in gone:
            cv2.line(painted, tuple(points[first]), tuple(points[second]), 1, 2 * thickness)
    hidden = (painted > 0) & cv2.dilate(example.mask.astype(np.uint8), np.ones((5, 5))).astype(bool)
    behind = background_behind(example.image, example.mask)
    image = np.where(hidden[..., None], behind, example.image)
    joints[list(gone), 2] = 0
    return Example(image, example.mask & ~hidden, joints)


def _faint(example: Example, rng: np.random.Generator) -> Example:
    """A ghost: so faint or so blurred that nothing can be pointed at."""
    height = example.image.shape[0]
    if rng.random() < 0.5:
        behind = background_behind(example.image, example.mask).astype(np.float32)
        share = rng.uniform(0.0, 0.15)
        image = (share * example.image + (1 - share) * behind).astype(np.uint8)
    else:
        image = cv2.GaussianBlur(example.image, (0, 0), height * rng.uniform(0.07, 0.15))
    return Example(image, example.mask, example.joints * np.array([1, 1, 0], np.float32))


def _occlude(example: Example, other: Example, rng: np.random.Generator) -> Example:
    """Clutter in front of a small part of the body; its joints are still to be guessed."""
    height, width = example.image.shape[:2]
    image = example.image.copy()
    box_height = int(rng.integers(4, height // 5))
    box_width = int(rng.integers(4, width // 2))
    top = int(rng.integers(0, height - box_height))
    left = int(rng.integers(0, width - box_width))
    box = np.s_[top : top + box_height, left : left + box_width]
    image[box] = other.image[box] if rng.random() < 0.5 else rng.integers(0, 256, 3)
    return Example(image, example.mask, example.joints)


def _move(example: Example, rng: np.random.Generator) -> Example:
    """Scale, turn and shift as much as a framed person's crop may be off, no more."""
    height, width = example.image.shape[:2]
    angle, scale = rng.normal(0, 4), rng.uniform(0.9, 1.1)
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, scale)
    matrix[:, 2] += rng.uniform(-0.04, 0.04, 2) * (width, height)
    border = cv2.BORDER_REPLICATE
    image = cv2.warpAffine(example.image, matrix, (width, height), borderMode=border)
    mask = cv2.warpAffine(example.mask.astype(np.uint8), matrix, (width, height)) > 0
    # warpAffine counts pixel centres as integers.
    points = (example.joints[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
    inside = (points >= 0).all(1) & (points < (width, height)).all(1)
    joints = np.column_stack([points, example.joints[:, 2] * inside]).astype(np.float32)
    return Example(image, mask, joints)


def _colour(example: Example, rng: np.random.Generator) -> Example:
    """Brightness, contrast, cast, saturation; mild blur or sharpening; grain."""
    image = example.image.astype(np.float32)
    grey = image.mean(-1, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.3, 1.4)
    image = (image - 128) * rng.uniform(0.6, 1.35) + 128 + rng.uniform(-35, 35)
    image = image * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    draw = rng.random()
    if draw < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    elif draw < 0.5:
        image += rng.uniform(0.2, 0.8) * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
    if rng.random() < 0.4:
        image += rng.normal(0, rng.uniform(2, 14), image.shape)
    return Example(image.clip(0, 255).astype(np.uint8), example.mask, example.joints)
