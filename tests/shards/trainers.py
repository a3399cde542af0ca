"""How Re-ID trainers read a training set's folder, restated from what their loaders do.

Each returns [(path, pid, camid)], pids and camids as the files say them, from 1. READERS: which
trainers read like this. None of their code; the expressions and checks are theirs.
"""

import glob
import json
import re
from pathlib import Path

from scipy.io import loadmat

# Searched, not matched, in the whole path.
MARKET = re.compile(r"([-\d]+)_c(\d)")

READERS = {
    "market1501": ("torchreid", "fast-reid", "CLIP-ReID", "TransReID", "SOLIDER-REID"),
    "msmt17": ("torchreid", "fast-reid", "CLIP-ReID", "TransReID", "SOLIDER-REID"),
    "cuhk03": ("torchreid", "fast-reid"),
    "mars": ("torchreid",),
}


def market1501(root: Path) -> list[tuple[str, int, int]]:
    read = []
    for path in glob.glob(str(root / "bounding_box_train" / "*.jpg")):
        found = MARKET.search(path)
        assert found is not None
        pid, camid = int(found[1]), int(found[2])
        if pid == -1:
            continue
        assert 0 <= pid <= 1501
        assert 1 <= camid <= 6
        read.append((path, pid, camid))
    return read


def msmt17(root: Path) -> list[tuple[str, int, int]]:
    """The label is the pid: CLIP-ReID and TransReID assert that labels are 0..n-1."""
    read = []
    for line in (root / "list_train.txt").read_text().splitlines(keepends=True):
        path, label = line.split(" ")
        camid = int(path.split("_")[2])
        read.append((str(root / "train" / path), int(label), camid))
    labels = {label for _, label, _ in read}
    assert labels == set(range(len(labels)))
    return read


def cuhk03(root: Path) -> list[tuple[str, int, int]]:
    split = json.loads((root / "splits_new_detected.json").read_text())[0]
    assert split["num_train_imgs"] == len(split["train"])
    return [(path, label + 1, camid + 1) for path, label, camid in split["train"]]


def mars(root: Path) -> list[tuple[str, int, int]]:
    names = (root / "info/train_name.txt").read_text().splitlines()
    read = []
    for first, last, pid, camid in loadmat(root / "info/tracks_train_info.mat")["track_train_info"]:
        assert 1 <= camid <= 6
        track = names[first - 1 : last]
        assert len({name[:4] for name in track}) == 1
        assert len({name[5] for name in track}) == 1
        for name in track:
            read.append((str(root / "bbox_train" / name[:4] / name), int(pid), int(camid)))
    return read


TRAINERS = {"market1501": market1501, "msmt17": msmt17, "cuhk03": cuhk03, "mars": mars}
