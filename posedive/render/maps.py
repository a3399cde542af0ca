"""Condition maps: a posed body seen by a camera -> the images that the generator reads.

In: a body model and a Fit (or a Condition, for which condition_fit finds the camera). Out: Maps,
HWC uint8 RGB, black where the body is not; pixel (0, 0) is top left; `size` is (width, height).
Depth is normalised over the body in each image, so it tells shape, not distance. Normals are in
camera space: red right, green up, blue towards the camera.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numba import njit

from posedive.body.skeleton import coco_from_smpl
from posedive.body.smpl import faces as body_faces
from posedive.body.smpl import pose_body
from posedive.records import Condition, Fit
from posedive.render import RENDERERS
from posedive.render.camera import floor_axes, project_camera_space, to_camera
from posedive.render.openpose import draw_skeleton
from posedive.render.rasterizer import Raster, vertex_normals
from posedive.render.viewpoints import frame

FARTHEST_GREY = 32  # nearest is 255; the farthest point must still differ from the background
# A face keypoint lies on the skin: seen from behind, the head's depth is in front of it.
_FACE_POINT_TOLERANCE_M = 0.04


@dataclass(frozen=True, eq=False)
class Maps:
    """depth, normals, skeleton (H, W, 3) uint8; mask (H, W) bool; keypoints (17, 3) float32:
    x, y in pixels and 1 where the joint is inside the frame; vertices and normals_cam (V, 3) in
    camera space, metres; focal in image heights; axes (3, 3): camera.floor_axes.
    """

    depth: np.ndarray
    normals: np.ndarray
    skeleton: np.ndarray
    mask: np.ndarray
    keypoints: np.ndarray
    raster: Raster
    vertices: np.ndarray
    normals_cam: np.ndarray
    focal: float
    axes: np.ndarray


def condition_fit(
    model, condition: Condition, size: tuple[int, int], vertices: np.ndarray | None = None
) -> Fit:
    """The body with a camera at the condition's azimuth and elevation that frames all of it.

    `vertices` (V, 3): the body already posed, when many were posed at once.
    """
    posed = pose_body(model, [condition.body])[0][0] if vertices is None else vertices
    camera = frame(posed, condition.azimuth_deg, condition.elevation_deg, condition.focal, size)
    return Fit(body=condition.body, camera=camera)


def render_maps(
    model,
    fit: Fit,
    size: tuple[int, int],
    posed: tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "joints 3"]] | None = None,
    renderer: str = "zbuffer",
) -> Maps:
    """`posed`: the body's vertices and joints in the world, when many were posed at once."""
    if posed is None:
        vertices, joints = pose_body(model, [fit.body])
        posed = vertices[0], joints[0]
    faces = body_faces(model)
    focal = fit.camera.focal
    vertices_cam = to_camera(np.asarray(posed[0]), fit.camera)
    raster = RENDERERS[renderer](vertices_cam, faces, focal, size)
    normals_cam = vertex_normals(vertices_cam, faces)
    depth, normals = shade(raster, faces, normals_cam)

    coco = to_camera(coco_from_smpl(np.asarray(posed[1])), fit.camera)
    pixels = project_camera_space(coco, focal, size)
    skeleton = draw_skeleton(pixels, coco[:, 2], _uncovered(pixels, coco[:, 2], raster), size)
    inside = (pixels >= 0).all(axis=1) & (pixels < np.array(size)).all(axis=1)
    keypoints = np.column_stack([pixels, inside]).astype(np.float32)
    return Maps(
        depth=depth,
        normals=normals,
        skeleton=skeleton,
        mask=raster.mask,
        keypoints=keypoints,
        raster=raster,
        vertices=vertices_cam,
        normals_cam=normals_cam,
        focal=focal,
        axes=floor_axes(fit.camera),
    )


def shade(
    raster: Raster, faces: np.ndarray, normals_cam: Float[np.ndarray, "vertices 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """Depth and normals as (H, W, 3) uint8 images."""
    return _shade(raster.face_id, raster.bary, raster.depth, faces, normals_cam, FARTHEST_GREY)


def _uncovered(pixels: np.ndarray, depth: np.ndarray, raster: Raster) -> np.ndarray:
    height, width = raster.depth.shape
    columns = np.clip(np.nan_to_num(pixels[:, 0], posinf=0, neginf=0), 0, width - 1).astype(int)
    rows = np.clip(np.nan_to_num(pixels[:, 1], posinf=0, neginf=0), 0, height - 1).astype(int)
    surface = raster.depth[rows, columns]
    return (surface == 0) | (depth < surface + _FACE_POINT_TOLERANCE_M)


@njit(cache=True, fastmath=True)
def _shade(face_id, bary, depth_m, faces, normals_cam, farthest_grey):
    height, width = face_id.shape
    depth = np.zeros((height, width, 3), np.uint8)
    normals = np.zeros((height, width, 3), np.uint8)
    near, far = np.float32(1e30), np.float32(0.0)
    for row in range(height):
        for column in range(width):
            if face_id[row, column] >= 0:
                near = min(near, depth_m[row, column])
                far = max(far, depth_m[row, column])
    scale = (255 - farthest_grey) / (far - near) if far > near else 0.0
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
            if f < 0:
                continue
            grey = np.uint8(255.5 - scale * (depth_m[row, column] - near))
            depth[row, column, 0] = grey
            depth[row, column, 1] = grey
            depth[row, column, 2] = grey
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb = bary[row, column, 0], bary[row, column, 1]
            wc = np.float32(1.0) - wa - wb
            x = wa * normals_cam[a, 0] + wb * normals_cam[b, 0] + wc * normals_cam[c, 0]
            y = wa * normals_cam[a, 1] + wb * normals_cam[b, 1] + wc * normals_cam[c, 1]
            z = wa * normals_cam[a, 2] + wb * normals_cam[b, 2] + wc * normals_cam[c, 2]
            length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-12)
            normals[row, column, 0] = np.uint8(127.5 * (1.0 + x / length) + 0.5)
            normals[row, column, 1] = np.uint8(127.5 * (1.0 - y / length) + 0.5)
            normals[row, column, 2] = np.uint8(127.5 * (1.0 - z / length) + 0.5)
    return depth, normals
