"""Samples by their number: an index -> a map-style dataset, for stock samplers; no torch needed.

A sample is {"image", "pid", "camid", "key", "generated"}; image is what `decode` makes of the bytes
of a JPEG.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from posedive.shards.fetch import Fetcher
from posedive.shards.index import Index, open_index

Decode = Callable[[bytes], Any]


def decode_rgb(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def decode_array(data: bytes) -> np.ndarray:
    """(height, width, 3) uint8."""
    return np.array(decode_rgb(data))  # a copy: torch wants to be able to write into it


class IndexedDataset:
    """Any sample by its number; pids, camids and keys (n,) for samplers.

    cache: a folder for whole shards, each fetched when first touched; for stores that are far away.
    """

    def __init__(
        self, source: str | Index, *, decode: Decode = decode_rgb, cache: str | None = None
    ):
        self.index = open_index(source) if isinstance(source, str) else source
        self.fetcher, self.decode = Fetcher(self.index, cache), decode
        self.pids, self.camids, self.keys = self.index.pids, self.index.camids, self.index.keys

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return sample_of(self.index, row, self.decode(self.fetcher.one(row)))


def sample_of(index: Index, row: int, image: Any) -> dict[str, Any]:
    return {
        "image": image,
        "pid": int(index.pids[row]),
        "camid": int(index.camids[row]),
        "key": index.keys[row],
        "generated": bool(index.generated[row]),
    }
