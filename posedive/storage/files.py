"""A folder as a store: a file is written whole under `.partial/`, then linked to its name.

The link is the commit: it fails when the name is taken, and nobody ever sees half a file. What a
kill leaves under `.partial/` is not listed, and goes with the next probe once it is a day old.
"""

import errno
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from posedive.errors import StorageError
from posedive.storage.contract import checked_name, probe_conditional_put

PARTIAL = ".partial"
PARTIAL_AGE_S = 24 * 3600.0

_SAID = {
    errno.ENOENT: "there is no such file",
    errno.EACCES: "no permission; make it readable and writable for this user, or choose another",
    errno.EROFS: "the file system is read-only; choose another output",
    errno.ENOSPC: "no space left on the device; free some or choose another output",
    errno.EDQUOT: "no space left in the disk quota; free some or choose another output",
    errno.EFBIG: "no space: the file would pass this user's size limit; raise it (ulimit -f)",
    errno.ENOTDIR: "a part of this path is a file, expected a folder",
    errno.EEXIST: "a part of this path is a file, expected a folder",
    errno.EISDIR: "this is a folder, expected a file",
    errno.EPERM: "not permitted; does the file system have hard links? choose another output",
    errno.ENOTSUP: "the file system has no hard links; choose another output",
    errno.ENOSYS: "the file system has no hard links; choose another output",
}


class FileStore:
    """Objects in a folder, on a file system that has hard links."""

    def __init__(self, root: Path):
        self.root = root
        self.uri = root.as_uri()

    def __repr__(self) -> str:
        return f"FileStore({str(self.root)!r})"

    def get(self, name: str) -> bytes:
        path = self._path(name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise _explained(error, path) from error

    def get_range(self, name: str, start: int, length: int) -> bytes:
        path = self._path(name)
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise _explained(error, path) from error

    def put_if_absent(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        try:
            if path.is_file():  # spares the writing; the link below decides
                return False
            partial = self._write_partial(path, data)
            try:
                os.link(partial, path)
            except FileExistsError:
                # Over NFS a link can be made and still be reported as refused: ours has two names.
                return partial.stat().st_nlink == 2
            finally:
                partial.unlink(missing_ok=True)
            _sync_folder(path.parent)
            return True
        except OSError as error:
            raise _explained(error, path) from error

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            os.replace(self._write_partial(path, data), path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _explained(error, path) from error

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        folder = prefix.rpartition("/")[0]
        top = self._path(folder) if folder else self.root
        found = []
        try:
            for here, folders, files in os.walk(top, onerror=_raise_unless_missing):
                folders[:] = [f for f in folders if f != PARTIAL]
                for file in files:
                    path = Path(here, file)
                    name = path.relative_to(self.root).as_posix()
                    if name.startswith(prefix):
                        with suppress(FileNotFoundError):  # deleted while we looked
                            found.append((name, path.stat().st_size))
        except OSError as error:
            raise _explained(error, top) from error
        return sorted(found)

    def exists(self, name: str) -> bool:
        path = self._path(name)
        try:
            return path.is_file()
        except OSError as error:
            raise _explained(error, path) from error

    def delete(self, name: str) -> None:
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _explained(error, path) from error

    def forget(self, name: str) -> None:
        """Nothing to do: a folder keeps one version."""

    def probe_conditional_put(self) -> None:
        probe_conditional_put(self)
        for partial in (self.root / PARTIAL).glob("*"):
            with suppress(OSError):
                if time.time() - partial.stat().st_mtime > PARTIAL_AGE_S:
                    partial.unlink()

    def _path(self, name: str) -> Path:
        return self.root / checked_name(name)

    def _write_partial(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = self.root / PARTIAL
        folder.mkdir(exist_ok=True)
        partial = folder / f"{path.name}.{secrets.token_hex(8)}"
        try:
            with open(partial, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return partial


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path) -> StorageError:
    said = _SAID.get(error.errno or 0, error.strerror or type(error).__name__)
    return StorageError(f"{path}: {said}")
