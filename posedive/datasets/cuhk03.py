"""CUHK03 in its new protocol (767 people to train with, 700 to test) -> PersonImages.

In, either of
- what torchreid and fast-reid make: images_labeled/, images_detected/ (PNG) beside
  splits_new_labeled.json, splits_new_detected.json;
- the release: cuhk03_release/cuhk-03.mat (or cuhk-03.mat) beside the protocol's
  cuhk03_new_protocol_config_labeled.mat and ..._detected.mat; images are read out of the .mat.
`boxes`: drawn by people (labeled) or by a detector (detected, what trainers read unless told).

An image is 1_001_1_01: pair of cameras, person of that pair, camera of the pair, number. pid counts
people over the five pairs (1 to 1467), whatever numbers a split file has for them; camid is 1 or 2.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from posedive.datasets.image_files import Size
from posedive.datasets.mat_files import numbers, read_mat
from posedive.datasets.published import Listed, PublishedSet, Skipped
from posedive.errors import DatasetError
from posedive.records import PersonImage

PEOPLE_OF_PAIR = (843, 440, 77, 58, 49)
RELEASE = ("cuhk03_release/cuhk-03.mat", "cuhk-03.mat")
NAME = re.compile(r"([1-5])_(\d{3})_([12])_(\d{2})")
COUNTS = {
    "labeled": {"train": (7_368, 767), "query": (1_400, 700), "gallery": (5_328, 700)},
    "detected": {"train": (7_365, 767), "query": (1_400, 700), "gallery": (5_332, 700)},
}
BROKEN_HDF5 = (OSError, KeyError, ValueError, RuntimeError, TypeError, IndexError)


class CUHK03(PublishedSet):
    """Keys are the files' stems."""

    title = "CUHK03"
    published = COUNTS["detected"]
    example = "1_001_1_01.png"
    kind = "PNG"

    def __init__(self, root: str, fits: str | None = None, boxes: str = "detected"):
        if boxes not in COUNTS:
            raise DatasetError(f"cuhk03: boxes: expected {' or '.join(COUNTS)}, got {boxes!r}")
        self.boxes = boxes
        self.release: Release | None = None
        super().__init__(root, fits)

    def read(self, image: PersonImage) -> np.ndarray:
        if self.release is None:
            return super().read(image)
        pixels, reason = self.release.read(image.key)
        if pixels is None:
            raise DatasetError(f"{self.release.path}: {image.key}: {reason}")
        return pixels

    def _list(self, split: str) -> tuple[list[Listed], Skipped]:
        names = self._names_in_json(split) if self.release is None else self._names_in_mat(split)
        listed: dict[str, Listed] = {}
        skipped: Skipped = []
        for name in names:
            one = self._listed(name)
            if isinstance(one, Listed) and one.key not in listed:
                listed[one.key] = one
            else:
                skipped.append((name[:80], "listed twice" if isinstance(one, Listed) else one))
        self._hold_against_published(split, len(listed), (one.pid for one in listed.values()))
        return [listed[key] for key in sorted(listed)], skipped

    def _listed(self, name: str) -> Listed | str:
        match = NAME.fullmatch(name.removesuffix(".png"))
        if match is None:
            return f"name is not like {self.example}"
        pair, person, view = int(match[1]), int(match[2]), int(match[3])
        if not 1 <= person <= PEOPLE_OF_PAIR[pair - 1]:
            return f"no person {person} of pair {pair}, which has {PEOPLE_OF_PAIR[pair - 1]}"
        pid = sum(PEOPLE_OF_PAIR[: pair - 1]) + person
        path = self.images_folder / f"{match[0]}.png"
        shown = f"{path.parent.name}/{path.name}"
        if self.release is not None:
            shown = f"{self.release.path.name}:{match[0]}"
        return Listed(shown, path, match[0], pid, view)

    def _names_in_json(self, split: str) -> list[str]:
        """Of [{"train": [[path, pid, camid], ...], ...}] only the names: paths are of the machine
        that wrote them, pids of train begin at 0."""
        path = self.split_path
        try:
            document: Any = json.loads(path.read_bytes())
            return [str(row[0]).replace("\\", "/").rsplit("/", 1)[-1] for row in document[0][split]]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise DatasetError(
                f"{path}: expected a list with one split, {{{split!r}: [[path, pid, camid], ...]}},"
                f" got something else ({type(error).__name__}: {error})"
            ) from error

    def _names_in_mat(self, split: str) -> list[str]:
        path = self.split_path
        names, index = read_mat(path, "filelist", f"{split}_idx")
        flat = names.reshape(-1)
        rows = numbers(path, f"{split}_idx", index) - 1
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(flat):
            raise DatasetError(f"{path}: {split}_idx: expected 1 to {len(flat)}, got {rows + 1}")
        return [str(np.ravel(flat[row])[0]) for row in rows]

    def _size_px(self, one: Listed) -> tuple[Size | None, str]:
        return super()._size_px(one) if self.release is None else self.release.size_px(one.key)

    def _path(self, image: PersonImage) -> Path:
        return self.images_folder / f"{image.key}.png"

    def _layout(self) -> str:
        return (
            f", with images_{self.boxes} and splits_new_{self.boxes}.json; or with {RELEASE[0]} and"
            f" cuhk03_new_protocol_config_{self.boxes}.mat"
        )

    def _open(self) -> None:
        self.published = COUNTS[self.boxes]
        self.images_folder = self.root / f"images_{self.boxes}"
        self.split_path = self.root / f"splits_new_{self.boxes}.json"
        if self.images_folder.is_dir() and self.split_path.is_file():
            return
        protocol = self.root / f"cuhk03_new_protocol_config_{self.boxes}.mat"
        releases = [self.root / name for name in RELEASE if (self.root / name).is_file()]
        if protocol.is_file() and releases:
            self.split_path, self.release = protocol, Release(releases[0], self.boxes)
            return
        raise self._refuse(self._missing(protocol, releases))

    def _missing(self, protocol: Path, releases: list[Path]) -> Iterable[str]:
        if releases or protocol.is_file():
            return [protocol.name if releases else RELEASE[0]]
        files = (self.images_folder, self.split_path)
        return [path.name for path in files if not path.exists()]


