"""MARS as published -> PersonImages: the frames of its tracklets.

In: bbox_train/ and bbox_test/ (`0001/0001C1T0001F001.jpg`) beside info/, with train_name.txt and
test_name.txt (a file's name a line), tracks_train_info.mat and tracks_test_info.mat (a tracklet a
row: first and last line, pid, camid) and query_IDX.mat (rows of the tests that ask). Out: pid -1
(junk) and 0 (distractor) of the gallery as published; every `frame_step`-th frame of a tracklet.
"""

import re
from pathlib import Path

import numpy as np

from posedive.datasets.mat_files import numbers, read_mat
from posedive.datasets.published import Listed, PublishedSet, Skipped
from posedive.errors import DatasetError
from posedive.records import PersonImage

NAME = re.compile(r"(\d{4}|00-1)C(\d)T\d{4}F\d{3,4}")
INFO = (
    "train_name.txt",
    "test_name.txt",
    "tracks_train_info.mat",
    "tracks_test_info.mat",
    "query_IDX.mat",
)


class Mars(PublishedSet):
    """Keys are the files' stems; counts are of tracklets, the gallery's with junk."""

    title = "MARS"
    published = {"train": (8_298, 625), "query": (1_980, 626), "gallery": (10_200, 620)}
    counted = "tracklets"
    example = "0001C1T0001F001.jpg"

    def __init__(self, root: str, fits: str | None = None, frame_step: int = 1):
        self.frame_step = frame_step
        super().__init__(root, fits)

    def _list(self, split: str) -> tuple[list[Listed], Skipped]:
        half = "train" if split == "train" else "test"
        lines = (self.root / "info" / f"{half}_name.txt").read_text(encoding="ascii").splitlines()
        tracks = self._tracks(half)
        if half == "test":
            asks = np.isin(np.arange(len(tracks)), self._asking(len(tracks)))
            tracks = tracks[asks if split == "query" else ~asks]
        listed: dict[str, Listed] = {}
        skipped: Skipped = []
        for first, last, pid, camid in tracks.tolist():
            if not 1 <= first <= last <= len(lines):
                name = f"tracklet of lines {first} to {last}"
                skipped.append((name, f"there are lines 1 to {len(lines)}"))
                continue
            for line in lines[first - 1 : last : self.frame_step]:
                one = self._listed(line.strip(), half, split, pid, camid)
                if isinstance(one, Listed):
                    listed[one.key] = one
                else:
                    skipped.append((line[:80], one))
        self._hold_against_published(split, len(tracks), tracks[:, 2].tolist())
        return [listed[key] for key in sorted(listed)], skipped

    def _listed(self, line: str, half: str, split: str, pid: int, camid: int) -> Listed | str:
        match = NAME.fullmatch(line.removesuffix(".jpg"))
        if match is None:
            return f"name is not like {self.example}"
        named = -1 if match[1] == "00-1" else int(match[1])
        if (named, int(match[2])) != (pid, camid):
            return f"in a tracklet of pid {pid} and camera {camid}"
        if split != "gallery" and pid <= 0:
            return f"pid {pid} (junk or distractor) outside the gallery"
        path = self.root / f"bbox_{half}" / match[1] / f"{match[0]}.jpg"
        return Listed(f"bbox_{half}/{match[1]}/{match[0]}.jpg", path, match[0], pid, camid)

    def _tracks(self, half: str) -> np.ndarray:
        path = self.root / "info" / f"tracks_{half}_info.mat"
        name = f"track_{half}_info"
        return numbers(path, name, read_mat(path, name)[0], columns=4)

    def _asking(self, num_tracks: int) -> np.ndarray:
        path = self.root / "info" / "query_IDX.mat"
        rows = numbers(path, "query_IDX", read_mat(path, "query_IDX")[0])
        if len(rows) and not 1 <= rows.min() <= rows.max() <= num_tracks:
            raise DatasetError(
                f"{path}: expected rows 1 to {num_tracks} of tracks_test_info.mat, got {rows}"
            )
        return rows - 1

    def _path(self, image: PersonImage) -> Path:
        half = "train" if image.split == "train" else "test"
        return self.root / f"bbox_{half}" / image.key[:4] / f"{image.key}.jpg"

    def _layout(self) -> str:
        return ", with bbox_train, bbox_test, and info with " + ", ".join(INFO)

    def _open(self) -> None:
        wanted = ["bbox_train", "bbox_test", *(f"info/{name}" for name in INFO)]
        missing = [name for name in wanted if not (self.root / name).exists()]
        if missing:
            raise self._refuse(missing)
