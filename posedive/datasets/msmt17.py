"""MSMT17 as published -> PersonImages: both versions of its folders.

In: list_train.txt, list_val.txt, list_query.txt and list_gallery.txt, in a line an image below its
folder and its pid (`0000/0000_000_01_0303morning_0008_0.jpg 0`), beside train/ and test/ (version
1) or mask_train_v2/ and mask_test_v2/ (version 2, faces blurred); or a folder above, in which is
MSMT17_V1/ or MSMT17_V2/. Out: `train` is list_train and list_val, the 32,621 images that most
papers train on.

Published pids begin at 0 in each half, where 0 elsewhere is a distractor: here train is the
published pid + 1, and query and gallery the published pid + 1042.
"""

import re
from pathlib import Path

from posedive.datasets.published import Listed, PublishedSet, Skipped
from posedive.errors import DatasetError
from posedive.records import PersonImage

LISTS = {
    "train": ("list_train.txt", "list_val.txt"),
    "query": ("list_query.txt",),
    "gallery": ("list_gallery.txt",),
}
# By version: where images of train, and those of query and gallery, are.
FOLDERS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
TRAIN_PIDS = 1041
LINE = re.compile(r"(\d{4})/((\d{4})_\d+_(\d{2})_\w+)\.jpg +(\d+)")


class MSMT17(PublishedSet):
    """Keys are the files' stems; camids 1 to 15, the third field of a name."""

    title = "MSMT17"
    published = {
        "train": (32_621, 1_041),
        "query": (11_659, 3_060),
        "gallery": (82_161, 3_060),
    }
    example = "0000/0000_000_01_0303morning_0008_0.jpg"

    def _list(self, split: str) -> tuple[list[Listed], Skipped]:
        folder = self.folder / self.folders[split != "train"]
        listed: dict[str, Listed] = {}
        skipped = []
        for name in LISTS[split]:
            for number, line in enumerate(self._lines(name), 1):
                one = self._listed(folder, split, line)
                if isinstance(one, Listed) and one.key not in listed:
                    listed[one.key] = one
                else:
                    reason = "listed twice" if isinstance(one, Listed) else one
                    skipped.append((f"{name}:{number}: {line[:80]}", reason))
        self._hold_against_published(split, len(listed), (one.pid for one in listed.values()))
        return [listed[key] for key in sorted(listed)], skipped

    def _listed(self, folder: Path, split: str, line: str) -> Listed | str:
        match = LINE.fullmatch(line)
        if match is None:
            return f"the line is not like '{self.example} 0'"
        pid = int(match[5])
        if not int(match[1]) == int(match[3]) == pid:
            return f"pid {pid}, in a folder and with a name of pid {match[1]} and {match[3]}"
        if split == "train" and pid >= TRAIN_PIDS:
            return f"pid {pid} is not below {TRAIN_PIDS}, the number of people of train"
        name = f"{match[1]}/{match[2]}.jpg"
        shown = f"{folder.name}/{name}"
        offset = 1 if split == "train" else 1 + TRAIN_PIDS
        return Listed(shown, folder / name, match[2], pid + offset, int(match[4]))

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        try:
            return path.read_text(encoding="ascii").splitlines()
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}: expected lines like '{self.example} 0': {error}") from None

    def _path(self, image: PersonImage) -> Path:
        folder = self.folder / self.folders[image.split != "train"]
        return folder / image.key[:4] / f"{image.key}.jpg"

    def _layout(self) -> str:
        lists = ", ".join(name for names in LISTS.values() for name in names)
        return f" (or MSMT17_V1, MSMT17_V2 in it), with {lists}, and train, test or " + ", ".join(
            FOLDERS["V2"]
        )

    def _open(self) -> None:
        inner = [self.root / f"MSMT17_{version}" for version in FOLDERS]
        self.folder = next((path for path in inner if path.is_dir()), self.root)
        names = [name for names in LISTS.values() for name in names]
        missing = [name for name in names if not (self.folder / name).is_file()]
        versions = [
            folders
            for folders in FOLDERS.values()
            if all((self.folder / name).is_dir() for name in folders)
        ]
        if not versions:
            missing.append(" or ".join(f"{train} and {test}" for train, test in FOLDERS.values()))
        if missing:
            raise self._refuse(missing)
        self.folders = versions[0]
