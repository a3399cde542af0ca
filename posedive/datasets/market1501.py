"""Market-1501 as published -> PersonImages, and the SMPL fits that someone has made of them.

In: a folder with bounding_box_train, query and bounding_box_test, and fits as datasets/README.md
describes. Out: images by split, with pid -1 (junk) and 0 (distractor) of the gallery as published.
DukeMTMC-reID has the same folders and other names; its authors have withdrawn it.
"""

import re
from pathlib import Path

from posedive.datasets.published import Listed, PublishedSet, Skipped
from posedive.errors import DatasetError
from posedive.records import PersonImage

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SUFFIX = ".jpg"
WITHDRAWN = (
    "DukeMTMC-reID was withdrawn by its authors in 2019: the people in it were filmed without"
    " having been asked"
)


class Market1501(PublishedSet):
    """Keys are the files' stems."""

    title = "Market-1501"
    published = {"train": (12_936, 751), "query": (3_368, 750), "gallery": (19_732, 750)}
    example = "0001_c1s1_000151_01.jpg"
    grammar = re.compile(r"(-1|\d{4,})_c(\d+)s(\d+)_(\d+)_(\d+)")

    def _list(self, split: str) -> tuple[list[Listed], Skipped]:
        folder = self.root / FOLDERS[split]
        listed, skipped = [], []
        for path in sorted(folder.iterdir()):
            one = self._listed(path, split)
            if isinstance(one, Listed):
                listed.append(one)
            else:
                skipped.append((f"{folder.name}/{path.name}", one))
        self._hold_against_published(split, len(listed), (one.pid for one in listed))
        return listed, skipped

    def _listed(self, path: Path, split: str) -> Listed | str:
        """The file as an image of the split, or why it is none."""
        if path.is_dir():
            return "a folder"
        if path.suffix != SUFFIX:
            return f"suffix {path.suffix!r} is not {SUFFIX!r}"
        match = self.grammar.fullmatch(path.stem)
        if match is None:
            return f"name is not like {self.example}"
        pid, camid = int(match[1]), int(match[2])
        if split != "gallery" and pid <= 0:
            return f"pid {pid} (junk or distractor) outside the gallery"
        return Listed(f"{path.parent.name}/{path.name}", path, path.stem, pid, camid)

    def _path(self, image: PersonImage) -> Path:
        return self.root / FOLDERS[image.split] / (image.key + SUFFIX)

    def _layout(self) -> str:
        return ", with " + ", ".join(FOLDERS.values())

    def _open(self) -> None:
        missing = [name for name in FOLDERS.values() if not (self.root / name).is_dir()]
        if missing:
            nested = [p.parent for p in self.root.glob(f"*/{FOLDERS['train']}")]
            near = nested or ([self.root.parent] if self.root.name in FOLDERS.values() else [])
            raise self._refuse(missing, f"; did you mean {near[0]}?" if near else "")


class DukeMTMC(Market1501):
    """accept_withdrawn: read it all the same; DatasetError says why not without."""

    title = "DukeMTMC-reID"
    published = {
        "train": (16_522, 702),
        "query": (2_228, 702),
        "gallery": (17_661, 1_110),
    }
    example = "0001_c2_f0046182.jpg"
    grammar = re.compile(r"(\d{4,})_c(\d+)_f(\d+)")

    def __init__(self, root: str, fits: str | None = None, accept_withdrawn: bool = False):
        if not accept_withdrawn:
            raise DatasetError(
                f"{root}: {WITHDRAWN}. Choose another set, as MSMT17; or, where you may use it,"
                " say accept_withdrawn: true"
            )
        super().__init__(root, fits)
