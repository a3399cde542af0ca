from dataclasses import replace

import numpy as np
import pytest

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.jobs.places import MOST_IMAGES, Places, telling_images
from posedive.jobs.planning import planned
from posedive.records import Camera
from posedive.render.camera import to_camera
from posedive.render.light import EVEN
from posedive.render.scene import carry_scene, stand_of
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


CAMERA = Camera(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 8.0]), 3.0)


@pytest.fixture(scope="module")
def standing() -> np.ndarray:
    """The body's vertices before CAMERA."""
    return to_camera(np.asarray(load_body("embedded").v_template), CAMERA)


def places_of(world, plan, pids=None) -> tuple[Places, list[int]]:
    """Places of some people's images; and the pids of each image that is read."""
    read = []

    def pixels(image):
        read.append(image.pid)
        return world.read(image)

    images = {pid: of for pid, of in plan.images.items() if pids is None or pid in pids}
    return Places(load_body("embedded"), pixels, images), read


def test_a_scene_is_of_others_and_follows_from_its_pair_alone(world, plan, standing):
    first, second = plan.shard(0).pairs[:2]
    places, _ = places_of(world, plan)
    expected = places.scene(first, CAMERA, standing, world.size)
    assert expected is not None and expected.shape == (128, 64, 3)
    anew, _ = places_of(world, plan)
    anew.scene(second, CAMERA, standing, world.size)
    np.testing.assert_array_equal(anew.scene(first, CAMERA, standing, world.size), expected)
    for pid, of in anew.cameras.backdrops[first.camid]:
        scene = anew.behind(of, first.camid, CAMERA, standing, world.size)
        assert pid != first.pid or not np.array_equal(scene, expected)


def test_where_a_camera_saw_nobody_else_there_is_no_scene(world, plan, standing):
    pair = plan.shard(0).pairs[0]
    places, _ = places_of(world, plan, pids=[pair.pid])
    assert places.scene(pair, CAMERA, standing, world.size) is None


def test_who_stands_there_throws_a_shadow_on_the_scene(world, plan, standing):
    places, _ = places_of(world, plan)
    pair = plan.shard(0).pairs[0]
    chosen = next(of for pid, of in places.cameras.backdrops[pair.camid] if pid != pair.pid)
    shown = places.behind(chosen, pair.camid, CAMERA, standing, world.size)
    without = carry_scene(chosen, stand_of(standing, CAMERA), world.size)
    feet = slice(-24, None)
    assert shown[feet].mean() < without[feet].mean() - 1
    np.testing.assert_array_equal(shown[:40], without[:40])


def test_an_unreadable_image_is_left_out(world, plan, standing):
    pair = plan.shard(0).pairs[0]
    places = Places(load_body("embedded"), lambda _: None, plan.images)
    assert places.scene(pair, CAMERA, standing, world.size) is None
    assert places.light(pair.camid) is EVEN


def test_cameras_are_read_once_and_tell_of_their_lights(world, plan):
    places, read = places_of(world, plan)
    camid = plan.shard(0).pairs[0].camid
    light = places.light(camid)
    assert len(read) == sum(map(len, places.telling.values()))
    assert places.light(camid) is light and light.sun and light.sun.strength > 0
    assert light.offset.any()
    assert places.light(99) is EVEN


def test_people_whom_most_cameras_saw_tell_first_and_each_once_before_twice(world):
    def image(pid, camid, number):
        return replace(
            world.images("train")[0], pid=pid, camid=camid, key=f"{pid}_{camid}_{number}"
        )

    images = {
        1: [image(1, 1, n) for n in range(MOST_IMAGES)],
        2: [image(2, camid, n) for camid in (1, 2) for n in range(2)],
        3: [replace(image(3, 1, 0), fit=None)],
    }
    telling = telling_images(images)
    assert [i.key for i in telling[1]][:4] == ["2_1_0", "1_1_0", "2_1_1", "1_1_1"]
    assert len(telling[1]) == MOST_IMAGES and len(telling[2]) == 2
