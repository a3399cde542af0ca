"""The embedded world: exact fits, the bias of its splits; an image is a function of (seed, key)."""

import pickle
import re

import numpy as np
import pytest

from posedive.body.smpl import faces, load_body, pose_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.embedded.cameras import SCENE
from posedive.datasets.embedded.identities import identity
from posedive.datasets.embedded.tailor import clip
from posedive.datasets.embedded.wardrobe import joint_transforms, load_wardrobe, skin
from posedive.errors import DatasetError
from posedive.render.camera import to_camera
from posedive.render.rasterizer import rasterize

KEY = re.compile(r"(\d{4})_c(\d+)s1_(\d{6})_(\d{2})")
SPLITS = (
    *("train", "query", "gallery", "query_diverse", "gallery_diverse", "train_diverse"),
    *("train_more", "query_actions", "gallery_actions"),
)


@pytest.fixture(scope="module")
def world():
    return EmbeddedWorld(seed=1, identities=10)


@pytest.fixture(scope="module")
def images(world):
    return {split: world.images(split) for split in SPLITS}


def views(images):
    """Azimuth and elevation of each image's camera, in degrees; see render.camera's rotation."""
    rotations = [image.fit.camera.rotation for image in images]
    azimuth = [np.rad2deg(np.arctan2(-r[0, 2], r[0, 0])) % 360 for r in rotations]
    elevation = [np.rad2deg(np.arcsin(-r[2, 1])) for r in rotations]
    return np.array(azimuth), np.array(elevation)


def test_keys_follow_market_1501_and_are_unique_over_all_splits(images):
    keys = [image.key for split in SPLITS for image in images[split]]
    assert len(keys) == len(set(keys))
    for split in SPLITS:
        for image in images[split]:
            match = KEY.fullmatch(image.key)
            assert match and int(match[1]) == image.pid and int(match[2]) == image.camid


def test_test_people_are_others_than_train_people_and_each_query_has_a_match(images):
    pids = {split: {image.pid for image in images[split]} for split in SPLITS}
    assert pids["train"] == set(range(1, 11)) == pids["train_diverse"]
    assert pids["query"] == set(range(11, 17)) == pids["query_diverse"]
    for kind in ("", "_diverse"):
        for query in images["query" + kind]:
            others = [i for i in images["gallery" + kind] if i.pid == query.pid]
            assert {image.camid for image in others} - {query.camid}


