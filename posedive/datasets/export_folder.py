"""The embedded world written out as a Market-1501 folder with its SMPL fits.

Out: ROOT/{bounding_box_train,query,bounding_box_test}/*.jpg and ROOT/fits.npz, which
Market1501(ROOT, fits=ROOT) reads back: the same keys, pids, cameras and fits.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.fit_files import ONE_FILE
from posedive.datasets.market1501 import FOLDERS, SUFFIX
from posedive.records import PersonImage

JPEG_QUALITY = 95


def export_folder(world: EmbeddedWorld, root: Path) -> None:
    images = []
    for split, folder in FOLDERS.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for image in world.images(split):
            path = root / folder / (image.key + SUFFIX)
            Image.fromarray(world.read(image)).save(path, quality=JPEG_QUALITY)
            images.append(image)
    np.savez(root / ONE_FILE, allow_pickle=False, **fit_arrays(images))


def fit_arrays(images: Sequence[PersonImage]) -> dict[str, np.ndarray]:
    """The arrays of a fits.npz, one row per image that has a fit."""
    fitted = [(image.key, image.fit) for image in images if image.fit is not None]
    bodies, cameras = [fit.body for _, fit in fitted], [fit.camera for _, fit in fitted]
    return {
        "names": np.array([key for key, _ in fitted]),
        "betas": np.stack([body.betas for body in bodies]),
        "body_pose": np.stack([body.body_pose for body in bodies]),
        "global_orient": np.stack([body.global_orient for body in bodies]),
        "rotation": np.stack([camera.rotation for camera in cameras]),
        "translation": np.stack([camera.translation for camera in cameras]),
        "focal": np.array([camera.focal for camera in cameras]),
    }
