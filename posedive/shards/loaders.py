"""An output, or an output with the real set -> samples for training; the only torch of shards/.

    ShardStream     IterableDataset: each sample once an epoch, shuffled; or mixed with real images
    PkStream        IterableDataset: batches of P identities x K images
    StreamLoader    a DataLoader over either, that knows where it is in the epoch
    IndexedDataset  map-style, for stock samplers (indexed)
A sample is {"image", "pid", "camid", "key", "generated"}; image is what `decode` makes of the bytes
of a JPEG. Sources are an output's URI (file, s3://, http(s)://) or an Index: open_index(uri),
real_index (a trainer's list of images), merge(real, generated). Errors are ShardErrors that say
what to run. Every rank of torch.distributed (or of RANK and WORLD_SIZE) and every worker reads a
part of its own.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from posedive.errors import RequestError
from posedive.shards import order, pk
from posedive.shards.fetch import Fetcher
from posedive.shards.index import Index, open_index
from posedive.shards.indexed import Decode, IndexedDataset, decode_array, decode_rgb, sample_of

__all__ = [
    "IndexedDataset",
    "PkStream",
    "ShardStream",
    "StreamLoader",
    "decode_array",
    "decode_rgb",
]

READ_ROWS = 512  # fetched at a time, and the next while these are decoded


class _Stream(IterableDataset):
    """An order of rows, cut into batches, dealt to ranks and workers."""

    def __init__(
        self,
        source: str | Index,
        batch_size: int,
        unit: int,
        decode: Decode,
        seed: int,
        rank: int | None,
        world_size: int | None,
        drop_last: bool,
        cache: str | None,
    ):
        self.index = open_index(source) if isinstance(source, str) else source
        self.fetcher = Fetcher(self.index, cache)
        self.batch_size, self.unit, self.decode, self.seed = batch_size, unit, decode, seed
        self.drop_last = drop_last
        default_rank, default_world = _place()
        self.rank = default_rank if rank is None else rank
        self.world_size = default_world if world_size is None else world_size
        if not 0 <= self.rank < self.world_size:
            raise RequestError(f"expected 0 <= rank < world_size, got {rank} of {world_size}")
        # Shared, so that set_epoch reaches workers that live on from epoch to epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self.history: list[list[int]] = []  # of this epoch; see order.worker_batches
        self._yielded = self._skip = 0

    def order(self, epoch: int) -> np.ndarray:
        raise NotImplementedError

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch, as with torch's DistributedSampler; forgets what came of another."""
        if epoch != self.epoch:
            self.history = []
            self._yielded = self._skip = 0
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Samples of this rank in a whole epoch."""
        return self._share()[1]

    @property
    def num_batches(self) -> int:
        return self._share()[2]

    def _share(self) -> tuple[int, int, int]:
        total = self._total()
        return order.rank_batches(
            total, self.batch_size, self.unit, self.rank, self.world_size, self.drop_last
        )

    def _total(self) -> int:
        return len(self.order(self.epoch))

    def rows(self, worker: int = 0, num_workers: int = 1) -> np.ndarray:
        """The rows that are left of this epoch for one worker of this rank, in order."""
        whole = self.order(self.epoch)
        begin, samples, num_batches = order.rank_batches(
            len(whole), self.batch_size, self.unit, self.rank, self.world_size, self.drop_last
        )
        mine = whole[begin : begin + samples]
        batches = order.worker_batches(num_batches, self.history, worker, num_workers)
        positions = (batches[:, None] * self.batch_size + np.arange(self.batch_size)).ravel()
        return mine[positions[positions < len(mine)]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        rows = self.rows(info.id, info.num_workers) if info else self.rows()
        rows = rows[self._skip :]
        self._yielded, self._skip = self._skip, 0
        for row, data in _read_ahead(self.fetcher, rows):
            self._yielded += 1
            yield sample_of(self.index, row, self.decode(data))

    def state_dict(self) -> dict[str, Any]:
        """Where this very copy is: without workers, or in a worker (torchdata's StatefulDataLoader
        asks each). A StreamLoader tells it for all workers of a plain DataLoader."""
        return {"epoch": self.epoch, "history": self.history, "yielded": self._yielded}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.set_epoch(state["epoch"])
        self.history = [list(part) for part in state["history"]]
        self._yielded = self._skip = state["yielded"]


class ShardStream(_Stream):
    """Each sample once an epoch over all ranks and workers.

    shuffle: samples that are shuffled among each other, from shards in random order; 0 for none.
    generated_per_batch: for merged sets; every batch of batch_size has that many generated images,
    and the epoch is one pass over the real ones.
    drop_last: full batches only, equally many on each rank; what DistributedDataParallel needs.
    """

    def __init__(
        self,
        source: str | Index,
        batch_size: int = 1,
        *,
        decode: Decode = decode_rgb,
        shuffle: int = 1000,
        seed: int = 0,
        generated_per_batch: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = False,
        cache: str | None = None,
    ):
        unit = 1 if generated_per_batch is None else batch_size
        super().__init__(source, batch_size, unit, decode, seed, rank, world_size, drop_last, cache)
        self.shuffle, self.generated_per_batch = shuffle, generated_per_batch
        self._total()  # a mixing that can't be is told here

    def order(self, epoch: int) -> np.ndarray:
        if self.generated_per_batch is None:
            return order.shuffled(self.index, self.seed, epoch, self.shuffle)
        return order.mixed(
            self.index, self.seed, epoch, self.shuffle, self.batch_size, self.generated_per_batch
        )

    def _total(self) -> int:
        # Spares the order, whose length is known, for the common case.
        return len(self.index) if self.generated_per_batch is None else super()._total()


class PkStream(_Stream):
    """Batches of identities_per_batch people with images_per_identity images each, side by side.

    Each image is seen once an epoch on the whole, also where counts are ragged; see pk.
    generated_per_identity: for merged sets; so many of a person's images are generated ones.
    pool: people that are read at a time; more mix better, and take more memory.
    """

    def __init__(
        self,
        source: str | Index,
        identities_per_batch: int,
        images_per_identity: int,
        *,
        decode: Decode = decode_rgb,
        seed: int = 0,
        pool: int = 128,
        generated_per_identity: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = False,
        cache: str | None = None,
    ):
        self.identities_per_batch = identities_per_batch
        self.images_per_identity = images_per_identity
        self.pool, self.generated_per_identity = pool, generated_per_identity
        size = identities_per_batch * images_per_identity
        super().__init__(source, size, size, decode, seed, rank, world_size, drop_last, cache)
        self._orders: tuple[int, np.ndarray] | None = None
        self._total()  # too few identities are told here

    def order(self, epoch: int) -> np.ndarray:
        if self._orders is None or self._orders[0] != epoch:
            rows = pk.identities(
                self.index,
                self.seed,
                epoch,
                self.identities_per_batch,
                self.images_per_identity,
                self.pool,
                self.generated_per_identity,
            )
            self._orders = epoch, rows
        return self._orders[1]


class StreamLoader:
    """A DataLoader over a stream, epoch after epoch, that can be stopped and gone on with.

    The batches are the stream's; options go to torch's DataLoader (collate_fn, pin_memory, ...).
    state_dict() counts the batches that were handed out; the loader that loads it may have another
    number of workers. One for each rank.
    """

    def __init__(self, stream: ShardStream | PkStream, num_workers: int = 0, **options: Any):
        self.stream, self.num_workers, self.options = stream, num_workers, options
        self._came = 0

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return self.stream.num_batches

    def set_epoch(self, epoch: int) -> None:
        """An epoch of one's choice; without, each is followed by the next."""
        self.stream.set_epoch(epoch)
        self._came = 0

    def __iter__(self) -> Iterator[Any]:
        self._came = 0
        loader = DataLoader(
            self.stream, self.stream.batch_size, num_workers=self.num_workers, **self.options
        )
        for batch in loader:
            self._came += 1
            yield batch
        self.set_epoch(self.stream.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        here = [[self.num_workers, self._came]] if self._came else []
        return {
            "epoch": self.stream.epoch,
            "history": [*self.stream.history, *here],
            "seed": self.stream.seed,
            "world_size": self.stream.world_size,
            "samples": len(self.stream.index),
            "batch_size": self.stream.batch_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises RequestError when the state is of another set, seed, batch or number of ranks."""
        now = self.state_dict()
        for what in ("seed", "world_size", "samples", "batch_size"):
            if state[what] != now[what]:
                raise RequestError(
                    f"loader state: expected {what} {state[what]}, where it was saved, got"
                    f" {now[what]}; begin the epoch anew, or go back to what it was"
                )
        self.set_epoch(state["epoch"])
        self.stream.history = [list(part) for part in state["history"]]


def _read_ahead(fetcher: Fetcher, rows: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Rows with their bytes, the next READ_ROWS on their way while these are used."""
    parts = [rows[at : at + READ_ROWS] for at in range(0, len(rows), READ_ROWS)]
    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(fetcher.many, part) for part in parts[:1]]
        for at, part in enumerate(parts):
            pictures = coming.pop().result()
            coming += [thread.submit(fetcher.many, after) for after in parts[at + 1 : at + 2]]
            yield from zip(part.tolist(), pictures, strict=True)


def _place() -> tuple[int, int]:
    """(rank, world size) of this process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
