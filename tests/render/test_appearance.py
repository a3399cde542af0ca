import numpy as np
import pytest

from posedive.body.skeleton import SMPL_JOINTS
from posedive.body.smpl import faces as body_faces
from posedive.render.appearance import (
    ELSEWHERE,
    FILLED,
    MIRRORED,
    OPPOSITE,
    SEEN,
    Appearance,
    carry_colours,
    join,
)
from posedive.render.kinship import kinship
from posedive.render.maps import Maps, condition_fit, render_maps
from posedive.render.rasterizer import interpolate, rasterize
from posedive.render.sighting import sight
from tests.render.people import LYING, STANDING, STRIDING, condition

SIZE = (64, 128)
SHIRT, TROUSERS, SKIN, HAIR = (200, 40, 40), (30, 60, 160), (210, 160, 130), (60, 40, 20)


def maps_of(model, pose, azimuth_deg, elevation_deg=10.0) -> Maps:
    return render_maps(
        model, condition_fit(model, condition(pose, azimuth_deg, elevation_deg), SIZE), SIZE
    )


@pytest.fixture(scope="module")
def paint(model) -> np.ndarray:
    """Colours (V, 3): shirt, trousers, skin and, on the head's top and back, hair."""
    rest = model.v_template.numpy()
    weights = model.lbs_weights.numpy()
    head = weights[:, SMPL_JOINTS.index("head")] > 0.5
    hands = weights[:, 20:].sum(axis=1) > 0.5
    colours = np.where(rest[:, 1:2] > rest[:, 1].min() + 0.9, SHIRT, TROUSERS)
    colours[head | hands] = SKIN
    up = (rest[:, 1] - rest[head, 1].min()) / np.ptp(rest[head, 1])
    colours[head & ((up > 0.75) | (rest[:, 2] < rest[head, 2].mean()))] = HAIR
    return colours.astype(np.float32)


def photograph(model, maps: Maps, paint: np.ndarray) -> np.ndarray:
    """The painted body on plain grey, its clothes standing off as clothes do."""
    dressed = maps.vertices + kinship(model).standoff_m[:, None] * maps.normals_cam
    faces = body_faces(model)
    raster = rasterize(dressed, faces, maps.focal, SIZE)
    person = interpolate(raster, faces, paint)
    return np.where(raster.mask[..., None], person, 150).round().astype(np.uint8)


def carry(model, image: np.ndarray, reference: Maps, target: Maps) -> Appearance:
    return carry_colours(join(model, sight(model, image, reference)), target)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_a_reference_carried_onto_itself_comes_back(model, paint):
    maps = maps_of(model, STRIDING, 20)
    image = photograph(model, maps, paint)
    carried = carry(model, image, maps, maps)
    seen = carried.validity == SEEN
    assert seen[maps.mask].mean() > 0.8
    assert psnr(carried.rgb[seen], image[seen]) > 30
    assert psnr(carried.composite, image) > 25


def test_a_new_pose_and_view_wears_the_same_clothes(model, paint):
    reference = maps_of(model, STANDING, 0)
    looks = join(model, sight(model, photograph(model, reference, paint), reference))
    for pose, azimuth in [(STRIDING, 30), (STRIDING, 180), (LYING, 300)]:
        target = maps_of(model, pose, azimuth)
        truth = photograph(model, target, paint)
        carried = carry_colours(looks, target)
        assert psnr(carried.rgb[target.mask], truth[target.mask]) > 20
        assert psnr(carried.composite, truth) > 20


def test_outside_the_body_there_is_nothing(model, paint):
    reference, target = maps_of(model, STANDING, 0), maps_of(model, STRIDING, 90)
    carried = carry(model, photograph(model, reference, paint), reference, target)
    assert not carried.rgb[~target.mask].any()
    assert not carried.validity[~target.mask].any()
    assert set(np.unique(carried.validity)) <= {SEEN, MIRRORED, OPPOSITE, FILLED}


def test_validity_says_how_a_colour_was_come_by(model, paint):
    def validity(reference_azimuth: float, target_azimuth: float) -> np.ndarray:
        reference = maps_of(model, STANDING, reference_azimuth)
        target = maps_of(model, STANDING, target_azimuth)
        image = photograph(model, reference, paint)
        return carry(model, image, reference, target).validity[target.mask]

    assert (validity(0, 0) == SEEN).mean() > 0.8
    assert (validity(0, 180) == OPPOSITE).mean() > 0.5  # the head aside
    assert (validity(90, 270) == MIRRORED).mean() > 0.4


