"""The embedded world written out as a Market-1501 folder with its SMPL fits.

Out: ROOT/{bounding_box_train,query,bounding_box_test}/*.jpg and ROOT/fits.npz, which
Market1501(ROOT, fits=ROOT) reads back: the same keys, pids, cameras and fits.
"""

from pathlib import Path

from PIL import Image

from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.fit_files import ONE_FILE, encoded, fit_arrays
from posedive.datasets.market1501 import FOLDERS, SUFFIX

JPEG_QUALITY = 95


def export_folder(world: EmbeddedWorld, root: Path) -> None:
    images = []
    for split, folder in FOLDERS.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for image in world.images(split):
            path = root / folder / (image.key + SUFFIX)
            Image.fromarray(world.read(image)).save(path, quality=JPEG_QUALITY)
            images.append(image)
    fits = [(image.key, image.fit) for image in images if image.fit is not None]
    (root / ONE_FILE).write_bytes(encoded(fit_arrays(fits)))
