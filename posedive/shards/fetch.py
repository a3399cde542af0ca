"""Rows of an index -> the bytes of their pictures, checked against the index, in few reads.

Rows that lie near each other in a shard come with one ranged read. What comes back short, or of
another sha256, is a ShardError that says what to run. Passing failures are the store's to retry.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posedive.errors import ShardError, StorageError
from posedive.shards.index import Held, Index
from posedive.storage import FileStore

GAP_BYTES = 128 << 10  # reading so much for nothing costs less than another request
UNKNOWN = bytes(32)


class Fetcher:
    """cache: a folder that keeps whole shards of a store that is far away, one version of each.

    Other versions than the index's are deleted from it: who was taken down is to leave caches, too.
    """

    def __init__(self, index: Index, cache: str | None = None):
        self.index = index
        self.cache = FileStore(Path(cache).expanduser().absolute()) if cache else None
        if self.cache is not None:
            wanted = dict(map(_version, filter(lambda held: held.sha256, index.objects)))
            for path in self.cache.root.glob("*.tar"):
                shard, _, sha256 = path.stem.partition("-")
                if wanted.get(shard, sha256) != sha256:
                    path.unlink(missing_ok=True)

    def one(self, row: int) -> bytes:
        index = self.index
        held = index.objects[index.object[row]]
        offset, size = int(index.offset[row]), int(index.size[row])
        if size < 0:
            return _whole(held)
        return self._checked(row, self._range(held, offset, size))

    def many(self, rows: Sequence[int] | np.ndarray) -> list[bytes]:
        """In the order of `rows`; a row may come twice."""
        index = self.index
        wanted = np.unique(np.asarray(rows, np.int64))
        wanted = wanted[np.lexsort((index.offset[wanted], index.object[wanted]))]
        begins = index.offset[wanted]
        ends = begins + index.size[wanted]
        apart = (np.diff(index.object[wanted]) != 0) | (begins[1:] - ends[:-1] > GAP_BYTES)
        got: dict[int, bytes] = {}
        for run in np.split(np.arange(len(wanted)), np.flatnonzero(apart) + 1):
            if not len(run):
                continue
            first = int(wanted[run[0]])
            held = index.objects[int(index.object[first])]
            if index.size[first] < 0:
                got[first] = _whole(held)
                continue
            begin, end = int(begins[run[0]]), int(ends[run[-1]])
            data = self._range(held, begin, end - begin)
            for at in run:
                picture = data[int(begins[at]) - begin : int(ends[at]) - begin]
                got[int(wanted[at])] = self._checked(int(wanted[at]), picture)
        return [got[int(row)] for row in rows]

    def _range(self, held: Held, begin: int, length: int) -> bytes:
        if self.cache is not None and held.sha256:
            store, name = self.cache, self._cached(held)
        else:
            store, name = held.store, held.name
        try:
            data = store.get_range(name, begin, length)
        except StorageError as error:
            raise _missing(held, error) from error
        if len(data) < length:
            raise ShardError(
                f"{held.where}: truncated: expected {held.bytes} bytes, it ends before byte"
                f" {begin + length}; run `posedive verify {held.store.uri}`"
            )
        return data

    def _cached(self, held: Held) -> str:
        """The name in the cache of a whole shard, fetched when it isn't there yet."""
        assert self.cache is not None
        name = "-".join(_version(held)) + ".tar"
        path = self.cache.root / name
        if path.is_file() and path.stat().st_size == held.bytes:
            return name
        try:
            data = held.store.get(held.name)
        except StorageError as error:
            raise _missing(held, error) from error
        if hashlib.sha256(data).hexdigest() != held.sha256:
            raise ShardError(
                f"{held.where}: expected {held.bytes} bytes of sha256 {held.sha256[:12]}…, got"
                f" {len(data)} others; {_mend(held)}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{name}.{secrets.token_hex(4)}")
        partial.write_bytes(data)
        os.replace(partial, path)
        return name

    def _checked(self, row: int, data: bytes) -> bytes:
        expected = self.index.sha256[row].tobytes()
        if expected != UNKNOWN and hashlib.sha256(data).digest() != expected:
            held = self.index.objects[self.index.object[row]]
            raise ShardError(
                f"{held.where}: {self.index.keys[row]}: its bytes aren't those that the index was"
                f" made of; {_mend(held)}"
            )
        return data


def _version(held: Held) -> tuple[str, str]:
    """Which shard of which store it is, and which bytes of it: the two halves of a cached name."""
    return hashlib.sha256(held.where.encode()).hexdigest()[:32], held.sha256


def _whole(held: Held) -> bytes:
    return held.store.get(held.name)


def _missing(held: Held, error: StorageError) -> ShardError | StorageError:
    if held.store.exists(held.name):
        return error
    return ShardError(f"{held.where}: missing; run `posedive verify {held.store.uri}`")


def _mend(held: Held) -> str:
    uri = held.store.uri
    return (
        "open the index again if somebody was taken down meanwhile; else run"
        f" `posedive verify {uri}`, and if the tars are right, `posedive finalize {uri}`"
    )
