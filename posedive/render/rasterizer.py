"""The default renderer: a single-thread z-buffer over one mesh, compiled with numba.

In: vertices in camera space (m, OpenCV), faces (any number of meshes, concatenated), focal in
image heights, size (width, height). Out: for each pixel centre the nearest face, where on it
(perspective-correct barycentric weights) and its depth. Faces are seen from both sides; those
that reach nearer than 5 cm are left out. No GL, no state, the same bits each time.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import njit

NEAR_M = 0.05


@dataclass(frozen=True, eq=False)
class Raster:
    """face_id (H, W) int32, -1 where nothing is; bary (H, W, 2) float32, the weights of the
    face's first two vertices (the third has the rest); depth (H, W) float32 metres, 0 if nothing.
    """

    face_id: np.ndarray
    bary: np.ndarray
    depth: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        return self.face_id >= 0


def rasterize(
    vertices_cam: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    focal: float,
    size: tuple[int, int],
) -> Raster:
    width, height = size
    vertices = np.ascontiguousarray(vertices_cam, dtype=np.float32)
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    return Raster(*_rasterize(vertices, corners, float(focal), width, height))


def barycentric_weights(
    face_id: Int[np.ndarray, "height width"],
    vertices_cam: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    focal: float,
) -> Float[np.ndarray, "height width 2"]:
    """Raster.bary for faces that another renderer found."""
    height, width = face_id.shape
    screen = _to_screen(vertices_cam, float(focal), width, height)
    return _barycentric_weights(face_id, *screen, np.ascontiguousarray(faces, dtype=np.int32))


def interpolate(
    raster: Raster,
    faces: Int[np.ndarray, "faces 3"],
    values: Float[np.ndarray, "vertices channels"],
) -> Float[np.ndarray, "height width channels"]:
    """Per-vertex values at each pixel, float32; 0 where nothing is."""
    return _interpolate(
        raster.face_id,
        raster.bary,
        np.ascontiguousarray(faces, dtype=np.int32),
        np.ascontiguousarray(values, dtype=np.float32),
    )


def vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Unit outward normals, the area-weighted mean over the faces at each vertex."""
    return _vertex_normals(
        np.ascontiguousarray(vertices, dtype=np.float32),
        np.ascontiguousarray(faces, dtype=np.int32),
    )


@njit(cache=True, fastmath=True)
def _to_screen(vertices, focal, width, height):
    num_vertices = vertices.shape[0]
    u = np.empty(num_vertices, np.float64)
    v = np.empty(num_vertices, np.float64)
    inverse_z = np.empty(num_vertices, np.float64)
    scale = height * focal
    for i in range(num_vertices):
        z = vertices[i, 2]
        if z > NEAR_M:
            inverse_z[i] = 1.0 / z
            u[i] = 0.5 * width + scale * vertices[i, 0] * inverse_z[i]
            v[i] = 0.5 * height + scale * vertices[i, 1] * inverse_z[i]
        else:
            inverse_z[i] = 0.0
    return u, v, inverse_z


