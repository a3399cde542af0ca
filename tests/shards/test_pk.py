import numpy as np
import pytest

from posedive.errors import RequestError
from posedive.shards.index import Index, merge
from posedive.shards.pk import identities
from tests.shards.test_order import index_of, real_of

RNG = np.random.default_rng(0)
RAGGED = {
    "few": RNG.integers(4, 31, 200).tolist(),
    "Market-1501": np.clip(RNG.gamma(3, 6, 751), 4, 72).astype(int).tolist(),
    "all of one remainder": [15] * 260,
    "one over": [5] * 700,
}


def epochs(index: Index, count: int, num_p: int = 8, num_k: int = 4, **options) -> np.ndarray:
    """(epochs, rows): how often each epoch shows each row; the make-up of batches is checked."""
    seen = []
    for epoch in range(count):
        rows = identities(index, 0, epoch, num_p, num_k, **({"pool": 128} | options))
        pids = index.pids[rows].reshape(-1, num_p, num_k)
        assert (pids == pids[:, :, :1]).all()
        assert all(len(set(batch)) == num_p for batch in pids[:, :, 0].tolist())
        if np.bincount(index.pids).max() >= num_k:
            groups = rows.reshape(-1, num_k).tolist()
            sizes = np.bincount(index.pids)[pids[:, :, 0].ravel()]
            whole = [g for g, size in zip(groups, sizes, strict=True) if size >= num_k]
            assert all(len(set(group)) == num_k for group in whole)
        seen.append(np.bincount(rows, minlength=len(index)))
    return np.array(seen)


@pytest.mark.parametrize("counts", RAGGED.values(), ids=RAGGED)
def test_ragged_counts_show_each_image_once_an_epoch_on_the_whole(counts):
    index = index_of(counts)
    seen = epochs(index, 12)
    sizes = seen.sum(1) / len(index)
    assert np.abs(sizes - 1).max() < 0.01 and abs(sizes.mean() - 1) < 0.002
    due = np.arange(1, 13)[:, None]
    assert np.abs(seen.cumsum(0) - due).max() <= 1
    # Within an epoch, no more is amiss than whole groups need: n is 12 or 16 for 15 images.
    amiss = np.abs(seen - 1).sum(1)
    assert amiss.max() <= sum(max(n % 4, -n % 4) for n in counts) + 2 * 4 * 8


@pytest.mark.parametrize("counts", [[8] * 40, [4, 8, 12] * 20, [16] * 20 + [4] * 20])
def test_where_k_divides_each_count_an_epoch_shows_each_image_once(counts):
    seen = epochs(index_of(counts), 8)
    assert seen[0].max() == 1
    # What would be an unfinished batch waits for the next epoch.
    unfinished = sum(counts) % (8 * 4)
    assert (seen == 0).sum(1).max() <= unfinished and seen.mean() == pytest.approx(1, abs=0.01)
    if not unfinished:
        assert (seen == 1).all()


def test_no_image_of_a_person_is_left_out_more_often_than_another():
    seen = epochs(index_of([15] * 32), 30)
    assert set(seen.sum(0).tolist()) <= {29, 30, 31}


def test_whoever_has_fewer_images_than_a_group_comes_as_often_as_others():
    index = index_of([1, 2, 3] * 30 + [9] * 10)
    seen = epochs(index, 24)
    assert seen.mean() == pytest.approx(1, abs=0.02)
    for pid in (1, 2, 3):
        own = seen[:, index.pids == pid]
        comes = own.any(1)
        # Four places in the group for one image, two each for two, 2 + 1 + 1 for three.
        assert 24 * pid // 4 - 1 <= comes.sum() <= 24 * pid // 4 + 1
        assert own[comes].min() == 4 // pid


def test_a_person_with_more_than_a_pth_of_all_images_is_shown_with_the_others_again():
    index = index_of([40, 4, 4, 4])
    seen = epochs(index, 4, num_p=2)
    assert seen[:, index.pids == 1].sum() >= 4 * 40 - 4
    assert seen[:, index.pids > 1].mean() > 1


def test_an_epoch_has_one_batch_at_least():
    assert epochs(index_of([1, 1, 1]), 5, num_p=3).sum(1).tolist() == [12] * 5


def test_groups_change_with_the_epoch_and_not_between_calls():
    index = index_of([8] * 40)
    one = identities(index, 0, 0, 8, 4, pool=16)
    np.testing.assert_array_equal(one, identities(index, 0, 0, 8, 4, pool=16))
    assert (one != identities(index, 1, 0, 8, 4, pool=16)).any()
    together = [
        {tuple(sorted(group)) for group in identities(index, 0, e, 8, 4, pool=16).reshape(-1, 4)}
        for e in range(2)
    ]
    assert len(together[0] & together[1]) < 10  # of 80


def test_a_pool_of_people_is_read_at_a_time():
    index = index_of([8] * 200)
    batches = index.pids[identities(index, 0, 0, 8, 4, pool=16)].reshape(-1, 8 * 4)
    where: dict[int, list[int]] = {}
    for at, batch in enumerate(batches.tolist()):
        for pid in batch:
            where.setdefault(pid, []).append(at)
    spans = [max(of_pid) - min(of_pid) for of_pid in where.values()]
    assert np.mean(spans) < len(batches) / 10


def test_real_and_generated_images_of_a_person_are_mixed():
    index = merge(real_of([6] * 20), index_of([15] * 20))
    seen = epochs(index, 10, generated_per_identity=1, pool=8)
    rows = identities(index, 0, 0, 8, 4, pool=8, generated_per_identity=1)
    assert (index.generated[rows.reshape(-1, 4)].sum(1) == 1).all()
    real, generated = seen[:, ~index.generated], seen[:, index.generated]
    assert np.abs(real.sum(0) - 10).max() <= 1
    # 2 of 15 a time: ten epochs show each once or twice.
    assert generated.sum(0).min() >= 1 and generated.sum(0).max() <= 2


def test_of_one_kind_a_person_gives_what_there_is():
    index = merge(real_of([6] * 4), index_of([8] * 4, first_pid=3))  # 1, 2 real; 5, 6 generated
    batches = identities(index, 0, 0, 3, 4, pool=8, generated_per_identity=2).reshape(-1, 4)
    for group in batches:
        pid = int(index.pids[group[0]])
        assert index.generated[group].sum() == {1: 0, 2: 0, 3: 2, 4: 2, 5: 4, 6: 4}[pid]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((11, 4, 16), "expected at least 11 identities, got 10"), ((4, 4, 16, 4), "< 4, as an")],
)
def test_what_cannot_be_is_told(arguments, said):
    with pytest.raises(RequestError, match=said):
        identities(index_of([8] * 10), 0, 0, *arguments)
