import numpy as np
import pytest

from posedive.errors import DatasetError, RequestError
from posedive.reid.sampler import PkSampler

PIDS = np.repeat(np.arange(1, 12), np.arange(2, 13))  # person n has n + 1 images
REAL = np.zeros(len(PIDS), bool)


def sampler(pids=PIDS, generated=REAL, generated_per_identity=0, seed=0) -> PkSampler:
    return PkSampler(pids, generated, 5, 4, generated_per_identity, seed)


def test_every_anchor_has_three_positives_and_every_batch_five_people():
    for step in range(20):
        people, counts = np.unique(PIDS[sampler().batch(step)], return_counts=True)
        assert len(people) == 5 and (counts == 4).all()


def test_no_image_repeats_where_a_person_has_enough():
    for step in range(20):
        rows = sampler().batch(step)
        enough = PIDS[rows] >= 3
        assert len(np.unique(rows[enough])) == enough.sum()


def test_an_epoch_shows_a_person_at_most_once():
    # 11 people: two batches of five an epoch.
    shown = PIDS[np.concatenate([sampler().batch(step) for step in (2, 3)])]
    assert len(np.unique(shown)) == 10


def test_a_batch_follows_from_seed_and_step():
    np.testing.assert_array_equal(sampler().batch(7), sampler().batch(7))
    assert (sampler().batch(7) != sampler().batch(8)).any()
    assert (sampler().batch(7) != sampler(seed=1).batch(7)).any()


def test_each_person_brings_the_given_number_of_generated_images():
    pids, generated = np.tile(PIDS, 2), np.repeat([False, True], len(PIDS))
    for number in (0, 1, 3):
        mixed = sampler(pids, generated, generated_per_identity=number)
        for step in range(5):
            groups = generated[mixed.batch(step)].reshape(5, 4)
            assert (groups.sum(1) == number).all()


def test_a_batch_of_real_images_alone_holds_the_same_people():
    pids, generated = np.tile(PIDS, 2), np.repeat([False, True], len(PIDS))
    mixed = sampler(pids, generated, generated_per_identity=2)
    alone = mixed.batch(3, real_alone=True)
    assert not generated[alone].any()
    np.testing.assert_array_equal(pids[alone], pids[mixed.batch(3)])


def test_who_has_images_of_one_kind_fills_up_with_them():
    pids = np.repeat(np.arange(5), 6)
    generated = pids == 4
    rows = sampler(pids, generated, generated_per_identity=1).batch(0)
    assert generated[rows].sum() == 4 and (pids[rows][generated[rows]] == 4).all()


def test_fewer_people_than_a_batch_holds_are_an_error():
    with pytest.raises(DatasetError, match="at least 5 identities"):
        sampler(np.array([1, 1, 2, 2]), np.zeros(4, bool))


def test_more_generated_images_than_a_person_has_in_a_batch_are_an_error():
    with pytest.raises(RequestError, match="at most 4 generated_per_identity, .* got 5"):
        sampler(generated_per_identity=5)
