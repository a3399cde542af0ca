from collections import Counter

import numpy as np
import pytest

from posedive.errors import RequestError, ShardError
from posedive.shards.index import Files, Held, Index, merge, real_index
from posedive.shards.order import mixed, rank_batches, shuffled, worker_batches


def index_of(counts: list[int], pids_per_shard: int = 2, first_pid: int = 1) -> Index:
    """Generated rows of pids in shards, counts[i] of pid first_pid + i."""
    pids = np.repeat(np.arange(first_pid, first_pid + len(counts)), counts)
    objects = (pids - first_pid) // pids_per_shard
    count = len(pids)
    return Index(
        objects=[Held(Files(), f"{at}.tar") for at in range(int(objects.max()) + 1)],
        object=objects.astype(np.int32),
        offset=np.arange(count) * 1024,
        size=np.full(count, 1000),
        keys=np.array([f"{pid:04d}_{at}" for at, pid in enumerate(pids)], object),
        pids=pids,
        camids=np.ones(count, np.int64),
        generated=np.ones(count, bool),
        sha256=np.zeros(count, "V32"),
    )


def real_of(counts: list[int], first_pid: int = 1) -> Index:
    return real_index(
        (f"/real/{pid:04d}_c1s1_{at:06d}_00.jpg", pid, 1)
        for pid, count in enumerate(counts, first_pid)
        for at in range(count)
    )


def test_shuffling_is_a_function_of_seed_and_epoch():
    index = index_of([5] * 40)
    first = shuffled(index, 0, 0, 50)
    assert sorted(first) == list(range(200))
    np.testing.assert_array_equal(first, shuffled(index, 0, 0, 50))
    for seed, epoch in ((1, 0), (0, 1)):
        assert (shuffled(index, seed, epoch, 50) != first).any()
    np.testing.assert_array_equal(shuffled(index, 0, 3, 0), np.arange(200))


def test_a_window_reads_few_shards():
    index = index_of([5] * 40)  # 20 shards of 10 rows
    rows = shuffled(index, 0, 0, 50)
    assert all(len(set(index.object[part])) == 5 for part in np.split(rows, 4))


def test_mixed_batches_hold_so_many_generated_images():
    real, generated = real_of([6] * 10), index_of([15] * 10)
    index = merge(real, generated)
    rows = mixed(index, 0, 0, 1000, 16, 4)
    kinds = [index.generated[rows[at : at + 16]].sum() for at in range(0, len(rows), 16)]
    assert kinds == [4] * 5  # 60 real images, 12 to a batch
    seen = Counter(rows.tolist())
    assert all(seen[row] == 1 for row in np.flatnonzero(~index.generated))
    assert max(seen.values()) == 1
    other = mixed(index, 0, 1, 1000, 16, 4)
    assert set(other[index.generated[other]]) != set(rows[index.generated[rows]])


def test_few_generated_images_are_repeated_and_the_last_batch_is_shorter():
    index = merge(real_of([5] * 5), index_of([3]))
    rows = mixed(index, 0, 0, 1000, 8, 4)  # 25 real, 4 to a batch: 7 batches, one of 1 + 1
    assert len(rows) == 25 + 6 * 4 + 1
    assert index.generated[rows[:8]].sum() == 4 and index.generated[rows[-2:]].sum() == 1


@pytest.mark.parametrize("count", [0, 8, 9])
def test_mixing_that_cannot_be_is_told(count):
    index = merge(real_of([5] * 5), index_of([3]))
    with pytest.raises(RequestError, match="0 < generated_per_batch < 8"):
        mixed(index, 0, 0, 1000, 8, count)
    with pytest.raises(RequestError, match="got 25 real, 0 generated"):
        mixed(real_of([5] * 5), 0, 0, 1000, 8, 4)


def test_merging_is_by_pid_and_a_key_twice_is_refused():
    index = merge(real_of([2, 2]), index_of([3, 3]))
    assert Counter(index.pids.tolist()) == {1: 5, 2: 5} and index.generated.sum() == 6
    with pytest.raises(ShardError, match="key '0001_0' is there twice"):
        merge(index_of([3]), index_of([3]))


@pytest.mark.parametrize("total", [1, 7, 64, 210])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("unit", [1, 16])
def test_ranks_get_every_sample_once(total, world_size, unit):
    parts = [rank_batches(total, 16, unit, r, world_size, False) for r in range(world_size)]
    positions = [at for begin, samples, _ in parts for at in range(begin, begin + samples)]
    assert positions == list(range(total))
    samples = [part[1] for part in parts]
    assert max(samples) - min(samples) <= unit
    assert [part[2] for part in parts] == [-(-n // 16) for n in samples]


def test_with_drop_last_ranks_have_equally_many_full_batches():
    for total in (100, 127, 128, 129):
        for unit in (1, 16):
            parts = {rank_batches(total, 16, unit, r, 3, True)[1:] for r in range(3)}
            assert len(parts) == 1 and next(iter(parts))[0] % 16 == 0


def turns(num_batches, history, workers):
    """Batches as a DataLoader takes them: one of each worker in turn, as long as it has some."""
    parts = [list(worker_batches(num_batches, history, w, workers)) for w in range(workers)]
    while any(parts):
        for part in parts:
            if part:
                yield part.pop(0)


@pytest.mark.parametrize("workers", [1, 2, 4, 9])
def test_what_is_left_after_a_stop_is_what_did_not_come(workers):
    whole = list(turns(14, [], workers))
    assert sorted(whole) == list(range(14))
    for stop in range(15):
        came, left = whole[:stop], list(turns(14, [[workers, stop]], workers))
        assert sorted(came + left) == list(range(14))


def test_an_epoch_may_be_stopped_often_and_go_on_with_other_workers():
    rng = np.random.default_rng(0)
    for _ in range(50):
        came, history = [], []
        while len(came) < 30:
            workers = int(rng.integers(1, 6))
            part = list(turns(30, history, workers))[: int(rng.integers(0, 12))]
            came += part
            history.append([workers, len(part)])
        assert sorted(came) == list(range(30))
