"""Real sets' folders, as their trainers read them -> what generated pictures change there.

Per layout: which file says that a folder is such a set, where a picture goes, and the files that
list pictures with the new lines in place. Names are {pid:04d}_c{camid}s0_{camid:06d}_{seq:04d}.jpg
in all of them: the one name whose pid and camid each trainer's parser finds.

    market1501   bounding_box_train/NAME
    msmt17       train/PID/NAME (mask_train_v2 in its second edition), list_train.txt:
                 "PID/NAME label"
    cuhk03       images_generated/NAME, splits_new_*.json: [path, label, camera] from 0
    mars         bbox_train/PID/NAME, info/train_name.txt, info/tracks_train_info.mat: a row
                 [first name, last name, pid, camid] from 1 for each person and camera
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat
from scipy.io.matlab import MatReadError

from posedive.errors import DatasetError
from posedive.shards.index import Index

MSMT_LIST = "list_train.txt"
MSMT_FOLDERS = ("train", "mask_train_v2")
CUHK_SPLITS = "splits_new_*.json"
MARS_NAMES, MARS_TRACKS = "info/train_name.txt", "info/tracks_train_info.mat"
MARS_VARIABLE = "track_train_info"


@dataclass(frozen=True)
class Changes:
    """pictures: {path: row of the index}; files: {path: its new content}; paths below the root."""

    pictures: dict[str, int]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class SetLayout:
    """marker: what a folder of this layout has (a glob). max_pid and max_camid: what its trainers
    assert, where they do."""

    marker: str
    changes: Callable[[Path, Index], Changes]
    max_pid: int = 9999
    max_camid: int = 9


def _market1501(root: Path, index: Index) -> Changes:
    return Changes({f"bounding_box_train/{key}.jpg": row for row, key in enumerate(index.keys)})


def _msmt17(root: Path, index: Index) -> Changes:
    folder = next((name for name in MSMT_FOLDERS if (root / name).is_dir()), MSMT_FOLDERS[0])
    listed = _text(root / MSMT_LIST)
    labels = msmt_labels(listed)
    pictures, lines = {}, []
    for row, (key, pid) in enumerate(zip(index.keys, index.pids.tolist(), strict=True)):
        pictures[f"{folder}/{pid:04d}/{key}.jpg"] = row
        lines.append(f"{pid:04d}/{key}.jpg {labels.get(pid, pid)}\n")
    before = listed if not listed or listed.endswith("\n") else listed + "\n"
    return Changes(pictures, {MSMT_LIST: (before + "".join(lines)).encode()})


def msmt_labels(listed: str) -> dict[int, int]:
    """{number of a person's folder: label} of a list file."""
    return {
        int(found[1]): int(found[2])
        for line in listed.splitlines()
        if (found := re.fullmatch(r"(\d+)/\S+ (\d+)", line.strip()))
    }


def _cuhk03(root: Path, index: Index) -> Changes:
    pictures = {f"images_generated/{key}.jpg": row for row, key in enumerate(index.keys)}
    files = {}
    for path in sorted(root.glob(CUHK_SPLITS)):
        splits = read_splits(path)
        for split in splits:
            train = split["train"]
            absolute = not train or Path(train[0][0]).is_absolute()
            # Labels and cameras begin at 0 here, pids and camids of shards at 1.
            split["train"] = train + [
                [str(root / name) if absolute else name, pid - 1, camid - 1]
                for name, pid, camid in zip(
                    pictures, index.pids.tolist(), index.camids.tolist(), strict=True
                )
            ]
            split["num_train_imgs"] = len(split["train"])
            split["num_train_pids"] = len({pid for _, pid, _ in split["train"]})
        files[path.name] = json.dumps(splits, indent=4).encode()
    return Changes(pictures, files)


def read_splits(path: Path) -> list[dict]:
    """Raises DatasetError unless it is a list of splits with a "train" of [path, pid, camid]."""
    try:
        splits = json.loads(path.read_bytes())
        whole = all(len(one) == 3 for split in splits for one in split["train"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: expected splits as torchreid writes them, got {type(error).__name__}"
        ) from error
    if not whole:
        raise DatasetError(f"{path}: expected [path, pid, camid] in each line of train")
    return splits


def _mars(root: Path, index: Index) -> Changes:
    names = _text(root / MARS_NAMES).splitlines()
    tracks = read_tracks(root / MARS_TRACKS) if (root / MARS_TRACKS).is_file() else None
    rows = [] if tracks is None else [tracks]
    pictures = {}
    order = np.lexsort((index.camids, index.pids))
    people = np.stack([index.pids[order], index.camids[order]], 1)
    starts = np.flatnonzero(np.diff(people, axis=0, prepend=-1).any(1))
    for run in np.split(order, starts[1:]):
        first = len(names) + 1
        pid, camid = int(index.pids[run[0]]), int(index.camids[run[0]])
        for row in run.tolist():
            names.append(f"{index.keys[row]}.jpg")
            pictures[f"bbox_train/{pid:04d}/{index.keys[row]}.jpg"] = row
        rows.append(np.array([[first, len(names), pid, camid]], np.int32))
    out = io.BytesIO()
    whole = np.concatenate([np.asarray(part, np.int32) for part in rows])
    savemat(out, {MARS_VARIABLE: whole})
    listed = "".join(f"{name}\n" for name in names).encode()
    return Changes(pictures, {MARS_NAMES: listed, MARS_TRACKS: out.getvalue()})


def read_tracks(path: Path) -> np.ndarray:
    """(n, 4) rows of first name, last name, pid, camid. Raises DatasetError for anything else."""
    try:
        tracks = loadmat(path)[MARS_VARIABLE]
    except (OSError, KeyError, ValueError, NotImplementedError, TypeError, MatReadError) as error:
        raise DatasetError(
            f"{path}: expected a .mat with {MARS_VARIABLE}, got {type(error).__name__}"
        ) from error
    if tracks.ndim != 2 or tracks.shape[1] != 4:
        raise DatasetError(f"{path}: expected rows of 4 numbers, got shape {tracks.shape}")
    return tracks


def _text(path: Path) -> str:
    try:
        return path.read_text() if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: expected a text file ({type(error).__name__})") from error


LAYOUTS: Mapping[str, SetLayout] = {
    "market1501": SetLayout("bounding_box_train", _market1501, max_pid=1501, max_camid=6),
    "msmt17": SetLayout(MSMT_LIST, _msmt17, max_camid=15),
    "cuhk03": SetLayout(CUHK_SPLITS, _cuhk03),
    "mars": SetLayout(MARS_NAMES, _mars, max_camid=6),
}
