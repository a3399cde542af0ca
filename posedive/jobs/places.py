"""What a set's images tell of its cameras: their lights, and their scenes with nobody in them.

    all cameras -> some images of each, whoever they show -> a Light for each
    a camera    -> the same images -> backdrops
    a pair      -> a backdrop of another person, by its seed -> render.carry_scene
A person's own backgrounds, again in each generated picture, would teach a Re-ID model to know
people by them; so do those of nobody in particular not.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from posedive.records import Camera, Pair, PersonImage
from posedive.render.conditions import read_sighting
from posedive.render.kinship import Kinship, kinship
from posedive.render.light import EVEN, Light, Told, lights_of, told_by
from posedive.render.scene import (
    Backdrop,
    brightened,
    carry_scene,
    darkened,
    shadow_on_floor,
    stand_of,
)
from posedive.render.sighting import Sighting
from posedive.render.sun import Sun

MOST_IMAGES = 40  # of a camera, that tell of it; of all cameras together, MOST_IN_ALL
MOST_IN_ALL = 2048
STREAM = 0x5CE


class Cameras(NamedTuple):
    """By camid: the light; (pid, backdrop) of each image that told of it."""

    lights: dict[int, Light]
    backdrops: dict[int, list[tuple[int, Backdrop]]]


class Places:
    """Reads what tells of the cameras when it is first asked, and keeps it."""

    def __init__(
        self,
        body,
        pixels: Callable[[PersonImage], np.ndarray | None],
        images: Mapping[int, Sequence[PersonImage]],
    ):
        """pixels: (H, W, 3) uint8 of an image, None where it can't be read. images: by pid."""
        self.body, self.pixels = body, pixels
        self.telling = telling_images(images)

    def learn(self) -> None:
        """Now, rather than within the first pair's time."""
        _ = self.cameras

    def scene(
        self, pair: Pair, camera: Camera, vertices_cam: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray | None:
        """(H, W, 3) uint8 with the shadow of the condition's body, vertices_cam (V, 3) before
        camera; by the pair alone. None where the camera saw nobody else."""
        others = [of for pid, of in self.cameras.backdrops.get(pair.camid, ()) if pid != pair.pid]
        if not others:
            return None
        chosen = np.random.default_rng((pair.seed, STREAM)).integers(len(others))
        return self.behind(others[chosen], pair.camid, camera, vertices_cam, size)

    def behind(
        self,
        backdrop: Backdrop,
        camid: int,
        camera: Camera,
        vertices_cam: np.ndarray,
        size: tuple[int, int],
    ) -> np.ndarray:
        """A backdrop of that camera, carried to where a body stands, with the body's shadow."""
        stand = stand_of(vertices_cam, camera)
        scene, sun = carry_scene(backdrop, stand, size), self.light(camid).sun
        if sun is None:
            return scene
        gain = shadow_on_floor(stand, sun, vertices_cam, kinship(self.body).faces, size)
        return darkened(scene, gain)

    def light(self, camid: int) -> Light:
        """EVEN, or near it, where few images tell of it."""
        return self.cameras.lights.get(camid, EVEN)

    @cached_property
    def cameras(self) -> Cameras:
        body, told = kinship(self.body), dict[int, Told]()
        backdrops: dict[int, list[tuple[int, Backdrop]]] = {}
        for camid, images in self.telling.items():
            shown: list[tuple[PersonImage, Sighting]] = []
            for image in images:
                rgb = self.pixels(image)
                if rgb is None or image.fit is None:
                    continue
                shown.append((image, read_sighting(self.body, rgb, image.fit)))
            told[camid] = told_by(body, [(image.pid, of) for image, of in shown])
            backdrops[camid] = [
                (image.pid, backdrop(body, image, of, told[camid].sun)) for image, of in shown
            ]
        return Cameras(lights_of(told), backdrops)


def backdrop(body: Kinship, image: PersonImage, sighting: Sighting, sun: Sun | None) -> Backdrop:
    """What is behind the person of an image that has a fit, without their shadow in that sun."""
    assert image.fit is not None
    shot, rgb = sighting.shot, sighting.shot.rgb
    stand = stand_of(shot.dressed, image.fit.camera)
    if sun is not None:
        size = rgb.shape[1], rgb.shape[0]
        rgb = brightened(rgb, shadow_on_floor(stand, sun, shot.dressed, body.faces, size))
    return Backdrop(rgb, sighting.mask, stand)


def telling_images(images: Mapping[int, Sequence[PersonImage]]) -> dict[int, list[PersonImage]]:
    """By camid. One image of as many people as there are before a second one of anybody, and first
    those whom most cameras saw: what several cameras show of one person tells them apart."""
    ranked: dict[int, list[tuple[int, int, str, PersonImage]]] = {}
    for of in images.values():
        fitted = sorted((i for i in of if i.fit is not None), key=lambda i: i.key)
        cameras = len({image.camid for image in fitted})
        turns: Counter[int] = Counter()
        for image in fitted:
            turn = turns[image.camid]
            ranked.setdefault(image.camid, []).append((turn, -cameras, image.key, image))
            turns[image.camid] += 1
    each = min(MOST_IMAGES, max(1, MOST_IN_ALL // max(1, len(ranked))))
    return {camid: [rank[-1] for rank in sorted(of)[:each]] for camid, of in sorted(ranked.items())}
