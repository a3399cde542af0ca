"""What a set's images tell of where a camera stands: its light, and its scene with nobody in it.

    a camera -> some of its images, whoever they show -> Place: light, backdrops
    a pair   -> a backdrop of another person, by its seed -> render.carry_scene
A person's own backgrounds, again in each generated picture, would teach a Re-ID model to know
people by them; so do those of nobody in particular not.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posedive.records import Pair, PersonImage
from posedive.render.conditions import read_sighting
from posedive.render.kinship import kinship
from posedive.render.light import Light, light_of
from posedive.render.scene import Backdrop, Stand, carry_scene, stand_of
from posedive.render.sighting import Sighting

IMAGES_PER_CAMERA = 24  # that tell of its place
STREAM = 0x5CE


@dataclass(frozen=True, eq=False)
class Place:
    """light: EVEN, or near it, where few images tell of it; backdrops: (pid, Backdrop)."""

    light: Light
    backdrops: tuple[tuple[int, Backdrop], ...]


class Places:
    """Keeps every light, and the backdrops of the cameras asked for last."""

    def __init__(
        self,
        body,
        pixels: Callable[[PersonImage], np.ndarray | None],
        images: Mapping[int, Sequence[PersonImage]],
    ):
        """pixels: (H, W, 3) uint8 of an image, None where it can't be read. images: by pid."""
        self.body, self.pixels = body, pixels
        of_camera: dict[int, list[PersonImage]] = {}
        for image in sorted((i for of in images.values() for i in of), key=lambda i: i.key):
            if image.fit is not None:
                of_camera.setdefault(image.camid, []).append(image)
        self.of_camera = {camid: _evenly(of, IMAGES_PER_CAMERA) for camid, of in of_camera.items()}
        self.place = functools.lru_cache(maxsize=32)(self._place)
        self.light = functools.cache(self._light)

    def scene(self, pair: Pair, stand: Stand, size: tuple[int, int]) -> np.ndarray | None:
        """(H, W, 3) uint8, by the pair alone; None where the camera saw nobody else. stand: where
        the condition's body stands."""
        others = [of for pid, of in self.place(pair.camid).backdrops if pid != pair.pid]
        if not others:
            return None
        chosen = np.random.default_rng((pair.seed, STREAM)).integers(len(others))
        return carry_scene(others[chosen], stand, size)

    def _light(self, camid: int) -> Light:
        return self.place(camid).light

    def _place(self, camid: int) -> Place:
        seen, backdrops = [], []
        for image in self.of_camera.get(camid, ()):
            rgb = self.pixels(image)
            if rgb is None or image.fit is None:
                continue
            sighting = read_sighting(self.body, rgb, image.fit)
            seen.append((image.pid, sighting))
            backdrops.append((image.pid, backdrop(rgb, sighting, image)))
        return Place(light_of(kinship(self.body), seen), tuple(backdrops))


def backdrop(rgb: np.ndarray, sighting: Sighting, image: PersonImage) -> Backdrop:
    """Of an image that has a fit, whose pixels are rgb (H, W, 3) uint8."""
    assert image.fit is not None
    return Backdrop(rgb, sighting.mask, stand_of(sighting.shot.dressed, image.fit.camera))


def _evenly(images: list[PersonImage], count: int) -> list[PersonImage]:
    rows = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    return [images[row] for row in rows]
