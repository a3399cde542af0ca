"""Readers: a Re-ID set -> PersonImages, and the pixels of each. One file per set."""

from typing import Any, Protocol

import numpy as np

from posedive.datasets.cuhk03 import CUHK03
from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.fashion import FashionVideo
from posedive.datasets.market1501 import DukeMTMC, Market1501
from posedive.datasets.mars import Mars
from posedive.datasets.msmt17 import MSMT17
from posedive.datasets.pairs import training_pairs
from posedive.errors import DatasetError
from posedive.records import PersonImage


class Dataset(Protocol):
    """`skipped`: what could not be used, as (name, reason)."""

    skipped: list[tuple[str, str]]

    def images(self, split: str) -> list[PersonImage]: ...
    def read(self, image: PersonImage) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        ...


DATASETS: dict[str, Any] = {
    "embedded": EmbeddedWorld,
    "market1501": Market1501,
    "msmt17": MSMT17,
    "cuhk03": CUHK03,
    "mars": Mars,
    "fashion": FashionVideo,
    "dukemtmc": DukeMTMC,
}


def open_dataset(name: str, **options: Any) -> Dataset:
    """The set `name` of DATASETS; options are its reader's own."""
    if name not in DATASETS:
        raise DatasetError(f"dataset: expected one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name](**options)


__all__ = ["DATASETS", "Dataset", "open_dataset", "training_pairs"]