def test_another_image_shows_what_the_reference_does_not(model, paint):
    """A bib on the chest, a reference from behind, another image from the front."""
    rest = model.v_template.numpy()
    bib = paint.copy()
    chest = (rest[:, 2] > 0.05) & (np.abs(rest[:, 1] - rest[:, 1].max() + 0.5) < 0.15)
    bib[chest] = (40, 220, 60)
    back, front = maps_of(model, STANDING, 180), maps_of(model, STANDING, 0)
    target = maps_of(model, STRIDING, 10)
    truth = photograph(model, target, bib)
    sightings = [sight(model, photograph(model, maps, bib), maps) for maps in (back, front)]
    alone = carry_colours(join(model, sightings[0]), target)
    both = carry_colours(join(model, sightings[0], sightings[1:]), target)
    assert psnr(both.composite, truth) > psnr(alone.composite, truth) + 3
    assert not (alone.validity == ELSEWHERE).any()
    assert (both.validity[target.mask] == ELSEWHERE).mean() > 0.6


def test_other_cameras_take_on_the_colours_of_the_reference(model, paint):
    left, right = maps_of(model, STANDING, 40), maps_of(model, STANDING, 320)
    cast = np.array([1.2, 1.0, 0.8])
    yellowish = (photograph(model, right, paint) * cast).clip(0, 255).astype(np.uint8)
    looks = join(
        model, sight(model, photograph(model, left, paint), left), [sight(model, yellowish, right)]
    )
    true = sight(model, photograph(model, right, paint), right)
    seen = true.confidence > 0.5
    recoloured, spoiled = looks.sightings[1].colours[seen], sight(model, yellowish, right)
    error = np.abs(recoloured - true.colours[seen]).mean()
    assert error < 0.4 * np.abs(spoiled.colours[seen] - true.colours[seen]).mean()


def test_no_face_on_the_back_of_the_head(model, paint):
    front, back = maps_of(model, STANDING, 0), maps_of(model, STANDING, 180)
    carried = carry(model, photograph(model, front, paint), front, back)
    weights = model.lbs_weights.numpy()
    head = weights[body_faces(model)[:, 0], SMPL_JOINTS.index("head")] > 0.9
    on_head = back.mask & head[back.raster.face_id]
    rows = np.nonzero(on_head)[0]
    on_head[: int(np.quantile(rows, 0.3))] = False  # below the top, which both views share
    assert (carried.validity[on_head] == FILLED).mean() > 0.7
    to_hair, to_skin = (
        np.linalg.norm(carried.rgb[on_head] - np.array(colour, float), axis=1).mean()
        for colour in (HAIR, SKIN)
    )
    assert to_hair < to_skin


def test_what_the_back_shows_of_no_face_is_skin(model, paint):
    back, front = maps_of(model, STANDING, 180), maps_of(model, STANDING, 0)
    carried = carry(model, photograph(model, back, paint), back, front)
    x, y = np.floor(front.keypoints[0, :2]).astype(int)
    nose = carried.rgb[y, x].astype(float)
    assert np.linalg.norm(nose - SKIN) < np.linalg.norm(nose - HAIR)


def test_a_coat_wider_than_usual_stays_wide(model, paint):
    reference, target = maps_of(model, STANDING, 0), maps_of(model, STANDING, 20)
    body = kinship(model)

    def image(maps: Maps, extra_m: float) -> np.ndarray:
        dressed = (
            maps.vertices + (body.standoff_m + extra_m * body.clothed)[:, None] * maps.normals_cam
        )
        raster = rasterize(dressed, body.faces, maps.focal, SIZE)
        person = interpolate(raster, body.faces, paint)
        return np.where(raster.mask[..., None], person, 230).round().astype(np.uint8)

    for extra_m in (0.0, 0.04):
        carried = carry(model, image(reference, extra_m), reference, target)
        truth = image(target, extra_m)
        person, expected = ((i.astype(int).min(axis=-1) < 190) for i in (carried.composite, truth))
        assert (person & expected).sum() / (person | expected).sum() > 0.9


def test_a_reference_with_its_body_out_of_frame_still_gives_a_picture(model):
    maps = maps_of(model, STANDING, 0)
    away = Maps(**{**maps.__dict__, "vertices": maps.vertices + [50, 0, 0]})
    away = Maps(**{**away.__dict__, "mask": np.zeros_like(maps.mask)})
    image = np.full((128, 64, 3), 90, np.uint8)
    carried = carry(model, image, away, maps)
    assert (carried.validity == FILLED).all()
    assert carried.composite.shape == (128, 64, 3)
