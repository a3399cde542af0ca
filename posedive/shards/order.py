"""In which order an epoch sees the rows of an index: a pure function of (seed, epoch).

    shuffled    shards in random order, rows shuffled in windows: each row once
    mixed       so many generated rows in every batch, the rest real: each real row once
    identities  batches of P people x K images each: each row once, but for what fills up a group
The order is cut into batches, those are dealt to ranks and, in one run each, to the workers of a
rank; so a worker reads few shards, and no batch count depends on how many workers there are. What
is left of an epoch after a stop follows from how many batches came, by how many workers.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from posedive.errors import RequestError
from posedive.shards.index import Index

FILL_STREAM, ORDER_STREAM, GENERATED_STREAM = range(3)


def shuffled(index: Index, seed: int, epoch: int, window: int) -> np.ndarray:
    """Row numbers, each once. window: rows that are shuffled among each other; 0: as they lie."""
    if window <= 0:
        return np.arange(len(index))
    rng = np.random.default_rng((seed, epoch, ORDER_STREAM))
    rows = _by_shard(index, rng)
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


def identities(
    index: Index,
    seed: int,
    epoch: int,
    identities_per_batch: int,
    images_per_identity: int,
    pool: int,
    generated_per_identity: int | None = None,
) -> np.ndarray:
    """Batches of P x K rows: P different pids, K rows of each, side by side.

    Each row comes once; one more time only to fill the last K of its pid, and the last batches.
    With generated_per_identity, each K has that many generated rows and each real row comes once;
    a pid that has one kind only has K of that.
    pool: so many people are read at a time.
    Raises RequestError for fewer than P identities or a generated_per_identity beyond K.
    """
    num_p, num_k, num_g = identities_per_batch, images_per_identity, generated_per_identity
    rng = np.random.default_rng((seed, epoch, ORDER_STREAM))
    rows = _by_shard(index, rng)
    # Pids as they first appear among rows, so that people of one shard are read together.
    _, first, inverse = np.unique(index.pids[rows], return_index=True, return_inverse=True)
    if len(first) < num_p:
        raise RequestError(
            f"PK batches: expected at least {num_p} identities, got {len(first)}; lower"
            " identities_per_batch"
        )
    if num_g is not None and not 0 < num_g < num_k:
        raise RequestError(
            f"PK batches: expected 0 < generated_per_identity < {num_k}, as an identity has"
            f" {num_k} images, got {num_g}"
        )
    by_pid = np.split(
        rows[np.argsort(inverse, kind="stable")], np.cumsum(np.bincount(inverse))[:-1]
    )
    people = [by_pid[i] for i in np.argsort(first)]
    left = [_groups(index, person, num_k, num_g, rng) for person in people]
    fill = np.random.default_rng((seed, epoch, FILL_STREAM))
    admitted = 0
    pooled: list[int] = []
    batches: list[np.ndarray] = []
    while True:
        pooled = [person for person in pooled if left[person]]
        room = max(pool, num_p) - len(pooled)
        pooled += range(admitted, min(admitted + room, len(people)))
        admitted = min(admitted + room, len(people))
        if not pooled:
            return np.concatenate(batches)
        # Once nobody waits, whoever has most left comes first, or one person's would be left over.
        counts = np.array([len(left[person]) for person in pooled])
        counts *= admitted == len(people)
        chosen = [pooled[i] for i in np.lexsort((rng.random(len(pooled)), -counts))[:num_p]]
        groups = [left[person].pop() for person in chosen]
        if len(chosen) < num_p:
            others = np.setdiff1d(np.arange(len(people)), chosen)
            for other in fill.permutation(others)[: num_p - len(chosen)]:
                groups.append(_groups(index, people[other], num_k, num_g, fill)[0])
        batches.append(np.concatenate(groups))


def _groups(
    index: Index, person: np.ndarray, num_k: int, num_g: int | None, rng: np.random.Generator
) -> list[np.ndarray]:
    """One person's rows in groups of num_k, in random order."""
    real, generated = person[~index.generated[person]], person[index.generated[person]]
    if num_g is None or not len(real) or not len(generated):
        return np.split(filled := _fill(person, num_k, rng), len(filled) // num_k)
    of_real = _fill(real, num_k - num_g, rng)
    count = len(of_real) // (num_k - num_g)
    of_generated = np.resize(rng.permutation(generated), count * num_g)
    return [
        np.concatenate(pair)
        for pair in zip(np.split(of_real, count), np.split(of_generated, count), strict=True)
    ]


def _fill(rows: np.ndarray, group: int, rng: np.random.Generator) -> np.ndarray:
    """Rows in random order, the last group filled up with others; twice in a group only where
    there are fewer rows than it has places."""
    return np.resize(rng.permutation(rows), -(-len(rows) // group) * group)


def _by_shard(index: Index, rng: np.random.Generator) -> np.ndarray:
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
