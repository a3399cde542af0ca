"""People who are coloured rectangles: a shirt and trousers before a camera's background."""

import numpy as np
import pytest

from posedive.reid.evaluate import Split

SIZE = (32, 16)  # height, width
NUM_CAMERAS = 3


def draw_people(pids: range, images_per_camera: int, seed: int) -> Split:
    """Each of `pids` as seen by each camera: clothes are the person's, the rest is chance."""
    rng = np.random.default_rng(seed)
    clothes = np.random.default_rng(0).integers(0, 256, (1000, 2, 3))
    backgrounds = np.random.default_rng(1).integers(60, 190, (NUM_CAMERAS, 3))
    height, width = SIZE
    images, owners, camids = [], [], []
    for pid in pids:
        for camid in range(1, NUM_CAMERAS + 1):
            for _ in range(images_per_camera):
                image = np.empty((height, width, 3), np.float32)
                image[:] = backgrounds[camid - 1]
                left, top = rng.integers(2, 6), rng.integers(2, 7)
                image[top : top + 12, left : left + 8] = clothes[pid, 0]
                image[top + 12 : top + 24, left : left + 8] = clothes[pid, 1]
                image += rng.normal(0, 10, image.shape)
                images.append(image.clip(0, 255).astype(np.uint8))
                owners.append(pid)
                camids.append(camid)
    return Split(np.stack(images), np.array(owners), np.array(camids))


@pytest.fixture(name="draw_people", scope="session")
def _draw_people():
    return draw_people
