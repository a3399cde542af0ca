"""Training pairs are of one person, of two images, and of the cameras asked for."""

from dataclasses import replace

import numpy as np
import pytest

from posedive.datasets import open_dataset, training_pairs
from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.pairs import companions
from posedive.errors import DatasetError
from posedive.records import PersonImage
from posedive.render.viewpoints import viewpoint_of

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
    with pytest.raises(DatasetError, match="embedded, market1501, msmt17, .*got 'viper'"):
        open_dataset("viper")


def test_companions_are_seen_from_as_far_apart_as_can_be():
    images = EmbeddedWorld(seed=3, identities=4).images("train")
    mine = [image for image in images if image.pid == 2]
    chosen = companions(mine, mine[0], 3)
    assert chosen == companions(list(reversed(mine)), mine[0], 3)
    assert len({i.key for i in chosen} | {mine[0].key}) == 4

    def arc(image: PersonImage) -> float:
        assert image.fit is not None and mine[0].fit is not None
        apart = viewpoint_of(image.fit)[0] - viewpoint_of(mine[0].fit)[0]
        return abs((apart + 180) % 360 - 180)

    assert arc(chosen[0]) == max(arc(image) for image in mine)
    assert len(companions(mine, mine[0], 100)) == len(mine) - 1


def test_only_images_with_a_fit_are_companions():
    mine = EmbeddedWorld(seed=3, identities=4).images("train")[:6]
    bare = [replace(image, fit=None) for image in mine]
    assert companions([mine[0], *bare[1:]], mine[0], 3) == []
    assert companions(mine, bare[0], 3) == []
