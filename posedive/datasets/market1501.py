"""Market-1501 as published -> PersonImages, and the SMPL fits that someone has made of them.

In: a folder with bounding_box_train, query and bounding_box_test, and fits as datasets/README.md
describes. Out: images by split, with pid -1 (junk) and 0 (distractor) of the gallery as published.
A file that can't be used is never silently dropped: `skipped` has its name and the reason.
"""

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from posedive.datasets.fit_files import open_fits
from posedive.errors import BodyError, DatasetError
from posedive.records import PersonImage

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
NAME = re.compile(r"(-1|\d{4,})_c(\d+)s(\d+)_(\d+)_(\d+)")
EXAMPLE = "0001_c1s1_000151_01.jpg"
SUFFIX = ".jpg"
START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"


class Market1501:
    """`root`: the folder as published. `fits`: a folder or a file, see fit_files; may be None.

    Files of fits that can't be read, and fits of no image, are in `skipped` from the start.
    """

    def __init__(self, root: str, fits: str | None = None):
        self.root = Path(root).expanduser()
        self.skipped: list[tuple[str, str]] = []
        self._check_root()
        self.fits = open_fits(fits, self._stems()) if fits is not None else None
        self.skipped.extend(self.fits.skipped if self.fits else [])

    def images(self, split: str) -> list[PersonImage]:
        """In the order of their names. Raises DatasetError when no file of the split is usable."""
        folder = self._folder(split)
        kept, skipped = [], []
        for path in sorted(folder.iterdir()):
            name = f"{folder.name}/{path.name}"
            image, reason = self._image(path, split)
            if image is not None:
                kept.append(image)
            if reason:
                skipped.append((name, reason))
        others = [s for s in self.skipped if not s[0].startswith(f"{folder.name}/")]
        self.skipped[:] = others + skipped
        if not kept:
            first = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
            raise DatasetError(
                f"{folder}: expected images named like {EXAMPLE}, found none usable"
                f" among {len(skipped)} files{first}"
            )
        return kept

    def read(self, image: PersonImage) -> np.ndarray:
        """(H, W, 3) uint8 RGB, at the size it was published."""
        path = self._folder(image.split) / (image.key + SUFFIX)
        pixels, reason = _decode(path)
        if pixels is None:
            raise DatasetError(f"{path}: {reason}")
        return np.asarray(pixels)

    def _image(self, path: Path, split: str) -> tuple[PersonImage | None, str]:
        """The image, if it can be used, and why it or its fit can't."""
        if path.is_dir():
            return None, "a folder"
        if path.suffix != SUFFIX:
            return None, f"suffix {path.suffix!r} is not {SUFFIX!r}"
        match = NAME.fullmatch(path.stem)
        if match is None:
            return None, f"name is not like {EXAMPLE}"
        pid, camid = int(match[1]), int(match[2])
        if split != "gallery" and pid <= 0:
            return None, f"pid {pid} (junk or distractor) outside the gallery"
        pixels, reason = _decode(path)
        if pixels is None:
            return None, reason
        fit = None
        if self.fits is not None:
            try:
                fit = self.fits.find(path.stem, pixels.size)
                reason = "" if fit is not None else f"no SMPL fit in {self.fits.path}"
            except BodyError as error:
                reason = f"SMPL fit: {error}"
        return PersonImage(path.stem, pid, camid, split, fit), reason

    def _stems(self) -> list[str]:
        folders = (self.root / folder for folder in FOLDERS.values())
        return [p.stem for folder in folders for p in folder.iterdir() if p.suffix == SUFFIX]

    def _folder(self, split: str) -> Path:
        if split not in FOLDERS:
            known = ", ".join(FOLDERS)
            raise DatasetError(f"market1501: no split {split!r}; expected one of {known}")
        return self.root / FOLDERS[split]

    def _check_root(self) -> None:
        wanted = ", ".join(FOLDERS.values())
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder; expected Market-1501, with {wanted}")
        missing = [name for name in FOLDERS.values() if not (self.root / name).is_dir()]
        if missing:
            nested = [p.parent for p in self.root.glob(f"*/{FOLDERS['train']}")]
            near = nested or ([self.root.parent] if self.root.name in FOLDERS.values() else [])
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DatasetError(
                f"{self.root}: not Market-1501 as published: it has no {', '.join(missing)}{hint}"
            )


def _decode(path: Path) -> tuple[Image.Image | None, str]:
    """The whole image, or why there is none: half a JPEG is not used."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, f"unreadable: {error.strerror}"
    if not data:
        return None, "empty file"
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return image.convert("RGB"), ""
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        cut = data.startswith(START_OF_IMAGE) and END_OF_IMAGE not in data[-64:]
        what = "truncated JPEG" if cut else "not a readable JPEG"
        return None, f"{what} ({len(data)} bytes)"
