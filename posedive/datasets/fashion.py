"""UBC Fashion Video as published (Zablotskaia et al. 2019) -> PersonImages: frames of its videos.

In: train/ and test/ with *.mp4, as the published script leaves them; or videos/ with all of them.
Where fashion_train.txt and fashion_test.txt (a video's address a line) are there too, they say what
a split should hold and in which order; videos/ needs them. Out: one person a video, pids in the
order of the list, or of names: train from 1, test from 501; camid 1; every `frame_step`-th frame.
"""

import re
from pathlib import Path

import cv2
import numpy as np

from posedive.datasets.image_files import Size
from posedive.datasets.published import Listed, PublishedSet, Skipped
from posedive.errors import DatasetError
from posedive.records import PersonImage

SUFFIX = ".mp4"
NAME = re.compile(r"[\w+-][\w+.-]*\.mp4")
FRAMES_PER_VIDEO = 100_000  # above it, a damaged header
FIRST_PID = {"train": 1, "test": 501}


class FashionVideo(PublishedSet):
    """Keys are {video's stem}_{frame:06d}, frames counted from 0; counts are of videos."""

    title = "UBC Fashion Video"
    published = {"train": (500, 500), "test": (100, 100)}
    counted = "videos"
    example = "train/91-3003CN5S.mp4"

    def __init__(self, root: str, fits: str | None = None, frame_step: int = 10):
        self.frame_step = frame_step
        self.film: Film | None = None
        super().__init__(root, fits)

    def read(self, image: PersonImage) -> np.ndarray:
        """Fast for frames of one video in their order: the video is then decoded once."""
        path = self._path(image)
        if self.film is None or self.film.path != path:
            self.film = Film(path)
        pixels = self.film.frame(int(image.key[-6:]))
        if pixels is None:
            raise DatasetError(f"{path}: frame {int(image.key[-6:])} can't be decoded")
        return pixels

    def _list(self, split: str) -> tuple[list[Listed], Skipped]:
        listed: list[Listed] = []
        skipped: Skipped = []
        videos = 0
        for number, name in enumerate(self._names(split)):
            if NAME.fullmatch(name) is None:
                skipped.append((name[:80], f"name is not like {Path(self.example).name}"))
                continue
            path = self._folder(split) / name
            film = Film(path)
            if film.size_px is None:
                there = "not a readable MP4" if path.is_file() else "listed, but not there"
                skipped.append((f"{path.parent.name}/{name}", there))
                continue
            videos += 1
            self._sizes[path] = film.size_px
            for frame in range(0, film.num_frames, self.frame_step):
                key = f"{path.stem}_{frame:06d}"
                shown = f"{path.parent.name}/{name}:{frame}"
                listed.append(Listed(shown, path, key, FIRST_PID[split] + number, 1))
        self._hold_against_published(split, videos, (one.pid for one in listed))
        return listed, skipped

    def _names(self, split: str) -> list[str]:
        """Videos of the split; a list names each by its address."""
        path = self._list_path(split)
        if path.is_file():
            lines = path.read_text(encoding="ascii", errors="replace").split()
            return list(dict.fromkeys(line.rsplit("/", 1)[-1] for line in lines))
        return sorted(each.name for each in self._folder(split).glob(f"*{SUFFIX}"))

    def _size_px(self, one: Listed) -> tuple[Size | None, str]:
        return self._sizes[one.path], ""

    def _path(self, image: PersonImage) -> Path:
        return self._folder(image.split) / f"{image.key[:-7]}{SUFFIX}"

    def _folder(self, split: str) -> Path:
        return self.root / ("videos" if self.one_folder else split)

    def _list_path(self, split: str) -> Path:
        return self.root / f"fashion_{split}.txt"

    def _layout(self) -> str:
        lists = " and ".join(self._list_path(split).name for split in FIRST_PID)
        return f", with train and test; or with videos, {lists}"

    def _open(self) -> None:
        self._sizes: dict[Path, Size] = {}
        self.one_folder = (self.root / "videos").is_dir()
        paths = [self._list_path(split) for split in FIRST_PID]
        if not self.one_folder:
            paths = [self.root / split for split in FIRST_PID]
        missing = [path.name for path in paths if not path.exists()]
        if missing:
            raise self._refuse(missing)


class Film:
    """A video read forwards: seeking in H.264 may land beside the frame, counting does not."""

    def __init__(self, path: Path):
        self.path = path
        self.size_px: Size | None = None
        self.num_frames = 0
        self._open()

    def _open(self) -> None:
        self.capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        self.next = 0
        count = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)) if self.capture.isOpened() else 0
        if 0 < count <= FRAMES_PER_VIDEO:
            self.num_frames = count
            width = int(self.capture.get(cv2.CAP_PROP_FRAME_WIDTH))
            self.size_px = width, int(self.capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def frame(self, number: int) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB; None when the video ends before it, or is damaged there."""
        if number < self.next:
            self._open()
        while self.next <= number:
            if not self.capture.grab():
                return None
            self.next += 1
        there, pixels = self.capture.retrieve()
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if there else None
