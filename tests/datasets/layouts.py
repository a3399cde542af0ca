"""Small sets in exactly the published layouts, written by tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (16, 32)


def picture(shade: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    width, height = size
    ramp = np.linspace(40, 200, height * width * 3).reshape(height, width, 3)
    return ((ramp + shade) % 256).astype(np.uint8)


def put(path: Path, shade: int = 0, kind: str = "JPEG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(shade)).save(path, format=kind)
    return path


def msmt17(
    root: Path,
    folders: tuple[str, str] = ("train", "test"),
    train: Sequence[str] = ("0000/0000_000_01_0303morning_0008_0.jpg 0",),
    val: Sequence[str] = ("0001/0001_004_15_0303noon_0017_2.jpg 1",),
    query: Sequence[str] = ("0000/0000_000_02_0303morning_0015_0.jpg 0",),
    gallery: Sequence[str] = ("0000/0000_001_03_0113afternoon_0015_1.jpg 0",),
) -> Path:
    lists = {"train": train, "val": val, "query": query, "gallery": gallery}
    for folder in folders:
        (root / folder).mkdir(parents=True)
    for name, lines in lists.items():
        (root / f"list_{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        for line in lines:
            put(root / folders[name in ("query", "gallery")] / line.split(" ")[0])
    return root


def cuhk03_json(root: Path, splits: dict[str, list[str]], boxes: str = "detected") -> Path:
    """As torchreid writes it: absolute paths of another machine, pids of train from 0."""
    document: dict = {}
    for split, names in splits.items():
        rows = [
            [
                f"/home/someone/reid-data/cuhk03/images_{boxes}/{name}",
                i,
                int(name[6:7] or 1) - 1,
            ]
            for i, name in enumerate(names)
        ]
        document |= {split: rows, f"num_{split}_pids": len(names), f"num_{split}_imgs": len(names)}
        for name in names:
            put(root / f"images_{boxes}" / name, kind="PNG")
    (root / f"splits_new_{boxes}.json").write_text(json.dumps([document]))
    return root


def cuhk03_release(root: Path, splits: dict[str, list[str]], boxes: str = "detected") -> Path:
    """cuhk-03.mat as MATLAB 7.3 has it: cells are arrays of references, all transposed; a missing
    image is an empty array. Beside it the new protocol's MAT 5 file."""
    names = [name for of_split in splits.values() for name in of_split]
    (root / "cuhk03_release").mkdir(parents=True)
    with h5py.File(root / "cuhk03_release" / "cuhk-03.mat", "w") as file:
        empty = file.create_dataset("#refs#/empty", data=np.zeros(2, np.uint64))
        pairs = file.create_dataset(boxes, (1, 5), dtype=h5py.ref_dtype)
        for pair in range(5):
            cell = file.create_dataset(f"#refs#/{pair}", (10, 3), dtype=h5py.ref_dtype)
            cell[...] = np.full((10, 3), empty.ref, dtype=h5py.ref_dtype)
            pairs[0, pair] = cell.ref
            for shade, name in enumerate(names):
                of_pair, person, _, number = (int(part) for part in name[:-4].split("_"))
                if of_pair == pair + 1:
                    image = file.create_dataset(f"#refs#/{name}", data=picture(shade).T)
                    cell[number - 1, person - 1] = image.ref
    filelist = np.empty((len(names), 1), dtype=object)
    filelist[:, 0] = names
    index = {f"{split}_idx": [[1 + names.index(n)] for n in of] for split, of in splits.items()}
    savemat(
        root / f"cuhk03_new_protocol_config_{boxes}.mat",
        {"filelist": filelist, "labels": np.ones((len(names), 1)), **index},
    )
    return root


def mars(
    root: Path,
    train: Sequence[tuple[int, int, int]] = ((1, 1, 3), (1, 2, 2)),
    test: Sequence[tuple[int, int, int]] = ((6, 1, 2), (6, 3, 2), (-1, 2, 1), (0, 2, 1)),
    query: Sequence[int] = (1,),
) -> Path:
    """train and test: (pid, camid, frames) of each tracklet; query: rows of test, from 1."""
    (root / "info").mkdir(parents=True)
    for half, tracklets in {"train": train, "test": test}.items():
        names: list[str] = []
        rows = []
        for number, (pid, camid, frames) in enumerate(tracklets, 1):
            folder = "00-1" if pid == -1 else f"{pid:04d}"
            rows.append((len(names) + 1, len(names) + frames, pid, camid))
            for frame in range(1, frames + 1):
                names.append(f"{folder}C{camid}T{number:04d}F{frame:03d}.jpg")
                put(root / f"bbox_{half}" / folder / names[-1])
        (root / "info" / f"{half}_name.txt").write_text("".join(f"{n}\n" for n in names))
        array = np.array(rows, np.int32).reshape(-1, 4)
        savemat(root / "info" / f"tracks_{half}_info.mat", {f"track_{half}_info": array})
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array([list(query)], np.uint16)})
    return root


def video(path: Path, frames: int) -> Path:
    """Frame n is grey, about 6 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), fourcc, 30, SIZE)
    for n in range(frames):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 6 * n, np.uint8))
    writer.release()
    return path
