"""Pictures as columns, from an output's index.parquet or a real set: what every loader reads from.

In: an output's URI, or images as trainers list them. Out: an Index, which may be merged with others
and cut to rows; no picture is read. The file itself is index_file's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedive.errors import ShardError, StorageError
from posedive.shards.index_file import COLUMNS, MEND, NAME, read_table
from posedive.storage import Reader, open_reader


@dataclass(frozen=True)
class Held:
    """A file that holds pictures: a shard, or a real image. bytes is -1, sha256 "" if unknown."""

    store: Reader
    name: str
    bytes: int = -1
    sha256: str = ""

    @property
    def where(self) -> str:
        return f"{self.store.uri}/{self.name}"


@dataclass(frozen=True, eq=False)
class Index:
    """Pictures as columns, all of n rows: what every loader reads from.

    objects: the files that hold them; object (n,) says which. A row's bytes are
    [offset, offset + size) of its object, or the whole object where size is -1.
    sha256 (n,) of 32 bytes each, all zero where it isn't known.
    """

    objects: Sequence[Held]
    object: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    keys: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    generated: np.ndarray
    sha256: np.ndarray

    def __len__(self) -> int:
        return len(self.pids)

    def take(self, rows: np.ndarray) -> "Index":
        """The index of these rows alone: a mask or row numbers."""
        columns = (
            self.object,
            self.offset,
            self.size,
            self.keys,
            self.pids,
            self.camids,
            self.generated,
            self.sha256,
        )
        return Index(self.objects, *(column[rows] for column in columns))


def open_index(uri: str) -> Index:
    """The index of an output, at file, s3:// or http(s)://.

    Raises StorageError for a store that can't be reached, ShardError for an index that is missing,
    is none, or holds a key twice.
    """
    return read_index(open_reader(uri))


def read_index(store: Reader) -> Index:
    """As open_index, of a store."""
    where = f"{store.uri}/{NAME}"
    if not store.exists(NAME):
        raise ShardError(f"{where}: there is none; {MEND} (URI is {store.uri})")
    table, told = read_table(store.get(NAME), where)
    shards = told["shards"]
    names = sorted(shards)
    number = {name: at for at, name in enumerate(names)}
    columns = {name: table.column(name) for name in COLUMNS}
    keys = np.array(columns["key"].to_pylist(), object)
    _check_once(keys, where)
    try:
        objects = [number[name] for name in columns["shard"].to_pylist()]
    except KeyError as error:
        raise ShardError(f"{where}: a row is of {error}, which it doesn't list; {MEND}") from None
    numbers = {
        name: columns[name].to_numpy().astype(np.int64)
        for name in ("offset", "size", "pid", "camid")
    }
    object_ = np.array(objects, np.int32)
    ends = np.array([shards[name]["bytes"] for name in names], np.int64)
    beyond = numbers["offset"] + numbers["size"] > ends[object_] if len(keys) else np.zeros(0, bool)
    if beyond.any() or (len(keys) and min(numbers["offset"].min(), numbers["size"].min()) < 0):
        raise ShardError(f"{where}: a row lies outside of its shard; {MEND}")
    return Index(
        objects=[Held(store, n, shards[n]["bytes"], shards[n]["sha256"]) for n in names],
        object=object_,
        offset=numbers["offset"],
        size=numbers["size"],
        keys=keys,
        pids=numbers["pid"],
        camids=numbers["camid"],
        generated=np.ones(len(keys), bool),
        sha256=np.frombuffer(b"".join(columns["sha256"].to_pylist()), "V32"),
    )


class Files:
    """Any files of this machine, by their paths; for real sets, whose names are as they are."""

    uri = "file:/"

    def get(self, name: str) -> bytes:
        try:
            return Path(name).read_bytes()
        except OSError as error:
            raise StorageError(f"{name}: {error.strerror or type(error).__name__}") from error

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self.get(name)[start : start + length]

    def exists(self, name: str) -> bool:
        return Path(name).is_file()


def real_index(images: Iterable[Sequence[Any]]) -> Index:
    """The index of a real set: what a trainer's dataset class calls `train`.

    images: (path, pid, camid, ...) each, as torchreid, fast-reid, CLIP-ReID and TransReID have
    them, but in the pids and camids of the file names, not relabelled. Nothing is read yet.
    """
    listed = [(str(path), int(pid), int(camid)) for path, pid, camid, *_ in images]
    files, count = Files(), len(listed)
    return Index(
        objects=[Held(files, path) for path, _, _ in listed],
        object=np.arange(count, dtype=np.int32),
        offset=np.zeros(count, np.int64),
        size=np.full(count, -1, np.int64),
        keys=np.array([path for path, _, _ in listed], object),
        pids=np.array([pid for _, pid, _ in listed], np.int64),
        camids=np.array([camid for _, _, camid in listed], np.int64),
        generated=np.zeros(count, bool),
        sha256=np.zeros(count, "V32"),
    )


def merge(*parts: Index) -> Index:
    """Sets as one, by pid: a person of two parts is one identity. Raises ShardError when two
    parts hold one key."""
    begins = np.cumsum([0, *(len(part.objects) for part in parts)])
    keys = np.concatenate([part.keys for part in parts])
    _check_once(keys, "merged sets")
    return Index(
        objects=[one for part in parts for one in part.objects],
        object=np.concatenate([p.object + b for p, b in zip(parts, begins, strict=False)]),
        keys=keys,
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("offset", "size", "pids", "camids", "generated", "sha256")
        },
    )


def _check_once(keys: np.ndarray, where: str) -> None:
    if len(set(keys)) < len(keys):
        unique, counts = np.unique(keys.astype(str), return_counts=True)
        raise ShardError(
            f"{where}: key {str(unique[counts > 1][0])!r} is there twice, expected once; run"
            " `posedive verify URI` to see which shard doubles it, then `posedive finalize URI`"
        )
