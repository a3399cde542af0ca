import numpy as np
import pytest
import torch

from posedive.reid.evaluate import Split, features, percent, search
from posedive.reid.model import ReidModel


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return ReidModel("resnet18-quarter", num_identities=2, camera_wise=False).eval()


@pytest.fixture
def camera_wise():
    torch.manual_seed(0)
    return ReidModel("resnet18-quarter", num_identities=2, camera_wise=True).eval()


def test_features_are_float32_of_length_one_in_the_images_order(plain, draw_people):
    people = draw_people(range(1, 60), images_per_camera=1, seed=0)
    found = features(plain, people.images, people.camids)
    assert found.shape == (len(people.pids), 128) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    alone = features(plain, people.images[[0, 150]], people.camids[[0, 150]])
    np.testing.assert_allclose(found[[0, 150]], alone, atol=1e-4)


def test_a_camera_is_normalised_by_its_own_images_alone(camera_wise, draw_people):
    people = draw_people(range(1, 20), images_per_camera=1, seed=0)
    other = people.images.copy()
    second = people.camids == 2
    other[second] = 255 - other[second]
    before = features(camera_wise, people.images, people.camids)
    after = features(camera_wise, other, people.camids)
    np.testing.assert_allclose(after[~second], before[~second], atol=1e-5)
    assert np.abs(after[second] - before[second]).max(1).min() > 0.01


def test_the_same_picture_before_two_cameras_differs_only_when_camera_wise(
    camera_wise, plain, draw_people
):
    people = draw_people(range(1, 20), images_per_camera=1, seed=0)
    images = people.images.copy()
    images[1] = images[0]
    for model, same in ((plain, True), (camera_wise, False)):
        first, second = features(model, images, people.camids)[:2]
        assert np.allclose(first, second, atol=1e-3) == same


def test_scores_are_percent_and_perfect_for_identical_pictures(plain, draw_people):
    people = draw_people(range(1, 9), images_per_camera=1, seed=0)
    elsewhere = Split(people.images, people.pids, people.camids + 10)
    expected = {"mAP": 100, "rank1": 100, "rank5": 100, "mINP": 100}
    gallery = Split(*(part[::3] for part in (elsewhere.images, elsewhere.pids, elsewhere.camids)))
    query = Split(*(part[::3] for part in (people.images, people.pids, people.camids)))
    assert percent(search(plain, query, gallery)) == expected
    assert percent(search(plain, query, gallery, reranked=True)) == pytest.approx(expected)


def test_junk_is_not_even_a_neighbour(plain, draw_people):
    people = draw_people(range(1, 9), images_per_camera=2, seed=0)
    gallery = draw_people(range(1, 9), images_per_camera=2, seed=1)
    junk = np.zeros_like(gallery.images)
    littered = Split(
        np.concatenate([gallery.images, junk]),
        np.concatenate([gallery.pids, np.full(len(junk), -1)]),
        np.concatenate([gallery.camids, gallery.camids]),
    )
    for reranked in (False, True):
        clean = percent(search(plain, people, gallery, reranked))
        assert percent(search(plain, people, littered, reranked)) == pytest.approx(clean)
