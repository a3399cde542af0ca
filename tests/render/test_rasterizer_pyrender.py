import numpy as np
import pytest

from posedive.body.smpl import faces as body_faces
from posedive.body.smpl import pose_body
from posedive.render import RENDERERS
from posedive.render.camera import to_camera
from posedive.render.maps import condition_fit
from posedive.render.rasterizer import interpolate, vertex_normals
from tests.render.people import LYING, STANDING, STRIDING, condition, needs_egl

pytestmark = needs_egl


@pytest.mark.parametrize("pose", [STANDING, STRIDING, LYING])
@pytest.mark.parametrize(("azimuth", "elevation", "focal"), [(20, 10, 3.0), (150, 45, 20.0)])
def test_the_two_renderers_agree(model, pose, azimuth, elevation, focal):
    size = (192, 384)
    fit = condition_fit(model, condition(pose, azimuth, elevation, focal), size)
    vertices, faces = to_camera(pose_body(model, [pose])[0][0], fit.camera), body_faces(model)
    ours = RENDERERS["zbuffer"](vertices, faces, focal, size)
    theirs = RENDERERS["pyrender"](vertices, faces, focal, size)

    both = ours.mask & theirs.mask
    assert both.sum() / (ours.mask | theirs.mask).sum() >= 0.999
    normals = vertex_normals(vertices, faces)
    a, b = (interpolate(raster, faces, normals)[both] for raster in (ours, theirs))
    a, b = a / np.linalg.norm(a, axis=1)[:, None], b / np.linalg.norm(b, axis=1)[:, None]
    assert np.rad2deg(np.arccos(np.clip((a * b).sum(1), -1, 1))).mean() <= 1.0
    assert np.median(np.abs(ours.depth - theirs.depth)[both]) < 1e-4


def test_a_new_size_needs_no_new_surface(model):
    vertices = np.array([[-9, -9, 2], [9, -9, 2], [0, 18, 2.0]], np.float32)
    for size in [(64, 128), (32, 32), (64, 128)]:
        raster = RENDERERS["pyrender"](vertices, np.array([[0, 1, 2]]), 1.0, size)
        assert raster.mask.shape == size[::-1]
        assert raster.mask.all()
