"""index.parquet, the offset index as a file: one row per picture -> where its bytes are and whose.

Columns: shard (object name), offset and size (bytes, of the JPEG), key, pid, camid, split, scores
(struct of numbers), sha256 (of the JPEG, 32 bytes), record_offset and record_size (of its JSON).
Rows lie in the order of the shards and of their keys, so an identity's are next to each other.
The file's metadata holds, as JSON under `posedive`, the plan's digest and each shard's bytes,
samples and sha256. `index` is what loaders make of it.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posedive.errors import ShardError
from posedive.shards.layout import pid_camid_of
from posedive.shards.tar import Sample, check_members, walk_members

NAME = "index.parquet"
FORMAT = "posedive-index/1"
SCORES = ("confidence", "reference_confidence", "oks")  # null where a record has none
RECORD = ("record_offset", "record_size")
ROW_GROUP = 65536
MEND = "run `posedive finalize URI` to build it anew from the tars"

COLUMNS = {
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
    return pa.Table.from_pylist(rows, schema=_schema())


def rows_of(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """(shard, key, offset, size, pid, camid, sha256, record_offset, record_size) of each row."""
    names = ("shard", "key", "offset", "size", "pid", "camid", "sha256", *RECORD)
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


class IndexWriter:
    """index.parquet, table after table: what is in memory is what is already compressed.

    Row groups hold ROW_GROUP rows or somewhat more: small ones for whoever reads a part, few for
    whoever reads all.
    """

    def __init__(self):
        self._out = io.BytesIO()
        self._writer = pq.ParquetWriter(self._out, _schema(), compression="zstd")
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        if sum(len(each) for each in self._waiting) >= ROW_GROUP:
            self._flush()

    def close(self, plan: str, shards: dict[str, dict[str, Any]]) -> bytes:
        """The file. plan: the digest; shards: {name: {"bytes", "samples", "sha256"}}."""
        self._flush()
        told = {"format": FORMAT, "plan": plan, "shards": shards}
        self._writer.add_key_value_metadata({"posedive": json.dumps(told, sort_keys=True)})
        self._writer.close()
        return self._out.getvalue()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting = []


def read_table(data: bytes, where: str) -> tuple[pa.Table, dict[str, Any]]:
    """The table and the told metadata of an index. Raises ShardError for anything else."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        table, told = file.read(), json.loads((file.metadata.metadata or {})[b"posedive"])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ShardError(f"{where}: no offset index ({type(error).__name__}); {MEND}") from error
    absent = sorted(COLUMNS.keys() - set(table.column_names))
    if told.get("format") != FORMAT or absent:
        raise ShardError(f"{where}: expected format {FORMAT!r}, absent columns: {absent}; {MEND}")
    return table, told


def _schema() -> pa.Schema:
    return pa.schema(list(COLUMNS.items()))


def _scores(record: dict[str, Any]) -> dict[str, float]:
    scores = record.get("scores")
    told = scores if isinstance(scores, dict) else {}
    return {name: float(told[name]) for name in SCORES if type(told.get(name)) in (int, float)}
