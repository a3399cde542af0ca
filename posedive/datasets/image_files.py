"""Image files of a set: is it whole, how large is it, its pixels. JPEG and PNG.

A file that can't be used is an outcome, not an error: (None, why).
"""

import io
from pathlib import Path

from PIL import Image

Size = tuple[int, int]  # width, height in pixels
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
FIRST_BYTES = {"JPEG": b"\xff\xd8", "PNG": b"\x89PNG"}
LAST_BYTES = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
TAIL = 64  # bytes in which the last ones are looked for: some writers pad


def size_px(path: Path, kind: str) -> tuple[Size | None, str]:
    """Width and height of the whole image in the file: half a JPEG is not used. Reads the file's
    two ends; only one whose end is not as it should be is decoded."""
    try:
        with path.open("rb") as stream:
            with Image.open(stream, formats=[kind]) as image:
                size = image.size
            stream.seek(max(0, path.stat().st_size - TAIL))
            if LAST_BYTES[kind] in stream.read():
                return size, ""
    except BROKEN:
        pass
    pixels, reason = decode(path, kind)
    return (None if pixels is None else pixels.size), reason


def decode(path: Path, kind: str) -> tuple[Image.Image | None, str]:
    """The whole image as RGB."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None, "no such file"
    except OSError as error:
        return None, f"unreadable: {error.strerror}"
    if not data:
        return None, "empty file"
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            return image.convert("RGB"), ""
    except BROKEN:
        cut = data.startswith(FIRST_BYTES[kind]) and LAST_BYTES[kind] not in data[-TAIL:]
        what = f"truncated {kind}" if cut else f"not a readable {kind}"
        return None, f"{what} ({len(data)} bytes)"