def test_train_is_biased_and_the_diverse_splits_are_not(images):
    azimuth, elevation = views(images["train"])
    from_axis = np.abs((azimuth + 90) % 180 - 90)
    assert np.mean(from_axis < 45) > 0.8
    assert elevation.max() < 16
    for split in ("gallery_diverse", "train_diverse"):
        azimuth, elevation = views(images[split])
        assert elevation.max() > 30
        assert len(np.unique(azimuth // 60)) == 6
    cameras = [len({i.camid for i in images["train"] if i.pid == pid}) for pid in range(1, 11)]
    assert 3 <= min(cameras) and max(cameras) <= 6


def test_more_images_of_train_are_as_biased_and_before_the_same_cameras(images):
    azimuth, elevation = views(images["train_more"])
    assert np.mean(np.abs((azimuth + 90) % 180 - 90) < 45) > 0.8 and elevation.max() < 16
    for pid in range(1, 11):
        train, more = ([i for i in images[s] if i.pid == pid] for s in ("train", "train_more"))
        assert {i.camid for i in train} == {i.camid for i in more} and len(more) >= 30
        poses = [{i.fit.body.body_pose.tobytes() for i in of_pid} for of_pid in (train, more)]
        assert len(poses[1] - poses[0]) > 20


def test_actions_are_of_others_before_eight_cameras_high_up_indoors(world, images):
    actions = [*images["query_actions"], *images["gallery_actions"]]
    assert {image.pid for image in actions} == set(range(17, 23))
    assert {image.camid for image in actions} <= set(range(7, 15))
    azimuth, elevation = views(actions)
    assert elevation.min() > 15 and len(np.unique(azimuth // 60)) == 6
    for camid in range(7, 15):
        assert world.place(camid).scene[SCENE.index("ceiling_y")] < 4
    for query in images["query_actions"]:
        cameras = {i.camid for i in images["gallery_actions"] if i.pid == query.pid}
        assert cameras - {query.camid}


def test_the_fit_lies_on_the_person(world, images):
    model = load_body("embedded")
    for image in images["gallery_diverse"][::5]:
        _, person = world.foreground(image.pid, image.camid, image.fit, (96, 192), seed=0)
        vertices, _ = pose_body(model, [image.fit.body])
        in_camera = to_camera(vertices[0], image.fit.camera)
        body = rasterize(in_camera, faces(model), image.fit.camera.focal, (96, 192)).mask
        assert (body & person).sum() / body.sum() > 0.97
        assert body.sum() / person.sum() > 0.5


def test_clothes_are_skinned_as_smplx_skins_the_body(images):
    wardrobe, fit = load_wardrobe(), images["query_diverse"][0].fit
    joints = wardrobe.joints(fit.body.betas)
    rows = wardrobe.pieces["body"][0]
    rest = wardrobe.shaped(fit.body.betas)[rows]
    transforms = joint_transforms(fit.body, joints, wardrobe.parents)
    theirs, _ = pose_body(load_body("embedded"), [fit.body])
    np.testing.assert_allclose(skin(rest, wardrobe.weights[rows], transforms), theirs[0], atol=1e-5)


def test_an_image_is_a_function_of_seed_and_key(world, images):
    image = images["train"][7]
    first = world.read(image)
    for other in images["train"][:3]:
        world.read(other)
    copy = pickle.loads(pickle.dumps(world))
    again = next(
        i for i in EmbeddedWorld(seed=1, identities=10).images("train") if i.key == image.key
    )
    np.testing.assert_array_equal(copy.read(again), first)
    assert first.shape == (128, 64, 3) and first.dtype == np.uint8
    assert len(pickle.dumps(world)) < 1000
    assert np.abs(world.read(images["train"][8]).astype(int) - first).mean() > 1


def test_keys_and_fits_do_not_depend_on_the_size(images):
    large = EmbeddedWorld(seed=1, identities=10, size=(192, 384)).images("train")
    for ours, theirs in zip(large, images["train"], strict=True):
        assert ours.key == theirs.key
        assert ours.fit is not None and theirs.fit is not None
        np.testing.assert_allclose(
            ours.fit.camera.translation, theirs.fit.camera.translation, atol=1e-9
        )


def test_one_camera_shows_one_place_to_all(world, images):
    """Corners of the picture, far from the person: nearer within a camera than across cameras."""
    corner = {}
    for image in images["train"][:40]:
        corner.setdefault(image.camid, []).append(world.read(image)[:24, :10].mean((0, 1)))
    spread = np.mean([np.std(c, axis=0).mean() for c in corner.values() if len(c) > 1])
    across = np.std([np.mean(c, axis=0) for c in corner.values()], axis=0).mean()
    assert spread < across


def test_people_are_told_apart_by_what_they_wear():
    """A double among 200: top and legs of nearly the same dyes, and of the same cut and pattern."""
    people = [identity(0, pid) for pid in range(1, 201)]
    dyes = np.cbrt([np.r_[_top(p).cloth.colours[0], p.lower.cloth.colours[0]] for p in people])
    gaps = np.abs(dyes[:, None] - dyes[None]).max(-1) + np.eye(len(people))
    doubles = [
        (i, j) for i, j in np.argwhere(gaps < 0.05) if _cut(people[i]) == _cut(people[j]) and i < j
    ]
    assert len(doubles) <= 4
    saturated = np.ptp(dyes[:, :3], axis=1) > 0.25
    assert 0.25 < saturated.mean() < 0.85


def _top(who):
    return who.jacket or who.upper


def _cut(who):
    bag = [b is not None for b in (who.backpack, who.shoulder_bag, who.hand_bag, who.jacket)]
    top, lower = _top(who), who.lower
    return (top.cloth.pattern, top.sleeve > 0.6, lower.kind, lower.length > 0.6, *bag)


def test_wide_and_biased_worlds_share_nobody():
    for pid in range(1, 30):
        biased, wide = identity(0, pid), identity(0, pid, wide=True)
        assert np.abs(biased.betas - wide.betas).max() > 0.1


def test_a_wide_world_has_two_places_a_person_and_any_view():
    images = EmbeddedWorld(seed=1, identities=12, wide=True).images("train")
    assert len(images) == 12 * 10
    assert all(len({i.camid for i in images if i.pid == pid}) == 2 for pid in range(1, 13))
    azimuth, elevation = views([i for i in images if not i.key.endswith(("_00", "_01"))])
    assert len(np.unique(azimuth // 45)) == 8
    assert elevation.max() > 35 and elevation.min() < 8
    with pytest.raises(DatasetError, match="no split 'query'"):
        EmbeddedWorld(seed=1, identities=12, wide=True).images("query")


def test_the_first_two_images_of_a_wide_tracklet_are_seen_as_a_biased_set_sees_people():
    images = EmbeddedWorld(seed=1, identities=12, wide=True).images("train")
    _, elevation = views([i for i in images if i.key.endswith(("_00", "_01"))])
    assert elevation.max() < 15


def test_a_cut_ends_where_its_field_is_zero():
    """A unit square of two triangles, cut at x = 0.25."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    cut, ends, shares = clip(np.array([[0, 1, 2], [0, 2, 3]]), corners[:, 0] - 0.25)
    new = corners[ends[:, 0]] + shares[:, None] * (corners[ends[:, 1]] - corners[ends[:, 0]])
    points = np.concatenate([corners, new])
    np.testing.assert_allclose(new[:, 0], 0.25)
    a, b, c = points[cut].transpose(1, 0, 2)
    area = 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    assert (area > 0).all()
    assert area.sum() == pytest.approx(0.75)
