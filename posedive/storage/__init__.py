"""Objects by name under one root: a folder, or a bucket's prefix -> bytes. The only boto3.

A URI in (`s3://bucket/prefix`, `file:///abs`, a plain path), a Store out; for reading only also
`https://host/path`, by open_reader. Names are relative POSIX
paths; anything that could leave the root is refused. Every store has
  get(name) -> bytes
  get_range(name, start, length)      that many bytes; fewer where the object ends before
  put_if_absent(name, data) -> bool   the commit: of all writers one gets True, and its bytes are
                                      seen whole or not at all; the others get False
  put(name, data)                     overwrites; only for files derived from committed ones
  list(prefix="") -> [(name, size)]   names that begin with prefix, sorted
  exists(name), delete(name)
  forget(name)                        deletes older versions of it, where a bucket keeps them
  probe_conditional_put()             raises when the store can't be written, or isn't to be trusted
and `.uri`. Stores can be pickled. Every failure is a StorageError, after retries where those help.
"""

import re
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from posedive.errors import StorageError
from posedive.storage.contract import checked_name
from posedive.storage.files import FileStore
from posedive.storage.http import HttpStore
from posedive.storage.s3 import PATIENCE_S, S3Store

__all__ = ["FileStore", "HttpStore", "Reader", "S3Store", "Store", "open_reader", "open_store"]

Store = FileStore | S3Store


class Reader(Protocol):
    """What a trainer needs of a store, and a plain web server has."""

    uri: str

    def get(self, name: str) -> bytes: ...
    def get_range(self, name: str, start: int, length: int) -> bytes: ...
    def exists(self, name: str) -> bool: ...


def open_store(uri: str, patience_s: float = PATIENCE_S) -> Store:
    """The store at `uri`; touches nothing yet. Raises StorageError for a URI it can't read.

    patience_s: how long a request to S3 that fails for passing reasons is tried again.
    """
    if "://" not in uri:
        if not uri.strip() or "\0" in uri:
            raise StorageError(f"storage: expected a path, file:// or s3:// URI, got {uri!r}")
        return FileStore(Path(uri).expanduser().absolute())
    parts = urlsplit(uri)
    if "@" in parts.netloc:
        # Not echoed: what stands before the @ is a secret.
        raise StorageError("storage: credentials in a URI; set AWS_ACCESS_KEY_ID and kin instead")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise StorageError(f"{uri}: expected file:///absolute/path")
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        if parts.query or parts.fragment:
            raise StorageError(f"{uri}: expected no '?' or '#' in s3://bucket/prefix")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
            raise StorageError(f"{uri}: {parts.netloc!r} is no bucket; expected s3://bucket/prefix")
        prefix = parts.path.strip("/")
        return S3Store(parts.netloc, checked_name(prefix) if prefix else "", patience_s)
    raise StorageError(f"{uri}: expected a path, file:// or s3://, got {parts.scheme}://")


def open_reader(uri: str, patience_s: float = PATIENCE_S) -> Reader:
    """As open_store, and http:// and https:// addresses of a folder that a web server shows."""
    if uri.startswith(("http://", "https://")):
        return HttpStore(uri, patience_s)
    return open_store(uri, patience_s)