@njit(cache=True, fastmath=True)
def _rasterize(vertices, faces, focal, width, height):
    u, v, inverse_z = _to_screen(vertices, focal, width, height)
    face_id = np.full((height, width), -1, np.int32)
    nearest = np.zeros((height, width), np.float64)  # 1/z, which is linear on the screen
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if inverse_z[a] == 0.0 or inverse_z[b] == 0.0 or inverse_z[c] == 0.0:
            continue
        ua, va, ub, vb, uc, vc = u[a], v[a], u[b], v[b], u[c], v[c]
        u_low, u_high = min(ua, ub, uc), max(ua, ub, uc)
        v_low, v_high = min(va, vb, vc), max(va, vb, vc)
        if u_high < 0.5 or v_high < 0.5 or u_low > width - 0.5 or v_low > height - 0.5:
            continue
        left, right = int(np.ceil(max(u_low, 0.5) - 0.5)), int(min(u_high, width - 0.5) - 0.5)
        top, bottom = int(np.ceil(max(v_low, 0.5) - 0.5)), int(min(v_high, height - 0.5) - 0.5)
        if left > right or top > bottom:
            continue
        area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
        if area == 0.0:
            continue
        inverse_area = 1.0 / area
        # Weights of a and b, and 1/z, as planes over the screen.
        wa_du, wa_dv = (vb - vc) * inverse_area, (uc - ub) * inverse_area
        wb_du, wb_dv = (vc - va) * inverse_area, (ua - uc) * inverse_area
        depth_a, depth_b = inverse_z[a] - inverse_z[c], inverse_z[b] - inverse_z[c]
        for row in range(top, bottom + 1):
            dv = row + 0.5 - vc
            du = left + 0.5 - uc
            wa = wa_du * du + wa_dv * dv
            wb = wb_du * du + wb_dv * dv
            for column in range(left, right + 1):
                # The tolerance closes seams between neighbours that round to either side.
                if wa >= -1e-9 and wb >= -1e-9 and wa + wb <= 1.0 + 1e-9:
                    q = inverse_z[c] + wa * depth_a + wb * depth_b
                    if q > nearest[row, column]:
                        nearest[row, column] = q
                        face_id[row, column] = f
                wa += wa_du
                wb += wb_du

    depth = np.zeros((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            if face_id[row, column] >= 0:
                depth[row, column] = 1.0 / nearest[row, column]
    return face_id, _barycentric_weights(face_id, u, v, inverse_z, faces), depth


@njit(cache=True, fastmath=True)
def _barycentric_weights(face_id, u, v, inverse_z, faces):
    height, width = face_id.shape
    bary = np.zeros((height, width, 2), np.float32)
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            area = (u[b] - u[a]) * (v[c] - v[a]) - (u[c] - u[a]) * (v[b] - v[a])
            du, dv = column + 0.5 - u[c], row + 0.5 - v[c]
            wa = ((v[b] - v[c]) * du + (u[c] - u[b]) * dv) / area
            wb = ((v[c] - v[a]) * du + (u[a] - u[c]) * dv) / area
            wa = min(max(wa, 0.0), 1.0)
            wb = min(max(wb, 0.0), 1.0 - wa)
            # On the screen weights of 1/z are linear; on the face they are these.
            wc = (1.0 - wa - wb) * inverse_z[c]
            wa, wb = wa * inverse_z[a], wb * inverse_z[b]
            bary[row, column, 0] = wa / (wa + wb + wc)
            bary[row, column, 1] = wb / (wa + wb + wc)
    return bary


@njit(cache=True, fastmath=True)
def _interpolate(face_id, bary, faces, values):
    height, width = face_id.shape
    channels = values.shape[1]
    out = np.zeros((height, width, channels), np.float32)
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
            if f < 0:
                continue
            wa, wb = bary[row, column, 0], bary[row, column, 1]
            wc = np.float32(1.0) - wa - wb
            for k in range(channels):
                out[row, column, k] = (
                    wa * values[faces[f, 0], k]
                    + wb * values[faces[f, 1], k]
                    + wc * values[faces[f, 2], k]
                )
    return out


@njit(cache=True, fastmath=True)
def _vertex_normals(vertices, faces):
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        abx = vertices[b, 0] - vertices[a, 0]
        aby = vertices[b, 1] - vertices[a, 1]
        abz = vertices[b, 2] - vertices[a, 2]
        acx = vertices[c, 0] - vertices[a, 0]
        acy = vertices[c, 1] - vertices[a, 1]
        acz = vertices[c, 2] - vertices[a, 2]
        nx = aby * acz - abz * acy
        ny = abz * acx - abx * acz
        nz = abx * acy - aby * acx
        for k in range(3):
            normals[faces[f, k], 0] += nx
            normals[faces[f, k], 1] += ny
            normals[faces[f, k], 2] += nz
    for i in range(normals.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0.0:
            normals[i, 0] = x / length
            normals[i, 1] = y / length
            normals[i, 2] = z / length
    return normals
