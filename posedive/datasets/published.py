"""What the readers of published sets share: each image that a split lists becomes a PersonImage, or
is named with the reason why not; counts are held against the published ones.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from posedive.datasets.fit_files import open_fits
from posedive.datasets.image_files import Size, decode, size_px
from posedive.errors import BodyError, DatasetError
from posedive.records import Fit, PersonImage

log = logging.getLogger(__name__)
Skipped = list[tuple[str, str]]


@dataclass(frozen=True)
class Listed:
    """An image that a split lists. `name` is what people find it by; `path` the file it is in."""

    name: str
    path: Path
    key: str
    pid: int
    camid: int


class PublishedSet:
    """A reader says what it is called, what a split should hold, and lists it (`_list`).

    root: the folder as published. fits: a folder or a file, see fit_files; may be None.
    `skipped`: (name, reason) of what could not be used, of the splits asked for so far.
    """

    title: ClassVar[str]
    # Of each split: images (of a video set: tracklets, or videos) and people, as published.
    published: dict[str, tuple[int, int]]
    counted: ClassVar[str] = "images"
    example: ClassVar[str]  # an image's name, for messages
    kind: ClassVar[str] = "JPEG"

    def __init__(self, root: str, fits: str | None = None):
        self.root = Path(root).expanduser()
        self.skipped: Skipped = []
        self._skipped_of: dict[str, Skipped] = {}
        if not self.root.is_dir():
            raise DatasetError(
                f"{self.root}: no such folder; expected {self.title}{self._layout()}"
            )
        self._open()
        self._lists: dict[str, tuple[list[Listed], Skipped]] = {}
        self.fits = None
        if fits is not None:
            self._lists = {name: self._list(name) for name in self.published}
            keys = [one.key for listed, _ in self._lists.values() for one in listed]
            self.fits = open_fits(fits, keys)
            self.skipped.extend(self.fits.skipped)

    def images(self, split: str) -> list[PersonImage]:
        """In the order of their names. Raises DatasetError when no image of the split is usable."""
        if split not in self.published:
            known = ", ".join(self.published)
            raise DatasetError(f"{self.title}: no split {split!r}; expected one of {known}")
        listed, unusable = self._lists.get(split) or self._list(split)
        kept, skipped = [], list(unusable)
        for one in listed:
            size, reason = self._size_px(one)
            if size is not None:
                fit, reason = self._fit(one.key, size)
                kept.append(PersonImage(one.key, one.pid, one.camid, split, fit))
            if reason:
                skipped.append((one.name, reason))
        self._skipped_of[split] = skipped
        self.skipped[:] = self.fits.skipped if self.fits else []
        self.skipped.extend(one for each in self._skipped_of.values() for one in each)
        if not kept:
            first = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
            raise DatasetError(
                f"{self.root}: expected images of split {split} named like {self.example}, found"
                f" none usable among {len(skipped)} files{first}"
            )
        return kept

    def read(self, image: PersonImage) -> np.ndarray:
        """(H, W, 3) uint8 RGB, at the size it was published."""
        path = self._path(image)
        pixels, reason = decode(path, self.kind)
        if pixels is None:
            raise DatasetError(f"{path}: {reason}")
        return np.asarray(pixels)

    def _open(self) -> None:
        """Finds its way about the root; DatasetError when the root is another thing."""
        raise NotImplementedError

    def _layout(self) -> str:
        """What the root holds, for messages: ", with ..."."""
        raise NotImplementedError

    def _list(self, split: str) -> tuple[list[Listed], Skipped]:
        """What the split lists, and what it lists that can't be an image of it. Counts them."""
        raise NotImplementedError

    def _path(self, image: PersonImage) -> Path:
        raise NotImplementedError

    def _size_px(self, one: Listed) -> tuple[Size | None, str]:
        return size_px(one.path, self.kind)

    def _fit(self, key: str, size: Size) -> tuple[Fit | None, str]:
        """The fit, and why there is none."""
        if self.fits is None:
            return None, ""
        try:
            fit = self.fits.find(key, size)
        except BodyError as error:
            return None, f"SMPL fit: {error}"
        return fit, "" if fit is not None else f"no SMPL fit in {self.fits.path}"

    def _hold_against_published(self, split: str, count: int, pids: Iterable[int]) -> None:
        """Names a difference in the log: a part of a set may be all that is wanted."""
        people = len({pid for pid in pids if pid > 0})
        images_published, people_published = self.published[split]
        if (count, people) != (images_published, people_published):
            log.warning(
                "%s: split %s of %s: expected %s %s of %s people as published, found %s of %s",
                self.root, split, self.title, f"{images_published:,}", self.counted,
                f"{people_published:,}", f"{count:,}", f"{people:,}",
            )  # fmt: skip

    def _refuse(self, missing: Iterable[str], hint: str = "") -> DatasetError:
        return DatasetError(
            f"{self.root}: not {self.title} as published: it has no {', '.join(missing)}"
            f"{hint}; expected {self.root}{self._layout()}"
        )
