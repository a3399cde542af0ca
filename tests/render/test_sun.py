import numpy as np
import pytest

from posedive.render.kinship import kinship
from posedive.render.maps import condition_fit, render_maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.sighting import sight
from posedive.render.sun import Sun, reached, sun_of
from tests.render.people import LYING, STANDING, STRIDING, condition

SIZE = (64, 128)
AXES = np.eye(3)
ROOF = np.array([[-1, 1, -1], [1, 1, -1], [1, 1, 1], [-1, 1, 1]], float)  # 2 x 2 m, 1 m up
SLABS = np.array([[0, 1, 2], [0, 2, 3]])


def under_roof(places: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The roof's corners, then points on the floor; all face up."""
    floor = [[x, 0.0, z] for x, z in places]
    at = np.concatenate([ROOF, floor])
    return at, np.tile([0.0, 1.0, 0.0], (len(at), 1))


@pytest.mark.parametrize("direction", [(0, 1, 0), (0.6, 0.8, 0), (0, 0.6, -0.8)])
def test_a_roof_throws_its_shadow_away_from_the_sun(direction):
    x, _, z = -np.array(direction) / direction[1]  # where the shadow of the roof's middle falls
    at, up = under_roof([(x, z), (x + 0.8, z - 0.8), (x + 1.3, z), (x, z - 1.3), (3, 3)])
    through = reached(at.astype(np.float32), up.astype(np.float32), SLABS, np.array(direction))
    np.testing.assert_allclose(through, [1, 1, 1, 1, 0, 0, 1, 1, 1], atol=1e-6)


def test_what_faces_the_sun_is_brighter_unless_something_is_between():
    sun = Sun(np.array([0.0, 1.0, 0.0]), 2.0)
    at, up = under_roof([(0, 0), (3, 3)])
    up = np.concatenate([up, [[1.0, 0, 0]]])
    at = np.concatenate([at, [[3.0, 0, 3]]])
    shaded, sunny, sideways = sun.shade(at, up, AXES, SLABS)[-3:]
    assert sunny > shaded + 0.2 and sunny > sideways + 0.2
    alone = Sun(sun.direction, 0.0).shade(at, up, AXES, SLABS)
    assert alone[-3] == alone[-2]  # a sky has no shadows


def test_less_of_the_sky_comes_to_the_floor():
    at, facing = np.array([[0.0, 0, 0], [0, 1.5, 0]]), np.tile([1.0, 0, 0], (2, 1))
    low, high = Sun(np.array([0.0, 1.0, 0.0]), 0.0).shade(at, facing, AXES, np.array([[0, 1, 1]]))
    assert low < high - 0.05


def photographs(model, sun: Sun, poses, azimuths) -> list:
    """Grey bodies in that sun, with their shadows on themselves, of darker legs."""
    body, seen = kinship(model), []
    height = model.v_template.numpy()[:, 1:2]
    paint = np.where(height > np.median(height), 130.0, 70.0)
    for pose in poses:
        for azimuth in azimuths:
            fit = condition_fit(model, condition(pose, azimuth, 5.0), SIZE)
            maps = render_maps(model, fit, SIZE)
            dressed = maps.vertices + body.standoff_m[:, None] * maps.normals_cam
            gain = np.exp(sun.shade(dressed, maps.normals_cam, maps.axes, body.faces))
            raster = rasterize(dressed, body.faces, maps.focal, SIZE)
            image = np.full((*SIZE[::-1], 3), (60, 60, 160), np.uint8)
            shown = interpolate(raster, body.faces, paint * gain[:, None])[raster.mask]
            image[raster.mask] = shown.round().clip(0, 255)
            seen.append((len(seen), sight(model, image, maps)))
    return seen


@pytest.mark.parametrize("direction", [(-0.7, 0.5, -0.5), (0.3, 0.8, -0.5), (0.7, 0.5, 0.1)])
def test_a_sun_is_found_by_how_bodies_are_lit(model, direction):
    truth = Sun(np.array(direction) / np.linalg.norm(direction), 1.0)
    seen = photographs(model, truth, (STANDING, STRIDING, LYING), range(0, 360, 60))
    found = sun_of(kinship(model), seen)
    assert found.direction @ truth.direction > np.cos(np.deg2rad(20))
    assert 0.5 < found.strength < 3.0


def test_under_a_sky_alone_the_sun_is_weak_and_of_nobody_there_is_none(model):
    sky = Sun(np.array([0.0, 1.0, 0.0]), 0.0)
    seen = photographs(model, sky, (STANDING, STRIDING), range(0, 360, 60))
    assert sun_of(kinship(model), seen).strength < 0.3
    assert sun_of(kinship(model), []).strength == 0.0
