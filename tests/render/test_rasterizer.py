import numpy as np
import pytest
import trimesh

from posedive.body.smpl import faces as body_faces
from posedive.body.smpl import pose_body
from posedive.render.camera import to_camera
from posedive.render.maps import condition_fit
from posedive.render.rasterizer import interpolate, rasterize, vertex_normals
from tests.render.people import LYING, STRIDING, condition

ONE = np.array([[0, 1, 2]])


def picture(face_id: np.ndarray) -> str:
    return "\n".join("".join(".abc"[f + 1] for f in row) for row in face_id)


def test_a_triangle_is_where_it_should_be():
    # focal 1, 8x8, z = 2: a metre is four pixels, the middle is (4, 4); y points down.
    triangle = np.array([[-0.95, -0.95, 2], [1.0, -0.95, 2], [-0.95, 1.0, 2]])
    raster = rasterize(triangle, ONE, 1.0, (8, 8))
    assert picture(raster.face_id) == "\n".join(
        [
            "aaaaaaaa",
            "aaaaaaa.",
            "aaaaaa..",
            "aaaaa...",
            "aaaa....",
            "aaa.....",
            "aa......",
            "a.......",
        ]
    )
    assert (raster.depth[raster.mask] == 2).all()
    assert (raster.depth[~raster.mask] == 0).all()


def test_the_nearer_face_hides_the_farther_whichever_comes_first():
    far = np.array([[-4, -4, 2], [4, -4, 2], [0, 8, 2.0]])
    near = np.array([[-0.3, -0.3, 1], [0.25, -0.3, 1], [-0.3, 0.25, 1.0]])
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    raster = rasterize(np.vstack([far, near]), faces, 1.0, (6, 6))
    expected = ["aaaaaa", "abbbaa", "abbaaa", "abaaaa", "aaaaaa", "aaaaaa"]
    assert picture(raster.face_id) == "\n".join(expected)
    swapped = rasterize(np.vstack([near, far]), faces, 1.0, (6, 6))
    assert (swapped.face_id == 1 - raster.face_id).all()
    assert (swapped.depth == raster.depth).all()


def test_weights_and_depth_are_perspective_correct():
    # A floor from 1 m to 3 m away. Half-way down the screen is not half-way along the floor:
    # the ray through pixel centre (x, y) meets y = 1 at z = 1 / y, so x = z x.
    quad = np.array([[-9, 1, 1], [9, 1, 1], [9, 1, 3], [-9, 1, 3.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    raster = rasterize(quad, faces, 0.4, (16, 16))
    points = interpolate(raster, faces, quad)
    rows, columns = np.nonzero(raster.mask)
    y, x = (rows + 0.5 - 8) / (16 * 0.4), (columns + 0.5 - 8) / (16 * 0.4)
    assert len(rows) > 40
    assert points[rows, columns] == pytest.approx(np.stack([x / y, y / y, 1 / y], 1), abs=1e-4)
    assert raster.depth[rows, columns] == pytest.approx(1 / y, rel=1e-5)
    assert (raster.bary >= 0).all()
    assert (raster.bary.sum(axis=-1) <= 1 + 1e-6).all()


def test_neighbours_leave_no_seam():
    side = np.linspace(-1, 1, 12)
    grid = np.stack([*np.meshgrid(side, side), np.full((12, 12), 1.3)], -1).reshape(-1, 3)
    grid[:, :2] *= 1.2
    i = (np.arange(11)[:, None] * 12 + np.arange(11)).ravel()
    faces = np.vstack([np.stack([i, i + 1, i + 13], 1), np.stack([i, i + 13, i + 12], 1)])
    assert rasterize(grid, faces, 1.0, (97, 97)).mask.all()


def test_faces_at_the_camera_or_beside_the_frame_are_left_out():
    around = np.array([[-1, -1, -0.5], [1, -1, 2], [0, 1, 2.0]])
    beside = np.array([[5, 0, 1], [6, 0, 1], [5, 1, 1.0]])
    raster = rasterize(np.vstack([around, beside]), np.array([[0, 1, 2], [3, 4, 5]]), 1.0, (8, 8))
    assert not raster.mask.any()


def test_vertex_normals_of_a_sphere_point_outward():
    sphere = trimesh.creation.icosphere(subdivisions=3)
    normals = vertex_normals(np.asarray(sphere.vertices), np.asarray(sphere.faces))
    assert normals == pytest.approx(np.asarray(sphere.vertices), abs=0.02)


@pytest.mark.parametrize(("pose", "azimuth", "elevation"), [(STRIDING, 40, 20), (LYING, 110, 45)])
def test_the_body_agrees_with_ray_casting(model, pose, azimuth, elevation):
    size = width, height = 96, 192
    fit = condition_fit(model, condition(pose, azimuth, elevation), size)
    vertices = to_camera(pose_body(model, [pose])[0][0], fit.camera)
    faces, focal = body_faces(model), fit.camera.focal
    raster = rasterize(vertices, faces, focal, size)

    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    x, y = (columns + 0.5 - width / 2), (rows + 0.5 - height / 2)
    rays = np.stack([x / (height * focal), y / (height * focal), np.ones(len(x))], 1)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    hit = mesh.ray.intersects_first(np.zeros_like(rays), rays).reshape(height, width)

    assert (raster.mask & (hit >= 0)).sum() / (raster.mask | (hit >= 0)).sum() >= 0.999
    both = raster.mask & (hit >= 0)
    normals = vertex_normals(vertices, faces)
    smooth = interpolate(raster, faces, normals)[both]
    flat = mesh.face_normals[hit[both]]
    own = mesh.face_normals[raster.face_id[both]]
    assert _angle_deg(own, flat).mean() <= 0.2
    assert _angle_deg(smooth, flat).mean() <= 10  # facets of a smooth body
    # Where the ray meets the plane of its face.
    corner = mesh.triangles[hit[both], 0]
    ray = rays.reshape(height, width, 3)[both]
    depth = (corner * flat).sum(1) / (ray * flat).sum(1)
    assert np.median(np.abs(depth - raster.depth[both])) < 1e-5


def _angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    return np.rad2deg(np.arccos(np.clip((a * b).sum(-1), -1, 1)))