class Release:
    """cuhk-03.mat, MATLAB 7.3, which is HDF5: `labeled` and `detected` are cells of the five pairs,
    each a cell of people x 10 images, each width x height x colour as HDF5 has it."""

    def __init__(self, path: Path, boxes: str):
        self.path = path
        try:
            self.file = h5py.File(path, "r")
            pairs = self.file[boxes]
            assert isinstance(pairs, h5py.Dataset)
            self.pairs = [self._follow(reference)[()] for reference in pairs[()].reshape(-1)]
        except BROKEN_HDF5 as error:
            raise DatasetError(
                f"{path}: expected CUHK03's release, MATLAB 7.3 with cells {boxes}: {error}"
            ) from error

    def size_px(self, key: str) -> tuple[Size | None, str]:
        image, reason = self._image(key)
        return (None if image is None else (image.shape[1], image.shape[2])), reason

    def read(self, key: str) -> tuple[np.ndarray | None, str]:
        """(H, W, 3) uint8, or why there is none."""
        image, reason = self._image(key)
        if image is None:
            return None, reason
        try:
            return np.ascontiguousarray(image[()].T), ""
        except BROKEN_HDF5 as error:
            return None, f"unreadable: {error}"

    def _image(self, key: str) -> tuple[h5py.Dataset | None, str]:
        pair, person, _, number = (int(part) for part in key.split("_"))
        try:
            image = self._follow(self.pairs[pair - 1][number - 1, person - 1])
        except BROKEN_HDF5 as error:
            return None, f"not in {self.path.name}: {error}"
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
            return None, f"no image: an array of {image.dtype} {image.shape}"
        return image, ""

    def _follow(self, reference: Any) -> h5py.Dataset:
        found = self.file[reference]
        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"expected an array behind a cell, got {type(found).__name__}")
        return found
