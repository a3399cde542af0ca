from dataclasses import replace

import numpy as np
import pytest

from posedive.records import PARTS
from posedive.render.appearance import carry_colours, join
from posedive.render.attire import attire
from posedive.render.belongings import rounded_box, worn
from posedive.render.kinship import kinship
from posedive.render.maps import Maps, condition_fit, render_maps
from posedive.render.rasterizer import rasterize, vertex_normals
from posedive.render.sighting import sight
from tests.render.people import LYING, STANDING, STRIDING, body, condition

SIZE = (64, 128)
SHIRT, BAG, FLOOR = (60, 60, 200), (230, 180, 20), (90, 90, 90)


def maps_of(model, pose, azimuth_deg, elevation_deg=5.0) -> Maps:
    fit = condition_fit(model, condition(pose, azimuth_deg, elevation_deg), SIZE)
    return render_maps(model, fit, SIZE)


def number(model, name: str) -> int:
    return [lump.name for lump in kinship(model).lumps].index(name)


def photograph(model, maps: Maps, *names: str) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who wears those lumps, on plain grey, and the share of each part in each pixel."""
    kin = kinship(model)
    clothes = attire(kin, 0, tuple(number(model, name) for name in names))
    dressed = maps.vertices + kin.standoff_m[:, None] * maps.normals_cam
    positions, _ = clothes.put_on(maps.vertices, dressed, maps.normals_cam, maps.axes[1])
    raster = rasterize(positions, clothes.faces, maps.focal, SIZE)
    lump = clothes.part[raster.face_id] * raster.mask
    shown = np.where(raster.mask, np.where(lump > 0, lump, PARTS.index("body")), 0)
    colours = np.where(lump[..., None] > 0, BAG, np.where(raster.mask[..., None], SHIRT, FLOOR))
    return colours.astype(np.uint8), np.eye(len(PARTS), dtype=np.float32)[shown]


def looks(model, *names: str, pose=STANDING, azimuths=(180, 0, 150)):
    sightings = []
    for azimuth in azimuths:
        maps = maps_of(model, pose, azimuth)
        image, parts = photograph(model, maps, *names)
        sightings.append(sight(model, image, maps, parts=parts))
    return join(model, sightings[0], sightings[1:])


def worn_names(known) -> set[str]:
    return {lump.name for lump in known.attire.lumps}


@pytest.mark.parametrize("exponent", [2.0, 4.0])
def test_a_rounded_box_fills_its_size_and_faces_outward(exponent):
    points, faces = rounded_box(np.array([0.1, 0.2, 0.3]), exponent)
    assert np.abs(points).max(axis=0) == pytest.approx([0.1, 0.2, 0.3], rel=0.05)
    assert ((vertex_normals(points.astype(np.float32), faces) * points).sum(axis=1) > 0).all()


@pytest.mark.parametrize("name", ["backpack", "left bag", "right hand bag", "bob", "long hair"])
def test_what_images_show_is_worn(model, name):
    assert worn_names(looks(model, name)) == {name}


def test_who_carries_nothing_wears_nothing(model):
    assert not worn_names(looks(model))


def test_without_a_parser_nothing_is_looked_for(model):
    maps = maps_of(model, STANDING, 180)
    image, _ = photograph(model, maps, "backpack")
    assert not worn_names(join(model, sight(model, image, maps)))


def test_a_ponytail_is_not_worn_beside_long_hair(model):
    lumps = kinship(model).lumps
    told = np.zeros((1, len(lumps), 2))
    tail, long_hair = number(model, "ponytail"), number(model, "long hair")
    told[0, tail] = 30, 40
    assert worn(lumps, told) == (tail,)
    told[0, long_hair] = 80, 90
    assert worn(lumps, told) == (long_hair,)


def test_what_shows_on_both_sides_alike_is_no_bag(model):
    lumps = kinship(model).lumps
    told = np.zeros((1, len(lumps), 2))
    left, right = number(model, "left hand bag"), number(model, "right hand bag")
    told[0, left], told[0, right] = (90, 400), (10, 400)
    assert worn(lumps, told) == (left,)
    told[0, right] = 80, 400
    assert worn(lumps, told) == ()


def test_images_that_contradict_outweigh_one_that_agrees(model):
    lumps, told = kinship(model).lumps, np.zeros((3, len(kinship(model).lumps), 2))
    told[0, 0], told[1:, 0] = (50, 60), (2, 60)
    assert worn(lumps, told) == ()


@pytest.mark.parametrize("pose", [STRIDING, LYING])
def test_a_backpack_is_drawn_beyond_the_body_in_its_own_colour(model, pose):
    target = maps_of(model, pose, 80, 20)
    true, parts = photograph(model, target, "backpack")
    bag = parts.argmax(axis=-1) == PARTS.index("bag")
    assert bag.sum() > 60
    known = looks(model, "backpack")

    def error(of) -> float:
        carried = carry_colours(of, target).composite
        return float(np.abs(carried[bag].astype(float) - true[bag]).mean())

    without = replace(known, attire=attire(kinship(model)), fill=known.fill[: len(target.vertices)])
    without = replace(
        without,
        sightings=tuple(
            replace(s, positions=s.shot.dressed, normals=s.shot.normals) for s in known.sightings
        ),
    )
    assert error(known) < 30
    assert error(without) > 2 * error(known)


def test_a_bag_leaves_no_colour_on_the_body_behind_it(model):
    target = maps_of(model, STANDING, 180)
    known = looks(model, "backpack", azimuths=(180, 0))
    bare = carry_colours(
        replace(known, attire=replace(known.attire, faces=kinship(model).faces)), target
    )
    apart = np.abs(bare.composite[target.mask].astype(float) - SHIRT).max(axis=-1)
    assert (apart > 100).mean() < 0.05


def test_a_bag_hangs_from_a_hand_and_lies_beside_one_on_the_ground(model):
    lump = kinship(model).lumps[number(model, "left hand bag")]
    for pose, hangs in ((STANDING, True), (body(tilt=(np.pi / 2, 0, 0)), False)):
        maps = maps_of(model, pose, 0, 0)
        up = maps.axes[1]
        hand = maps.vertices[lump.anchor.vertices] @ up
        bag = lump.placed(maps.vertices, up) @ up
        assert (bag.max() < hand.mean() + 0.02) == hangs
