from dataclasses import replace

import numpy as np
import pytest

from posedive.render.appearance import carry_colours, join
from posedive.render.attire import attire
from posedive.render.kinship import kinship
from posedive.render.maps import Maps, condition_fit, render_maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.sighting import sight
from posedive.render.skirt import hem_of
from tests.render.people import STANDING, body, condition

SIZE = (64, 128)
CLOTH, LEGS, FLOOR = (200, 40, 40), (210, 160, 130), 90
HEM = 6  # the rung at the knees
STRADDLING = body(left_hip=(0, 0, 0.5), right_hip=(0, 0, -0.5))


def maps_of(model, pose, azimuth_deg) -> Maps:
    fit = condition_fit(model, condition(pose, azimuth_deg, 5.0), SIZE)
    return render_maps(model, fit, SIZE)


def photograph(model, maps: Maps, hem: int) -> np.ndarray:
    """A body on plain grey, in a skirt down to that rung; below it, bare legs."""
    kin = kinship(model)
    rest = model.v_template.numpy()
    covered = rest[:, 1:2] > rest[kin.bridge.rungs[hem].ravel(), 1].mean()
    dressed = maps.vertices + kin.standoff_m[:, None] * maps.normals_cam
    faces = attire(kin, hem).faces
    raster = rasterize(dressed, faces, maps.focal, SIZE)
    person = interpolate(raster, faces, np.where(covered, CLOTH, LEGS).astype(np.float32))
    return np.where(raster.mask[..., None], person, FLOOR).round().astype(np.uint8)


def looks(model, hem: int):
    seen = [maps_of(model, STANDING, azimuth) for azimuth in (0, 180, 20)]
    first, *others = (sight(model, photograph(model, m, hem), m) for m in seen)
    return join(model, first, others)


def test_a_bridge_joins_the_legs_from_crotch_to_ankle(model):
    rest, bridge = model.v_template.numpy(), kinship(model).bridge
    left, right = rest[bridge.rungs[..., 0]], rest[bridge.rungs[..., 1]]
    assert (left[..., 0] > right[..., 0]).all()
    assert (bridge.rungs[:, 0] != bridge.rungs[:, 1]).all()
    assert (np.diff(left[..., 1].mean(axis=1)) < 0).all()
    assert (rest[bridge.rungs[:, 0], 2] > rest[bridge.rungs[:, 1], 2]).all()


def test_faces_go_down_to_the_hem(model):
    bridge = kinship(model).bridge
    assert bridge.faces(0).shape == (0, 3)
    assert set(bridge.faces(HEM).ravel()) <= set(bridge.rungs[: HEM + 1].ravel())
    assert len(bridge.faces(HEM)) == 4 * HEM


def test_a_skirt_is_found_to_its_hem(model):
    found = len(looks(model, HEM).attire.faces) - len(kinship(model).faces)
    assert found == pytest.approx(4 * HEM, abs=4)  # a rung more or less


def test_trousers_are_no_skirt(model):
    assert len(looks(model, 0).attire.faces) == len(kinship(model).faces)


def test_what_looks_like_cloth_down_to_the_ankles_is_the_ground(model):
    rungs = len(kinship(model).bridge.rungs) - 1
    assert hem_of(np.ones((3, 2, rungs)) * 50) == 0
    upper = np.where(np.arange(rungs) < HEM, 50, -50) * np.array([[1.0], [0.0]])
    assert hem_of(np.array([upper + np.array([[0.0], [50.0]])])) == HEM


def test_in_a_new_pose_cloth_hangs_between_the_legs(model):
    target, kin = maps_of(model, STRADDLING, 0), kinship(model)
    dressed = target.vertices + kin.standoff_m[:, None] * target.normals_cam
    legs = rasterize(dressed, kin.faces, target.focal, SIZE).mask
    between = (photograph(model, target, HEM) == CLOTH).all(-1) & ~legs
    assert between.sum() > 20
    known = looks(model, HEM)

    def error(looks) -> float:
        carried = carry_colours(looks, target).composite
        return float(np.abs(carried[between].astype(float) - CLOTH).mean())

    assert error(known) < 25
    assert error(replace(known, attire=attire(kin))) > 3 * error(known)
