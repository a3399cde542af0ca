"""A set's folder -> what its trainers would read wrongly, or not at all, without a word.

Which layout a folder has is told by its marker (layouts). Traps, each with where and what to do:
    path        the path above the pictures looks like a name ([-digits]_cN): parsers search it, too
    name        not like 0002_c1s0_000001_0007.jpg
    suffix      .png, .jpeg, .JPG: not read
    nested      a folder, where only files are read
    bounds      a pid or camid that a trainer asserts against, or reads one digit of
    gap         labels that aren't 0..n-1 where a trainer asserts it
    clash       two pictures of one name
    list        a list file that disagrees with the folder
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posedive.errors import DatasetError
from posedive.shards.layouts import (
    CUHK_SPLITS,
    LAYOUTS,
    MARS_NAMES,
    MARS_TRACKS,
    MSMT_FOLDERS,
    MSMT_LIST,
    read_splits,
    read_tracks,
)

MAX_TRAPS = 100
# What torchreid, fast-reid, CLIP-ReID, TransReID and SOLIDER-REID search a whole path with.
PARSER = re.compile(r"([-\d]+)_c(\d)")
NAME = re.compile(r"(-1|\d{4,})_c(\d+)s\d+_\d+_\d+")
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
MARKET_FOLDERS = ("bounding_box_train", "query", "bounding_box_test")


@dataclass(frozen=True)
class Trap:
    kind: str
    where: str
    told: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.told}"


def lint(root: Path) -> dict[str, Any]:
    """{"layout", "pictures", "num_traps", "traps": [text, ...]}, the first MAX_TRAPS of them.

    Raises DatasetError when there is no such folder.
    """
    root = root.expanduser().absolute()
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; expected a Re-ID set's")
    layout = next((name for name, one in LAYOUTS.items() if any(root.glob(one.marker))), "plain")
    counted: Counter[str] = Counter()
    traps = [*_path(root), *CHECKS[layout](root, counted)]
    return {
        "layout": layout,
        "pictures": counted["pictures"],
        "num_traps": len(traps),
        "traps": [str(trap) for trap in traps[:MAX_TRAPS]],
    }


def _path(root: Path) -> Iterator[Trap]:
    for path in dict.fromkeys((root, root.resolve())):
        if found := PARSER.search(f"{path}/"):
            yield Trap(
                "path",
                str(path),
                f"parsers read {found[0]!r} in it as pid {found[1]} and camera {found[2]} of every"
                " picture; rename the folder, or mount it elsewhere",
            )


def _folder(folder: Path, counted: Counter[str], layout: str) -> Iterator[Trap]:
    """The pictures of one folder that is read by globbing *.jpg."""
    limits = LAYOUTS.get(layout)
    seen: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        where = f"{folder.name}/{path.name}"
        if path.is_dir():
            yield Trap("nested", where, "a folder; only the files beside it are read: move them up")
            continue
        if path.suffix.lower() in PICTURES and path.suffix != ".jpg":
            yield Trap("suffix", where, "only .jpg is read; encode it as JPEG and name it .jpg")
        if path.suffix.lower() not in PICTURES:
            continue  # Thumbs.db and the like, which everybody's copy has
        counted["pictures"] += 1
        if path.is_symlink() and not path.exists():
            yield Trap("list", where, "a link to nothing; was the real set moved? export again")
        other = seen.setdefault(path.stem.lower(), path.name)
        if other != path.name:
            yield Trap("clash", where, f"differs from {other} in suffix or case only; rename one")
        yield from _name(path.stem, where, limits.max_pid if limits else 9999, layout)


def _name(stem: str, where: str, max_pid: int, layout: str) -> Iterator[Trap]:
    found = NAME.fullmatch(stem)
    if found is None:
        yield Trap("name", where, "expected a name like 0002_c1s0_000001_0007.jpg")
        return
    pid, camid = int(found[1]), int(found[2])
    most = LAYOUTS[layout].max_camid if layout in LAYOUTS else 9
    if pid > max_pid:
        yield Trap("bounds", where, f"pid {pid}; trainers assert at most {max_pid}")
    if not 1 <= camid <= most:
        digit = f", and parsers read camera {found[2][0]}" if camid > 9 else ""
        yield Trap("bounds", where, f"camera {camid}; trainers assert 1 to {most}{digit}")


def _market1501(root: Path, counted: Counter[str]) -> Iterator[Trap]:
    holders: dict[str, str] = {}
    for name in MARKET_FOLDERS:
        if not (root / name).is_dir():
            yield Trap("list", name, "no such folder; trainers read it")
            continue
        yield from _folder(root / name, counted, "market1501")
        for path in sorted((root / name).glob("*.jpg")):
            other = holders.setdefault(path.name, name)
            if "bounding_box_train" in (name, other) and name != other:
                yield Trap("clash", f"{name}/{path.name}", f"of the same name as one in {other}")


def _msmt17(root: Path, counted: Counter[str]) -> Iterator[Trap]:
    folder = next((root / name for name in MSMT_FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        yield Trap("list", MSMT_LIST, f"none of the folders {', '.join(MSMT_FOLDERS)} is there")
        return
    labels: dict[int, int] = {}
    seen: Counter[str] = Counter()
    for number, line in enumerate((root / MSMT_LIST).read_text().splitlines(), 1):
        where = f"{MSMT_LIST}:{number}"
        path, _, label = line.strip().rpartition(" ")
        fields = path.split("_")
        if not label.isdigit() or len(fields) < 3 or not fields[2].isdigit():
            yield Trap(
                "list", where, f"expected 0001/0001_c1s0_000001_0007.jpg 1, got {line[:80]!r}"
            )
            continue
        counted["pictures"] += 1
        seen[path] += 1
        person = path.partition("/")[0]
        if person.isdigit() and labels.setdefault(int(person), int(label)) != int(label):
            yield Trap("list", where, f"folder {person} has two labels")
        if not 1 <= int(fields[2]) <= LAYOUTS["msmt17"].max_camid:
            yield Trap("bounds", where, f"camera {int(fields[2])}, expected 1 to 15")
        if not path.endswith(".jpg"):
            yield Trap("suffix", where, "expected .jpg")
        if not (folder / path).is_file():
            yield Trap("list", where, f"no such picture in {folder.name}/")
    for path, count in seen.items():
        if count > 1:
            yield Trap("clash", MSMT_LIST, f"{path} is listed {count} times")
    yield from _gaps(set(labels.values()), MSMT_LIST)


def _cuhk03(root: Path, counted: Counter[str]) -> Iterator[Trap]:
    for path in sorted(root.glob(CUHK_SPLITS)):
        for split in read_splits(path):
            names = Counter(str(one[0]) for one in split["train"])
            counted["pictures"] += len(names)
            for name, count in names.items():
                if not (root / name).is_file():
                    yield Trap("list", path.name, f"no such picture: {name}")
                if count > 1:
                    yield Trap("clash", path.name, f"{name} is listed {count} times")
            held_out = {str(one[0]) for part in ("query", "gallery") for one in split.get(part, [])}
            for name in sorted(held_out & names.keys()):
                yield Trap("clash", path.name, f"{name} is in train and in the test")
            yield from _gaps({int(one[1]) for one in split["train"]}, path.name)


def _mars(root: Path, counted: Counter[str]) -> Iterator[Trap]:
    names = (root / MARS_NAMES).read_text().split()
    counted["pictures"] = len(names)
    for name, count in Counter(names).items():
        if count > 1:
            yield Trap("clash", MARS_NAMES, f"{name} is listed {count} times")
    for row, (first, last, pid, camid) in enumerate(read_tracks(root / MARS_TRACKS).tolist()):
        where = f"{MARS_TRACKS} row {row + 1}"
        if not 1 <= first <= last <= len(names):
            yield Trap("list", where, f"names {first} to {last} of {len(names)}")
            continue
        if pid != -1 and not 1 <= camid <= LAYOUTS["mars"].max_camid:
            yield Trap("bounds", where, f"camera {camid}; trainers assert 1 to 6")
        track = names[first - 1 : last]
        # Trainers compare these very letters, in their names 0001C1T0001F001.jpg and in ours.
        if len({name[:4] for name in track}) > 1 or len({name[5] for name in track}) > 1:
            yield Trap("list", where, f"more than one person or camera: {track[0]} to {track[-1]}")
        for name in track:
            if not (root / "bbox_train" / name[:4] / name).is_file():
                yield Trap("list", where, f"no such picture: bbox_train/{name[:4]}/{name}")


def _plain(root: Path, counted: Counter[str]) -> Iterator[Trap]:
    return _folder(root, counted, "plain")


def _gaps(labels: set[int], where: str) -> Iterator[Trap]:
    missing = sorted(set(range(max(labels, default=-1) + 1)) - labels)
    if missing:
        yield Trap(
            "gap",
            where,
            f"labels go to {max(labels)} but {len(missing)} are missing, the first {missing[0]};"
            " trainers assert that there are none: label from 0 without gaps",
        )


CHECKS = {
    "market1501": _market1501,
    "msmt17": _msmt17,
    "cuhk03": _cuhk03,
    "mars": _mars,
    "plain": _plain,
}
