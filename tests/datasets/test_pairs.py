"""Training pairs are of one person, of two images, and of the cameras asked for."""

import numpy as np
import pytest

from posedive.datasets import open_dataset, training_pairs
from posedive.errors import DatasetError
from posedive.records import PersonImage

IMAGES = [
    PersonImage(f"0001_c{camid}s1_000000_{seq:02d}", 1, camid, "train")
    for camid in (1, 2)
    for seq in range(3)
]


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_targets_are_others_and_of_the_cameras_asked_for(ratio):
    pairs = list(training_pairs(IMAGES, np.random.default_rng(0), 6, 2, ratio))
    assert len({reference.key for reference, _ in pairs}) == 6
    for reference, targets in pairs:
        assert len({target.key for target in targets}) == 2
        for target in targets:
            assert target.key != reference.key
            assert (target.camid == reference.camid) == (ratio == 1.0)


def test_one_image_alone_makes_no_pair_and_two_people_are_a_mistake():
    rng = np.random.default_rng(0)
    assert not list(training_pairs(IMAGES[:1], rng, 2, 1, 0.5))
    other = PersonImage("0002_c1s1_000000_00", 2, 1, "train")
    with pytest.raises(ValueError, match="one pid"):
        list(training_pairs([*IMAGES, other], rng, 2, 1, 0.5))


def test_an_unknown_set_is_named_beside_the_known():
    with pytest.raises(DatasetError, match="embedded, market1501, got 'mars'"):
        open_dataset("mars")
