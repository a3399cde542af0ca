import numpy as np
import pytest

from posedive.render.appearance import carry_colours, join
from posedive.render.kinship import kinship
from posedive.render.light import EVEN, Light, lights_of, spread_outward, told_by
from posedive.render.maps import Maps, condition_fit, render_maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.sighting import sight
from posedive.render.sun import BLACK, Sun
from tests.render.people import STANDING, STRIDING, condition

SIZE = (64, 128)
SUN = Sun(np.array([-0.7, 0.5, -0.5]) / np.sqrt(0.99), 1.0)  # from the left, the camera's side


def maps_of(model, pose, azimuth_deg, elevation_deg=5.0) -> Maps:
    fit = condition_fit(model, condition(pose, azimuth_deg, elevation_deg), SIZE)
    return render_maps(model, fit, SIZE)


def photograph(model, maps: Maps) -> np.ndarray:
    """A grey body in that light, a dark one from the waist down, on plain blue."""
    body = kinship(model)
    dressed = maps.vertices + body.standoff_m[:, None] * maps.normals_cam
    raster = rasterize(dressed, body.faces, maps.focal, SIZE)
    height = model.v_template.numpy()[:, 1:2]
    paint = np.where(height > np.median(height), 170.0, 80.0)
    gain = np.exp(SUN.shade(dressed, maps.normals_cam, maps.axes, body.faces))[:, None]
    lit = interpolate(raster, body.faces, np.repeat((paint + BLACK) * gain - BLACK, 3, axis=1))
    return (
        np.where(raster.mask[..., None], lit, (60, 60, 160)).round().clip(0, 255).astype(np.uint8)
    )


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def light(model) -> Light:
    views = [maps_of(model, pose, a) for pose in (STANDING, STRIDING) for a in (0, 80, 170, 290)]
    seen = [(i, sight(model, photograph(model, maps), maps)) for i, maps in enumerate(views)]
    return lights_of({1: told_by(kinship(model), seen)})[1]


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
    colours, shade = rng.uniform(20, 255, (50, 3)), 0.1 * rng.normal(size=(50, 1))
    np.testing.assert_allclose(light.lit(light.unlit(colours, shade), shade), colours)
    np.testing.assert_allclose(EVEN.lit(colours, np.zeros((50, 1))), colours)
    points = rng.normal(size=(50, 3))
    assert not EVEN.shade(points, points, np.eye(3), np.arange(48).reshape(-1, 3)).any()
    assert np.abs(light.unlit(colours, shade) - colours).max() > 5


def pale(image: np.ndarray) -> np.ndarray:
    """As a camera of less contrast and another white balance shows it."""
    return np.round(40 + image * [0.7, 0.6, 0.4]).astype(np.uint8)


def before_the_camera(light: Light) -> np.ndarray:
    """The shade of what faces the camera, a metre up."""
    at, towards = np.array([[0.0, 0, 0], [0, 1, 0]]), np.tile([0.0, 0, -1], (2, 1))
    return light.shade(at, towards, np.eye(3), np.array([[0, 1, 1]]))[1]


def test_what_a_pale_camera_saw_has_the_colours_of_the_other_one(model):
    def seen(camera, pids, azimuths):
        of = ((pid, maps_of(model, STANDING, azimuth)) for pid in pids for azimuth in azimuths)
        return [(pid, sight(model, camera(photograph(model, maps)), maps)) for pid, maps in of]

    of_cameras = {
        1: seen(lambda x: x, range(8), (0, 90, 200)),
        2: seen(pale, range(8), (20, 100, 180)),
    }
    lights = lights_of({camid: told_by(kinship(model), of) for camid, of in of_cameras.items()})
    image = np.array([[80.0, 80, 80], [170, 170, 170]])
    shades = [before_the_camera(lights[camid]) for camid in (1, 2)]
    cloth = lights[1].unlit(image, shades[0]), lights[2].unlit(pale(image).astype(float), shades[1])
    assert np.abs(cloth[0] - cloth[1]).mean() < 0.3 * np.abs(image - pale(image)).mean()
    np.testing.assert_allclose(lights[2].lit(cloth[1], shades[1]), pale(image), atol=1e-3)


def test_a_camera_that_shares_nobody_with_others_keeps_its_colours(model):
    maps = maps_of(model, STANDING, 0)
    one = sight(model, photograph(model, maps), maps)
    other = sight(model, pale(photograph(model, maps)), maps)
    told = {
        camid: told_by(kinship(model), of)
        for camid, of in {1: [(1, one)], 2: [(2, other)], 3: []}.items()
    }
    for light in lights_of(told).values():
        np.testing.assert_allclose(light.matrix, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(light.offset, 0, atol=1e-6)


def test_no_image_and_no_body_in_sight_tell_of_no_light(model):
    assert lights_of({}) == {} and lights_of({1: told_by(kinship(model), [])}) == {1: EVEN}
    maps = maps_of(model, STANDING, 0)
    away = Maps(**{**maps.__dict__, "vertices": maps.vertices + [50, 0, 0]})
    nobody = sight(model, photograph(model, maps), away)
    assert lights_of({1: told_by(kinship(model), [(1, nobody)])}) == {1: EVEN}


def test_beside_the_known_stands_the_nearest_of_it():
    values = np.zeros((3, 5, 1), np.float32)
    known = np.zeros((3, 5), bool)
    values[1, 1], values[1, 4], known[1, 1], known[1, 4] = 7, 9, True, True
    np.testing.assert_array_equal(spread_outward(values, known)[1, :, 0], [7, 7, 7, 9, 9])
    assert spread_outward(values, np.zeros_like(known)) is values
