"""In which order an epoch sees the rows of an index: a pure function of (seed, epoch).

    shuffled    shards in random order, rows shuffled in windows: each row once
    mixed       so many generated rows in every batch, the rest real: each real row once
The order is cut into batches, those are dealt to ranks and, in one run each, to the workers of a
rank; so a worker reads few shards, and no batch count depends on how many workers there are. What
is left of an epoch after a stop follows from how many batches came, by how many workers.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from posedive.errors import RequestError
from posedive.shards.index import Index

ORDER_STREAM, GENERATED_STREAM = range(1, 3)


def shuffled(index: Index, seed: int, epoch: int, window: int) -> np.ndarray:
    """Row numbers, each once. window: rows that are shuffled among each other; 0: as they lie."""
    if window <= 0:
        return np.arange(len(index))
    rng = np.random.default_rng((seed, epoch, ORDER_STREAM))
    rows = by_shard(index, rng)
    windows = np.arange(len(rows)) // window
    return rows[np.lexsort((rng.random(len(rows)), windows))]


def mixed(
    index: Index, seed: int, epoch: int, window: int, batch_size: int, generated_per_batch: int
) -> np.ndarray:
    """Batches of batch_size - generated_per_batch real rows, each once, and generated ones.

    Generated rows change from epoch to epoch; where there are too few they are repeated. The last
    batch is shorter when the real rows don't come out even.
    Raises RequestError for a count that leaves no room, or a set without one of the kinds.
    """
    real, generated = (np.flatnonzero(kind) for kind in (~index.generated, index.generated))
    if not 0 < generated_per_batch < batch_size or not len(real) or not len(generated):
        raise RequestError(
            f"mixing: expected real and generated images and 0 < generated_per_batch <"
            f" {batch_size}, the batch; got {len(real)} real, {len(generated)} generated and"
            f" generated_per_batch={generated_per_batch}"
        )
    real = real[shuffled(index.take(real), seed, epoch, window)]
    room = batch_size - generated_per_batch
    of_real = np.arange(len(real)) // room
    counts = np.full(of_real[-1] + 1, generated_per_batch)
    last = len(real) - of_real[-1] * room
    counts[-1] = -(-generated_per_batch * last // room)
    drawn = generated[shuffled(index.take(generated), seed, epoch, window)]
    drawn = np.resize(drawn, counts.sum())
    rows = np.concatenate([real, drawn])
    batch = np.concatenate([of_real, np.repeat(np.arange(len(counts)), counts)])
    rng = np.random.default_rng((seed, epoch, GENERATED_STREAM))
    return rows[np.lexsort((rng.random(len(rows)), batch))]


def by_shard(index: Index, rng: np.random.Generator) -> np.ndarray:
    """Row numbers, shards in random order, rows of a shard together as they lie."""
    place = rng.permutation(len(index.objects))
    return np.argsort(place[index.object], kind="stable")


def rank_batches(
    total: int, batch_size: int, unit: int, rank: int, world_size: int, drop_last: bool
) -> tuple[int, int, int]:
    """(first position, samples, batches) of a rank in an order of `total`.

    Ranks get runs of whole units that differ by one at most: single samples, or batches where those
    have a make-up. With drop_last all ranks have equally many batches, all full.
    """
    units = -(-total // unit)
    ends = [min(at * units // world_size * unit, total) for at in range(world_size + 1)]
    samples = ends[rank + 1] - ends[rank]
    if drop_last:
        fewest = min(end - begin for begin, end in itertools.pairwise(ends))
        samples = fewest // batch_size * batch_size
    return ends[rank], samples, -(-samples // batch_size)


def worker_batches(
    num_batches: int, history: Sequence[Sequence[int]], worker: int, num_workers: int
) -> np.ndarray:
    """The numbers of the batches that a worker makes, of those a rank has left in this epoch.

    history: (workers, batches that came) of each earlier part of the epoch. A loader takes a batch
    of each worker in turn, so what came of whom is known.
    """
    left = np.arange(num_batches)
    for workers, came in history:
        parts = _deal(left, max(workers, 1))
        # Of `came` batches in turns, worker w gave one more when its turn of the last round was.
        given = [-(-(came - w) // len(parts)) if came > w else 0 for w in range(len(parts))]
        left = np.concatenate([part[n:] for part, n in zip(parts, given, strict=True)])
    return _deal(left, max(num_workers, 1))[worker]


def _deal(batches: np.ndarray, workers: int) -> list[np.ndarray]:
    """Runs for workers; the first ones are longer by one, so that turns come out even."""
    return np.array_split(batches, workers)
