"""What travels between stages: rows, one per pair, a block one shard, from Render to Commit.

    Render   key, shard, seed, record (JSON), reason "", keypoints (17, 3), area_px, and PNG bytes:
             reference, composite, one per condition; render_s
    Denoise  + picture (PNG), actor, begun, ended (s), denoise_s
    Judge    + jpeg, judge_s; reason and record say what the filter found
    Commit   one row per shard: shard, first, kept, reasons, actor, begun, ended, bytes, and the
             seconds of each stage (JSON)
`STAGE_s` is a pair's share of its batch's time.
A row is never dropped: what goes wrong with a pair is its `reason`, and later stages let it be.
"""

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

JPEG_QUALITY = 95
Rows = dict[str, Any]


def column(values: list[Any]) -> np.ndarray:
    """One numpy column; bytes as objects, since numpy cuts trailing zeros off fixed-width ones."""
    if values and isinstance(values[0], bytes):
        out = np.empty(len(values), object)
        out[:] = values
        return out
    return np.array(values)


def to_png(image: np.ndarray) -> bytes:
    """RGB or RGBA uint8 -> PNG; lightly compressed, it lives for seconds."""
    swap = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, swap), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    return data.tobytes()


def from_png(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    swap = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(image, swap)


def to_jpeg(image: np.ndarray) -> bytes:
    """Full-resolution colour: a quarter of it would blur 64 pixels' worth of clothes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
