"""What every store keeps to: which names it takes, and that a first writer's bytes stand."""

import re
import secrets
from contextlib import suppress
from typing import Protocol

from posedive.errors import StorageError

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*")


class ConditionalStore(Protocol):
    uri: str

    def get(self, name: str) -> bytes: ...
    def put_if_absent(self, name: str, data: bytes) -> bool: ...
    def delete(self, name: str) -> None: ...


def checked_name(name: str) -> str:
    """`name`, when it can't leave the store's root; raises StorageError otherwise."""
    if not all(_PART.fullmatch(part) for part in name.split("/")):
        raise StorageError(
            f"{name!r}: expected a relative name like shards/shard-000012.tar, "
            "of letters, digits and _ . = + -, no part beginning with a dot"
        )
    return name


def probe_conditional_put(store: ConditionalStore) -> None:
    """Writes one small object twice, reads it, deletes it.

    Raises StorageError when the store can't be written, or lets the second writer win.
    """
    name = f"posedive-probe-{secrets.token_hex(8)}"
    try:
        # The first answer may be False: a success whose answer was lost is asked again.
        store.put_if_absent(name, b"first")
        if store.put_if_absent(name, b"second") or store.get(name) != b"first":
            raise StorageError(
                f"{store.uri}: the store ignores If-None-Match, so a second writer would overwrite "
                "a committed shard; use one with conditional PUT (AWS S3, MinIO, Ceph, R2, a disk)"
            )
    finally:
        with suppress(StorageError):
            store.delete(name)
