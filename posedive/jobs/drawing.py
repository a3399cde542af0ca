"""Pairs -> their references' pixels and their conditions, drawn: the same for every job."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posedive.body.smpl import pose_body
from posedive.datasets import Dataset
from posedive.datasets.pairs import companions
from posedive.errors import DatasetError
from posedive.jobs.places import Places
from posedive.jobs.sources import read_image
from posedive.parsing.parser import Parser
from posedive.records import Fit, Pair, PersonImage
from posedive.render.appearance import Looks, join
from posedive.render.camera import to_camera
from posedive.render.conditions import DrawnCondition, draw_conditions, read_sighting
from posedive.render.maps import condition_fit
from posedive.render.sighting import Sighting

log = logging.getLogger(__name__)
# References of a person whose looks are kept: some 7 MB each at 192x384, with 8 images.
MOST_LOOKS = 16


def load_parser(name: str | None) -> Parser | None:
    """Raises WeightsError where there is none of that name."""
    return None if name is None else Parser.load(name)


@dataclass(frozen=True, eq=False)
class DrawnPair:
    """reference (H, W, 3) uint8; fit: the condition's body before a camera that frames it;
    appearance_images: keys of the images that, beside the reference, told how the person looks."""

    reference: np.ndarray
    fit: Fit
    condition: DrawnCondition
    appearance_images: list[str]


class PairDrawer:
    """Keeps what is known of the last person's looks: pairs of one pid follow each other."""

    def __init__(
        self,
        body,
        dataset: Dataset,
        images: Mapping[int, Sequence[PersonImage]],
        size: tuple[int, int],
        appearance_images: int,
        background: Literal["camera", "reference"] = "camera",
        parser: Parser | None = None,
    ):
        """images: those that may be drawn on, by pid. appearance_images: how many of them an
        appearance map draws on, the reference first; 0: the map stays empty. background: what the
        composite stands before, a scene of the reference's camera or the reference's own. parser:
        tells what a person carries; None: nothing."""
        self.body, self.dataset, self.size = body, dataset, size
        self.images, self.appearance_images, self.parser = images, appearance_images, parser
        self.places, self.background = Places(body, self._pixels, images), background
        self._forget(pid=0)

    def __call__(self, pairs: Sequence[Pair]) -> Iterator[DrawnPair | None]:
        """One for each pair, in order; None where the reference can't be read."""
        posed = zip(*pose_body(self.body, [pair.condition.body for pair in pairs]), strict=True)
        for pair, (vertices, joints) in zip(pairs, posed, strict=True):
            yield self._draw(pair, vertices, joints)

    def _forget(self, pid: int) -> None:
        """All but whom the next pairs show. By an image's key: its pixels; what it showed; what it
        and others told, where it is the reference."""
        self._pid = pid
        self._read: dict[str, np.ndarray | None] = {}
        self._sightings: dict[str, Sighting | None] = {}
        self._known: dict[str, tuple[Looks, list[str]]] = {}

    def _draw(self, pair: Pair, vertices: np.ndarray, joints: np.ndarray) -> DrawnPair | None:
        if pair.pid != self._pid:
            self._forget(pair.pid)
        of_pid = self.images[pair.pid]
        reference = next(image for image in of_pid if image.key == pair.reference)
        rgb = self._once(reference)
        if rgb is None:
            return None
        looks, others, scene = None, [], None
        fit = condition_fit(self.body, pair.condition, self.size, vertices)
        if self.appearance_images and reference.fit is not None:
            if reference.key not in self._known:
                if len(self._known) == MOST_LOOKS:
                    self._known.pop(next(iter(self._known)))
                self._known[reference.key] = self._looks(reference, of_pid)
            looks, others = self._known[reference.key]
            if self.background == "camera":
                vertices_cam = to_camera(vertices, fit.camera)
                scene = self.places.scene(pair, fit.camera, vertices_cam, self.size)
        drawn = draw_conditions(self.body, fit, self.size, looks, (vertices, joints), scene)
        return DrawnPair(rgb, fit, drawn, others)

    def _looks(
        self, reference: PersonImage, of_pid: Sequence[PersonImage]
    ) -> tuple[Looks, list[str]]:
        """What the person looks like, and the images beside the reference that told."""
        others = companions(of_pid, reference, self.appearance_images - 1)
        seen = {i.key: s for i in (reference, *others) if (s := self._sighting(i)) is not None}
        first = seen.pop(reference.key)
        return join(self.body, first, list(seen.values())), list(seen)

    def _sighting(self, image: PersonImage) -> Sighting | None:
        """Told once per person. None when unreadable."""
        if image.key not in self._sightings:
            rgb = self._once(image)
            assert image.fit is not None
            self._sightings[image.key] = None
            if rgb is not None:
                light = self.places.light(image.camid)
                self._sightings[image.key] = read_sighting(
                    self.body, rgb, image.fit, light, self.parser
                )
        return self._sightings[image.key]

    def _once(self, image: PersonImage) -> np.ndarray | None:
        if image.key not in self._read:
            self._read[image.key] = self._pixels(image)
        return self._read[image.key]

    def _pixels(self, image: PersonImage) -> np.ndarray | None:
        try:
            return read_image(self.dataset, image, self.size)
        except (DatasetError, OSError) as error:
            log.warning("unreadable image=%s reason=%s", image.key, error)
            return None
