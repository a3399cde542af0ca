import numpy as np
import pytest

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.jobs.places import Places
from posedive.jobs.planning import planned
from posedive.render.scene import Stand
from posedive.spec.generate import Generate


@pytest.fixture(scope="module")
def world():
    return EmbeddedWorld(seed=3, identities=6)


@pytest.fixture(scope="module")
def plan(world):
    spec = Generate.model_validate(
        {"kind": "generate", "dataset": {"name": "embedded"}, "output": {"uri": "unused"}}
    )
    return planned(spec, world.images("train"), None)


STAND = Stand(np.array([0.0, 0.9, 8.0]), np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]]), 3.0)


def places_of(world, plan, pids=None) -> tuple[Places, list[int]]:
    """Places of some people's images; and the pids of each image that is read."""
    read = []

    def pixels(image):
        read.append(image.pid)
        return world.read(image)

    images = {pid: of for pid, of in plan.images.items() if pids is None or pid in pids}
    return Places(load_body("embedded"), pixels, images), read


def test_a_scene_is_of_others_and_follows_from_its_pair_alone(world, plan):
    first, second = plan.shard(0).pairs[:2]
    places, _ = places_of(world, plan)
    expected = places.scene(first, STAND, world.size)
    assert expected is not None and expected.shape == (128, 64, 3)
    others, _ = places_of(world, plan, pids=plan.images.keys() - {first.pid})
    others.scene(second, STAND, world.size)
    np.testing.assert_array_equal(others.scene(first, STAND, world.size), expected)


def test_where_a_camera_saw_nobody_else_there_is_no_scene(world, plan):
    pair = plan.shard(0).pairs[0]
    places, _ = places_of(world, plan, pids=[pair.pid])
    assert places.scene(pair, STAND, world.size) is None


def test_an_unreadable_image_is_left_out(world, plan):
    pair = plan.shard(0).pairs[0]
    places = Places(load_body("embedded"), lambda _: None, plan.images)
    assert places.scene(pair, STAND, world.size) is None
    assert not places.light(pair.camid).coefficients.any()


def test_a_camera_is_read_once_and_tells_of_its_light(world, plan):
    places, read = places_of(world, plan)
    camid = plan.shard(0).pairs[0].camid
    light = places.light(camid)
    assert len(read) == sum(i.camid == camid for of in plan.images.values() for i in of)
    assert places.light(camid) is light and light.coefficients.any()
    assert len(read) == len(set(places.of_camera[camid]))
