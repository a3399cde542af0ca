"""What stands behind a generated person: a scene of the reference's camera with nobody in it.

    a pair's camera and seed -> some images of other people by that camera -> render.carry_scene
A person's own backgrounds, again in each generated picture, would teach a Re-ID model to know
people by them; so do those of nobody in particular not.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from posedive.records import Pair, PersonImage
from posedive.render.maps import render_maps
from posedive.render.scene import Backdrop, Stand, carry_scene, stand_of

IMAGES_PER_CAMERA = 24  # that scenes are made of
IMAGES_PER_SCENE = 6
STREAM = 0x5CE


class Scenes:
    """Keeps what it has read: some images of each camera, and where their people are."""

    def __init__(
        self,
        body,
        pixels: Callable[[PersonImage], np.ndarray | None],
        images: Mapping[int, Sequence[PersonImage]],
        size: tuple[int, int],
    ):
        """pixels: (H, W, 3) uint8 of an image, None where it can't be read. images: by pid."""
        self.body, self.pixels, self.size = body, pixels, size
        of_camera: dict[int, list[PersonImage]] = {}
        for image in sorted((i for of in images.values() for i in of), key=lambda i: i.key):
            if image.fit is not None:
                of_camera.setdefault(image.camid, []).append(image)
        self.of_camera = {camid: _evenly(of, IMAGES_PER_CAMERA) for camid, of in of_camera.items()}
        self._read = functools.cache(self._read_image)

    def __call__(self, pair: Pair, stand: Stand) -> np.ndarray | None:
        """(H, W, 3) uint8, by the pair alone; None where the camera saw nobody else. stand: where
        the condition's body stands."""
        rng = np.random.default_rng((pair.seed, STREAM))
        others = [i for i in self.of_camera.get(pair.camid, ()) if i.pid != pair.pid]
        chosen = [others[i] for i in rng.permutation(len(others))[:IMAGES_PER_SCENE]]
        seen = [read for image in chosen if (read := self._read(image.key)) is not None]
        if not seen:
            return None
        return carry_scene(seen, stand, self.size, rng)

    def _read_image(self, key: str) -> Backdrop | None:
        image = next(i for of in self.of_camera.values() for i in of if i.key == key)
        rgb = self.pixels(image)
        if rgb is None or image.fit is None:
            return None
        maps = render_maps(self.body, image.fit, self.size)
        return Backdrop(rgb, maps.mask, stand_of(maps.vertices, image.fit.camera))


def _evenly(images: list[PersonImage], count: int) -> list[PersonImage]:
    rows = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    return [images[row] for row in rows]
