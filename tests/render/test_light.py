import numpy as np
import pytest

from posedive.render.appearance import carry_colours, join
from posedive.render.kinship import kinship
from posedive.render.light import BLACK, EVEN, Light, light_of, lights_of, spread_outward
from posedive.render.maps import Maps, condition_fit, render_maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.sighting import sight
from tests.render.people import STANDING, STRIDING, condition

SIZE = (64, 128)
SUN = np.array([-0.7, 0.5, -0.5])  # from the left, above, the camera's side; floor axes


def maps_of(model, pose, azimuth_deg, elevation_deg=5.0) -> Maps:
    fit = condition_fit(model, condition(pose, azimuth_deg, elevation_deg), SIZE)
    return render_maps(model, fit, SIZE)


def gain(normals: np.ndarray) -> np.ndarray:
    """Of a sun and a sky, which no second order holds exactly."""
    facing = normals @ SUN / (np.linalg.norm(normals, axis=-1) * np.linalg.norm(SUN) + 1e-9)
    return (0.6 + 0.5 * np.maximum(facing, 0)) ** 0.5


def photograph(model, maps: Maps) -> np.ndarray:
    """A grey body in that light, a dark one from the waist down, on plain blue."""
    body = kinship(model)
    dressed = maps.vertices + body.standoff_m[:, None] * maps.normals_cam
    raster = rasterize(dressed, body.faces, maps.focal, SIZE)
    height = model.v_template.numpy()[:, 1:2]
    paint = np.where(height > np.median(height), 170.0, 80.0)
    colours = interpolate(raster, body.faces, paint)
    normals = interpolate(raster, body.faces, maps.normals_cam @ maps.axes.T)
    lit = np.repeat((colours + BLACK) * gain(normals)[..., None] - BLACK, 3, axis=-1)
    return (
        np.where(raster.mask[..., None], lit, (60, 60, 160)).round().clip(0, 255).astype(np.uint8)
    )


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def light(model) -> Light:
    views = [maps_of(model, pose, a) for pose in (STANDING, STRIDING) for a in (0, 80, 170, 290)]
    seen = [(i, sight(model, photograph(model, maps), maps)) for i, maps in enumerate(views)]
    return light_of(kinship(model), seen)


def test_the_side_that_the_sun_is_on_is_found_to_be_brighter(light):
    left, right = np.array([[-1.0, 0, -0.3]]), np.array([[1.0, 0, -0.3]])
    grey = np.full((1, 3), 100.0)
    found = light.lit(grey, left) - light.lit(grey, right)
    expected = (100 + BLACK) * (gain(left) - gain(right))
    np.testing.assert_allclose(found[0], expected[0], rtol=0.3)


def test_a_person_turned_round_is_lit_as_there(model, light):
    for azimuth, elevation in [(90, 5), (180, 5), (200, 40)]:
        reference, target = (
            maps_of(model, STANDING, 0),
            maps_of(model, STRIDING, azimuth, elevation),
        )
        image, truth = photograph(model, reference), photograph(model, target)
        lit, taken = (
            carry_colours(join(model, sight(model, image, reference, known)), target).rgb
            for known in (light, EVEN)
        )
        on = target.mask
        assert psnr(lit[on], truth[on]) > psnr(taken[on], truth[on]) + 1.5


def test_lit_undoes_unlit_and_even_light_does_nothing(light):
    rng = np.random.default_rng(0)
    colours, normals = rng.uniform(0, 255, (50, 3)), rng.normal(size=(50, 3))
    np.testing.assert_allclose(light.lit(light.unlit(colours, normals), normals), colours)
    np.testing.assert_allclose(EVEN.lit(colours, normals), colours)
    assert np.abs(light.unlit(colours, normals) - colours).max() > 10


def pale(image: np.ndarray) -> np.ndarray:
    """As a camera of less contrast and another white balance shows it."""
    return np.round(40 + image * [0.7, 0.6, 0.4]).astype(np.uint8)


def test_what_a_pale_camera_saw_has_the_colours_of_the_other_one(model):
    def seen(camera, pids, azimuths):
        of = ((pid, maps_of(model, STANDING, azimuth)) for pid in pids for azimuth in azimuths)
        return [(pid, sight(model, camera(photograph(model, maps)), maps)) for pid, maps in of]

    lights = lights_of(
        kinship(model),
        {1: seen(lambda x: x, range(8), (0, 90, 200)), 2: seen(pale, range(8), (20, 100, 180))},
    )
    image, facing = np.array([[80.0, 80, 80], [170, 170, 170]]), np.array([[0.0, 0, -1]])
    cloth = lights[1].unlit(image, facing), lights[2].unlit(pale(image).astype(float), facing)
    assert np.abs(cloth[0] - cloth[1]).mean() < 0.3 * np.abs(image - pale(image)).mean()
    np.testing.assert_allclose(lights[2].lit(cloth[1], facing), pale(image), atol=1e-3)


def test_a_camera_that_shares_nobody_with_others_keeps_its_colours(model):
    maps = maps_of(model, STANDING, 0)
    one = sight(model, photograph(model, maps), maps)
    other = sight(model, pale(photograph(model, maps)), maps)
    for light in lights_of(kinship(model), {1: [(1, one)], 2: [(2, other)], 3: []}).values():
        np.testing.assert_allclose(light.matrix, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(light.offset, 0, atol=1e-6)


def test_no_image_and_no_body_in_sight_tell_of_no_light(model):
    assert light_of(kinship(model), []) is EVEN
    maps = maps_of(model, STANDING, 0)
    away = Maps(**{**maps.__dict__, "vertices": maps.vertices + [50, 0, 0]})
    nobody = sight(model, photograph(model, maps), away)
    assert not light_of(kinship(model), [(1, nobody)]).coefficients.any()


def test_beside_the_known_stands_the_nearest_of_it():
    values = np.zeros((3, 5, 1), np.float32)
    known = np.zeros((3, 5), bool)
    values[1, 1], values[1, 4], known[1, 1], known[1, 4] = 7, 9, True, True
    np.testing.assert_array_equal(spread_outward(values, known)[1, :, 0], [7, 7, 7, 9, 9])
    assert spread_outward(values, np.zeros_like(known)) is values
