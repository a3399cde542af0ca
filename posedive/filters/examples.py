"""Examples for the pose estimator's training: rendered people with exact joints.

In: a world of images with fits. Out: Examples, drawn once and kept in a file.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from posedive.body.smpl import load_body, pose_body
from posedive.filters.augment import Example
from posedive.records import PersonImage
from posedive.render.maps import render_maps

log = logging.getLogger(__name__)

INPUT_SIZE = (64, 128)
POSED_AT_ONCE = 32


class World(Protocol):
    """What is needed of a dataset: images whose fits are exact, and their pixels."""

    def images(self, split: str) -> Sequence[PersonImage]: ...

    def read(self, image: PersonImage) -> np.ndarray: ...


class Examples:
    """images (N, 128, 64, 3) uint8, masks (N, 128, 64) bool, joints (N, 17, 3) float32."""

    def __init__(self, images: np.ndarray, masks: np.ndarray, joints: np.ndarray):
        self.images, self.masks, self.joints = images, masks, joints

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        return Example(self.images[index], self.masks[index], self.joints[index])


def draw_examples(
    world: World, split: str, num_images: int, seed: int, cache: Path | None = None
) -> Examples:
    """That many images of a split with exact joints; read back from `cache` when it exists."""
    if cache is not None and cache.exists():
        with np.load(cache) as stored:
            return Examples(stored["images"], stored["masks"], stored["joints"])
    model = load_body("embedded")
    images = list(world.images(split))
    # In the set's order: a world keeps the last few people it dressed.
    order = np.sort(np.random.default_rng(seed).permutation(len(images))[:num_images])
    chosen = [images[index] for index in order]
    width, height = INPUT_SIZE
    pictures = np.zeros((len(chosen), height, width, 3), np.uint8)
    masks = np.zeros((len(chosen), height, width), bool)
    joints = np.zeros((len(chosen), 17, 3), np.float32)
    for start in range(0, len(chosen), POSED_AT_ONCE):
        batch = chosen[start : start + POSED_AT_ONCE]
        fits = [image.fit for image in batch if image.fit is not None]
        assert len(fits) == len(batch), "training needs images with fits"
        posed = zip(*pose_body(model, [fit.body for fit in fits]), strict=True)
        for row, (image, fit, body) in enumerate(zip(batch, fits, posed, strict=True), start):
            pictures[row] = world.read(image)
            maps = render_maps(model, fit, INPUT_SIZE, body)
            masks[row], joints[row] = maps.mask, maps.keypoints
        if start % (16 * POSED_AT_ONCE) == 0:
            log.info("drawn images=%d of=%d", start + len(batch), len(chosen))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(".part.npz")
        np.savez(part, images=pictures, masks=masks, joints=joints)
        part.replace(cache)
    return Examples(pictures, masks, joints)
