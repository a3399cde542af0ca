"""Generated pictures -> into a real set's folder, where its trainers find them; and out again.

With `real`, `out` becomes an overlay of that set first: links to what stays as it is (or copies),
folders of its own where pictures go. Without, `out` is a set that is there, or an empty folder.
What is changed is kept in out/.posedive-export/, written before the change is made, so that undo()
leaves the set as it was, whatever moment a kill picked. The real set itself is never written to.
"""

import json
import logging
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from posedive.errors import DatasetError, RequestError
from posedive.shards.fetch import Fetcher
from posedive.shards.index import Index
from posedive.shards.layouts import LAYOUTS, Changes, SetLayout

log = logging.getLogger(__name__)

OURS = ".posedive-export"
RECORD, OVERLAY, ORIGINALS = "record.json", "overlay.json", "originals"
READ_ROWS = 512


def export(
    index: Index, layout: str, out: Path, real: Path | None = None, copy: bool = False
) -> dict[str, Any]:
    """Puts every picture of `index` into `out`. Returns {"layout", "pictures", "lists", "out"}.

    copy: copies of the real set's files instead of links.
    Raises DatasetError for a folder that isn't such a set, RequestError for pictures that its
    trainers can't take, names that are taken, or a folder that holds an export already.
    """
    kind = LAYOUTS[layout]
    out = out.expanduser().absolute()
    _check_bounds(index, layout, kind)
    if (out / OURS / RECORD).exists():
        raise RequestError(f"{out}: holds an export already; take it out with --undo first")
    source = out if real is None else real.expanduser().absolute()
    if (real is not None or _entries(out)) and not any(source.glob(kind.marker)):
        raise DatasetError(f"{source}: expected a set in the layout {layout}, with {kind.marker}")
    # An overlay is planned by what it will hold, and its own paths go into its lists.
    if real is not None:
        _overlay(source, out, kind.changes(source, index), copy)
    changes = kind.changes(out, index)
    taken = [path for path in changes.pictures if os.path.lexists(out / path)]
    if taken:
        raise RequestError(f"{out / taken[0]}: is there already, as are {len(taken) - 1} more")
    _record(out, layout, changes)
    fetcher, paths = Fetcher(index), list(changes.pictures)
    for at in range(0, len(paths), READ_ROWS):
        part = paths[at : at + READ_ROWS]
        for path, data in zip(
            part, fetcher.many([changes.pictures[path] for path in part]), strict=True
        ):
            _write(out / path, data)
    for path, data in changes.files.items():
        kept = out / OURS / ORIGINALS / path
        if os.path.lexists(out / path) and not os.path.lexists(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f"{kept.name}.partial")
            partial.unlink(missing_ok=True)
            shutil.copy2(out / path, partial, follow_symlinks=False)
            os.replace(partial, kept)  # whole or not at all: undo trusts what it finds
        _write(out / path, data)
    log.info("exported layout=%s pictures=%d out=%s", layout, len(paths), out)
    return {
        "layout": layout,
        "pictures": len(paths),
        "lists": sorted(changes.files),
        "out": str(out),
    }


def undo(out: Path) -> dict[str, Any]:
    """Takes an export out of `out` again. Returns {"removed", "restored", "out"}.

    Raises RequestError when there is none.
    """
    out = out.expanduser().absolute()
    path = out / OURS / RECORD
    if not path.is_file():
        raise RequestError(f"{out}: expected an export to undo, got none; is it the right folder?")
    try:
        record = json.loads(path.read_bytes())
        pictures, lists = [_below(out, p) for p in record["pictures"]], record["lists"]
        folders = [_below(out, p) for p in record["folders"]]
        lists = {p: _below(out, p) for p in lists}
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path}: expected an export's record; was it edited?") from error
    for picture in pictures:
        picture.unlink(missing_ok=True)
    restored = 0
    for name, listed in lists.items():
        kept = out / OURS / ORIGINALS / name
        if os.path.lexists(kept):
            os.replace(kept, listed)
            restored += 1
        elif name in record["new"]:
            listed.unlink(missing_ok=True)
    for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    shutil.rmtree(out / OURS / ORIGINALS, ignore_errors=True)
    path.unlink()
    if not any((out / OURS).iterdir()):
        (out / OURS).rmdir()
    return {"removed": len(pictures), "restored": restored, "out": str(out)}


def _check_bounds(index: Index, layout: str, kind: SetLayout) -> None:
    for what, values, most in (
        ("pid", index.pids, kind.max_pid),
        ("camid", index.camids, kind.max_camid),
    ):
        if len(values) and not 1 <= values.min() <= values.max() <= most:
            raise RequestError(
                f"{layout}: its trainers take a {what} of 1 to {most}, got {values.min()} to"
                f" {values.max()}; choose another layout"
            )


def _overlay(real: Path, out: Path, changes: Changes, copy: bool) -> None:
    """Links or copies of all that `real` holds; folders that change are made anew, not linked."""
    marker = out / OURS / OVERLAY
    if _entries(out) and not marker.is_file():
        raise RequestError(f"{out}: expected an empty folder for the overlay, it holds something")
    if out == real or out.is_relative_to(real) or real.is_relative_to(out):
        raise RequestError(f"{out}: expected a folder apart from the real set {real}")
    _write(marker, json.dumps({"real": str(real), "copy": copy}).encode())
    open_folders = {
        parent for path in [*changes.pictures, *changes.files] for parent in Path(path).parents
    }
    waiting = [Path(".")]
    while waiting:
        folder = waiting.pop()
        (out / folder).mkdir(parents=True, exist_ok=True)
        for entry in sorted((real / folder).iterdir()):
            name = folder / entry.name
            if name in open_folders or (copy and entry.is_dir()):
                waiting.append(name)
            elif not os.path.lexists(out / name) and entry.name != OURS:
                if copy:
                    shutil.copy2(entry, out / name)
                else:
                    (out / name).symlink_to(entry)


def _record(out: Path, layout: str, changes: Changes) -> None:
    parents = {p for path in changes.pictures for p in Path(path).parents if p != Path(".")}
    parents |= {p for path in changes.files for p in Path(path).parents if p != Path(".")}
    record = {
        "layout": layout,
        "pictures": list(changes.pictures),
        "lists": list(changes.files),
        "new": [path for path in changes.files if not os.path.lexists(out / path)],
        "folders": sorted(str(p) for p in parents if not (out / p).exists()),
    }
    _write(out / OURS / RECORD, json.dumps(record).encode())


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; a link in its place is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RequestError(f"{path}: can't be written: {error.strerror}") from error


def _entries(out: Path) -> list[str]:
    return sorted(os.listdir(out)) if out.is_dir() else []


def _below(out: Path, path: str) -> Path:
    """A path of the record, when it can't lead out of the set."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(path)
    return out / path
