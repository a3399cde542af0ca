"""Which vertex lies opposite which on a body's surface, in rest pose: for carrying appearance.

In: an SMPL rest mesh (metres, facing +z, left at +x). Out: vertex numbers, (V,) int32.
"""

import numpy as np
from jaxtyping import Float, Integer
from scipy.spatial import KDTree

_MIRRORED = (-1.0, 1.0, 1.0)


def vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Integer[np.ndarray, "faces 3"]
) -> np.ndarray:
    """Unit normals (V, 3), weighted by the faces' areas."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def find_mirror(vertices: Float[np.ndarray, "vertices 3"]) -> np.ndarray:
    """The vertex nearest to each one's left-right mirror image."""
    return np.asarray(KDTree(vertices).query(vertices * _MIRRORED)[1], dtype=np.int32)


def find_front_back(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    part: Integer[np.ndarray, " vertices"],
) -> np.ndarray:
    """The vertex behind (or before) each one: same body part, normal the other way along z.

    Where a part has no such vertex near, the nearest along z of any kind.
    """
    facing = vertex_normals(vertices, faces)[:, 2]
    flat = vertices * (1.0, 1.0, 0.0)
    opposite = np.full(len(vertices), -1, dtype=np.int32)
    for joint in np.unique(part):
        for sign in (1, -1):
            asking = np.flatnonzero((part == joint) & (facing * sign > 0))
            answering = np.flatnonzero((part == joint) & (facing * sign <= 0))
            if len(asking) and len(answering):
                found = KDTree(flat[answering]).query(flat[asking])[1]
                opposite[asking] = answering[found]
    alone = np.flatnonzero(opposite < 0)
    if len(alone):
        others = np.flatnonzero(opposite >= 0)
        opposite[alone] = opposite[others[KDTree(flat[others]).query(flat[alone])[1]]]
    return opposite
