"""The offset index: index.parquet, one row per picture -> where its bytes are and whose they are.

Columns: shard (object name), offset and size (bytes, of the JPEG), key, pid, camid, split, scores
(struct of numbers), sha256 (of the JPEG, 32 bytes), record_offset and record_size (of its JSON).
Rows lie in the order of the shards and of their keys, so an identity's are next to each other.
The file's metadata holds, as JSON under `posedive`, the plan's digest and each shard's bytes,
samples and sha256.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posedive.errors import ShardError, StorageError
from posedive.shards.layout import pid_camid_of
from posedive.shards.tar import Sample, check_members, walk_members
from posedive.storage import Reader, open_reader

NAME = "index.parquet"
FORMAT = "posedive-index/1"
SCORES = ("confidence", "reference_confidence", "oks")  # null where a record has none
RECORD = ("record_offset", "record_size")
MEND = "run `posedive finalize URI` to build it anew from the tars"

_SCHEMA = {
    "shard": pa.string(),
    "offset": pa.int64(),
    "size": pa.int64(),
    "key": pa.string(),
    "pid": pa.int64(),
    "camid": pa.int64(),
    "split": pa.string(),
    "scores": pa.struct([(name, pa.float64()) for name in SCORES]),
    "sha256": pa.binary(32),
    "record_offset": pa.int64(),
    "record_size": pa.int64(),
}


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


def shard_rows(data: bytes, name: str, split: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of one tar, and what is told of it: {"bytes", "samples", "sha256", "manifest"}.

    Raises ShardError as reading the shard does.
    """
    spans = walk_members(data, name)
    members = [(member, data[at : at + size]) for member, at, size in spans]
    manifest, samples = check_members(members, name)
    rows = sample_rows(name, spans, manifest, samples, split)
    told = {
        "bytes": len(data),
        "samples": len(rows),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return rows, told | {"manifest": manifest}


def sample_rows(
    name: str,
    spans: list[tuple[str, int, int]],
    manifest: dict[str, Any],
    samples: list[Sample],
    split: str,
) -> list[dict[str, Any]]:
    """As shard_rows, of a shard that is read and checked already."""
    where = {member: (at, size) for member, at, size in spans}
    rows = []
    for sample in samples:
        pid, camid = pid_camid_of(sample.key)
        (offset, size), record = where[f"{sample.key}.jpg"], where[f"{sample.key}.json"]
        rows.append(
            {
                "shard": name,
                "offset": offset,
                "size": size,
                "key": sample.key,
                "pid": pid,
                "camid": camid,
                "split": split,
                "scores": _scores(sample.record),
                "sha256": bytes.fromhex(manifest["sha256"][f"{sample.key}.jpg"]),
                "record_offset": record[0],
                "record_size": record[1],
            }
        )
    return rows


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(list(_SCHEMA.items())))


def rows_of(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """(shard, key, offset, size, pid, camid, sha256, record_offset, record_size) of each row."""
    names = ("shard", "key", "offset", "size", "pid", "camid", "sha256", *RECORD)
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def encode_index(tables: Sequence[pa.Table], plan: str, shards: dict[str, dict[str, Any]]) -> bytes:
    """index.parquet. plan: the digest; shards: {name: {"bytes", "samples", "sha256"}}."""
    told = {"format": FORMAT, "plan": plan, "shards": shards}
    table = pa.concat_tables(tables).replace_schema_metadata(
        {"posedive": json.dumps(told, sort_keys=True)}
    )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def read_table(data: bytes, where: str) -> tuple[pa.Table, dict[str, Any]]:
    """The table and the told metadata of an index. Raises ShardError for anything else."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        told = json.loads((table.schema.metadata or {})[b"posedive"])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ShardError(f"{where}: no offset index ({type(error).__name__}); {MEND}") from error
    absent = sorted(_SCHEMA.keys() - set(table.column_names))
    if told.get("format") != FORMAT or absent:
        raise ShardError(f"{where}: expected format {FORMAT!r}, absent columns: {absent}; {MEND}")
    return table, told


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
    columns = {name: table.column(name) for name in _SCHEMA}
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


def _scores(record: dict[str, Any]) -> dict[str, float]:
    scores = record.get("scores")
    told = scores if isinstance(scores, dict) else {}
    return {name: float(told[name]) for name in SCORES if type(told.get(name)) in (int, float)}
