"""Which K images of which P people make a batch: a pure function of (seed, epoch).

A person of n images is due n / K groups an epoch. When that isn't whole, some epochs have one group
more and some one less, so that no image is favoured: a person's images stand in a turn, and each
epoch goes on in it where the last one stopped. Of those that an epoch takes, groups are made anew.

What holds, with n >= K, and nobody having more than a P-th of all images:
- a batch has P people, and K different images of each; always, whatever the counts are
- of E epochs, every image was seen E times, or one more or less
- an epoch has as many images as the set, less or more (P + K) x K at most, and in E epochs together
  that is not more
- where K divides all counts, each image comes once in each epoch, but for what would be a last,
  unfinished batch: that waits for the next
Whoever has n < K images comes in n / K of the epochs, each image K / n times in the group. One
epoch can't show each of 15 images once in groups of exactly 4: 12 or 16 is as near as it gets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from posedive.errors import RequestError
from posedive.shards.index import Index
from posedive.shards.order import by_shard

TURN_STREAM, EPOCH_STREAM, PHASE_STREAM, PUT_OFF_STREAM = range(10, 14)


@dataclass(frozen=True)
class _Person:
    """turn: rows in the order in which they come around, `share` of them in a group; beside: the
    same of the generated rows, for a group of two kinds."""

    turn: np.ndarray
    share: int
    beside: np.ndarray
    beside_share: int

    def groups(self, given: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        """The next `count` groups after `given` ones."""
        parts = [_deal(self.turn, self.share, given, count, rng)]
        if self.beside_share:
            parts.append(_deal(self.beside, self.beside_share, given, count, rng))
        return list(np.concatenate(parts, 1))


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

    With generated_per_identity, each K has that many generated rows, and what is said above holds
    for the real ones; a pid that has one kind only has K of that.
    pool: so many people are read at a time.
    Raises RequestError for fewer than P identities or a generated_per_identity beyond K.
    """
    num_p, num_k, num_g = identities_per_batch, images_per_identity, generated_per_identity
    pids, first = np.unique(index.pids, return_index=True)
    if len(pids) < num_p:
        raise RequestError(
            f"PK batches: expected at least {num_p} identities, got {len(pids)}; lower"
            " identities_per_batch"
        )
    if num_g is not None and not 0 < num_g < num_k:
        raise RequestError(
            f"PK batches: expected 0 < generated_per_identity < {num_k}, as an identity has"
            f" {num_k} images, got {num_g}"
        )
    people = _people(index, seed, num_k, num_g)
    before, after = (_given(people, seed, at, num_p) for at in (epoch, epoch + 1))
    rng = np.random.default_rng((seed, epoch, EPOCH_STREAM))
    left = [
        person.groups(given, count, rng)
        for person, given, count in zip(people, before, after - before, strict=True)
    ]
    # By the shard of their first image, so that people of one shard are read together.
    place = np.empty(len(index), np.int64)
    place[by_shard(index, rng)] = np.arange(len(index))
    batches = []
    for chosen in _chosen(after - before, np.argsort(place[first]), num_p, pool, rng):
        batches += [left[who].pop() for who in chosen]
        if len(chosen) < num_p:
            others = np.setdiff1d(np.arange(len(people)), chosen)
            for who in rng.permutation(others)[: num_p - len(chosen)]:
                batches += people[who].groups(after[who], 1, rng)
    return np.concatenate(batches)


def _chosen(
    counts: np.ndarray, arriving: np.ndarray, num_p: int, pool: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """The people of each batch, until each came counts[person] times; one batch at least.

    A batch is short of num_p only where that can't be helped: counts that don't fill batches, or
    a person with more than there are batches.
    """
    left = counts.copy()
    waiting = dict.fromkeys(who for who in arriving.tolist() if left[who])
    most_last = sorted(waiting, key=counts.__getitem__)
    pooled: list[int] = []
    for batches_left in range(max(1, -(-counts.sum() // num_p), counts.max()), 0, -1):
        # Who has a group for each batch that is left is in all of them, or groups would be over.
        while most_last and counts[most_last[-1]] >= batches_left:
            if (who := most_last.pop()) in waiting:
                del waiting[who]
                pooled.append(who)
        while waiting and len(pooled) < max(pool, num_p):
            pooled.append(who := next(iter(waiting)))
            del waiting[who]
        # By chance, and likelier the more is left.
        chance = rng.random(len(pooled)) ** (1 / left[pooled])
        chosen = [pooled[at] for at in np.lexsort((-chance, left[pooled] < batches_left))[:num_p]]
        yield chosen
        left[chosen] -= 1
        pooled = [who for who in pooled if left[who]]


def _people(index: Index, seed: int, num_k: int, num_g: int | None) -> list[_Person]:
    """Everyone by rising pid, in the turns of this seed."""
    at_random = np.random.default_rng((seed, TURN_STREAM)).random(len(index))
    rows = np.lexsort((at_random, index.pids))
    people = []
    for own in np.split(rows, np.flatnonzero(np.diff(index.pids[rows])) + 1):
        generated = index.generated[own]
        if num_g is None or generated.all() or not generated.any():
            people.append(_Person(own, num_k, own[:0], 0))
        else:
            people.append(_Person(own[~generated], num_k - num_g, own[generated], num_g))
    return people


def _given(people: Sequence[_Person], seed: int, epoch: int, num_p: int) -> np.ndarray:
    """How many groups each person was given before `epoch`, as many in all as fill batches."""
    sizes = np.array([len(person.turn) for person in people])
    shares = np.array([person.share for person in people])
    phases = _phases(sizes, shares, seed)
    given = (epoch * sizes + phases) // shares
    last = ((epoch - 1) * sizes + phases) // shares
    # What would begin another batch is put off, for those who are most ahead of what they are due.
    ahead = given - epoch * sizes / shares
    at_random = np.random.default_rng((seed, epoch, PUT_OFF_STREAM)).random(len(people))
    by = np.lexsort((at_random, -ahead, given == last))
    put_off = by[: min(given.sum() % num_p, (given > last).sum())]
    given[put_off] -= 1
    return given


def _phases(sizes: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """When whose remainder comes to a whole group, as images below a group: spread evenly over all
    who have the same remainder, so that each epoch has about as many groups."""
    rng = np.random.default_rng((seed, PHASE_STREAM))
    kinds = np.stack([shares, sizes % shares])
    phases = np.zeros(len(sizes), np.int64)
    for share, remainder in np.unique(kinds, axis=1).T:
        alike = rng.permutation(np.flatnonzero((kinds.T == (share, remainder)).all(1)))
        begin = rng.integers(len(alike) * share)
        phases[alike] = (np.arange(len(alike)) * share + begin) // len(alike) % share
    return phases


def _deal(
    turn: np.ndarray, share: int, given: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(count, share) rows: the next ones of a turn, of which `given` groups were dealt before.

    Copies of a row lie next to each other before they are dealt out, so that they come to different
    groups; where a group has more places than there are rows, each row has its part of them.
    """
    rounds, more = divmod(count * share, len(turn))
    coming = np.roll(turn, -(given * share % len(turn)))
    shuffled = rng.permutation(len(turn))
    times = rounds + (shuffled < more)
    return np.repeat(coming[shuffled], times).reshape(share, count).T
