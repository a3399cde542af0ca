import numpy as np
import pytest

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.jobs.planning import planned
from posedive.jobs.scenes import Scenes
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


def scenes_of(world, plan, pids=None) -> tuple[Scenes, list[int]]:
    """Scenes of some people's images; and the pids of each image that is read."""
    read = []

    def pixels(image):
        read.append(image.pid)
        return world.read(image)

    images = {pid: of for pid, of in plan.images.items() if pids is None or pid in pids}
    return Scenes(load_body("embedded"), pixels, images, world.size), read


def test_a_scene_is_of_others_and_follows_from_its_pair_alone(world, plan):
    first, second = plan.shard(0).pairs[:2]
    scenes, read = scenes_of(world, plan)
    expected = scenes(first, STAND)
    assert expected is not None and expected.shape == (128, 64, 3)
    assert read and first.pid not in read
    other, _ = scenes_of(world, plan)
    other(second, STAND)
    np.testing.assert_array_equal(other(first, STAND), expected)


def test_where_a_camera_saw_nobody_else_there_is_no_scene(world, plan):
    pair = plan.shard(0).pairs[0]
    scenes, _ = scenes_of(world, plan, pids=[pair.pid])
    assert scenes(pair, STAND) is None


def test_an_unreadable_image_is_left_out(world, plan):
    pair = plan.shard(0).pairs[0]
    scenes = Scenes(load_body("embedded"), lambda _: None, plan.images, world.size)
    assert scenes(pair, STAND) is None
