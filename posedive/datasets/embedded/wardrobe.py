"""The embedded body and its wardrobe as one set of vertices, all posed by the same joints.

In: posedive/body/assets/{body,wardrobe}.npz. Out: arrays in SMPL's rest frame, metres.
"""

import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np

from posedive.datasets.embedded.materials import MARKS
from posedive.records import Body
from posedive.render.rasterizer import vertex_normals

HANGING = ("hand_bag", "handle")
LEFT_HAND, HANGING_JOINT = 22, 24
HANGS_ABOVE_M = 0.62  # a hand lower than this lays its bag down


@dataclass(frozen=True, eq=False)
class Wardrobe:
    """V vertices of the body (first) and of each piece; pieces: name -> (its vertices, faces)."""

    template: np.ndarray  # (V, 3)
    shapedirs: np.ndarray  # (3V, 10)
    weights: np.ndarray  # (V, 25): SMPL's joints, and what hangs from the left hand
    normals: np.ndarray  # (V, 3)
    ease: np.ndarray  # (V, 3)
    pieces: dict[str, tuple[slice, np.ndarray]]  # faces in the piece's own vertex numbers
    marks: np.ndarray
    woman_betas: np.ndarray  # (10,), the mean; the men's is its opposite
    parents: tuple[int, ...]
    joint_template: np.ndarray  # (24, 3)
    joint_dirs: np.ndarray  # (24, 3, 10)

    def joints(self, betas: np.ndarray) -> np.ndarray:
        return self.joint_template + self.joint_dirs @ betas

    def shaped(self, betas: np.ndarray) -> np.ndarray:
        return self.template + (self.shapedirs @ betas).reshape(-1, 3)


@functools.cache
def load_wardrobe() -> Wardrobe:
    assets = resources.files("posedive.body") / "assets"
    with (assets / "body.npz").open("rb") as stream, np.load(stream) as arrays:
        body = dict(arrays)
    with (assets / "wardrobe.npz").open("rb") as stream, np.load(stream) as arrays:
        made = dict(arrays)
    num = len(body["v_template"])
    pieces = {"body": (slice(0, num), body["f"].astype(np.int32))}
    vertex_starts, face_starts = made["vertex_starts"], made["face_starts"]
    for k, name in enumerate(made["pieces"]):
        start = int(vertex_starts[k])
        faces = made["f"][face_starts[k] : face_starts[k + 1]].astype(np.int32) - start
        pieces[str(name)] = (slice(num + start, num + int(vertex_starts[k + 1])), faces)
    template = np.concatenate([body["v_template"], made["v_template"]]).astype(np.float32)
    shapedirs = np.concatenate([body["shapedirs"], made["shapedirs"]]).astype(np.float32)
    normals = np.zeros_like(template)
    for rows, faces in pieces.values():
        normals[rows] = vertex_normals(template[rows], faces)
    assert tuple(made["mark_names"]) == MARKS
    ease = np.concatenate([np.zeros((num, 3)), made["ease"]]).astype(np.float32)
    regressor = body["J_regressor"].astype(np.float64)
    weights = np.zeros((len(template), 25), np.float32)
    weights[:, :24] = np.concatenate([body["weights"], made["weights"]])
    for name in HANGING:
        weights[pieces[name][0]] = np.eye(25, dtype=np.float32)[HANGING_JOINT]
    return Wardrobe(
        template=template,
        shapedirs=np.ascontiguousarray(shapedirs.reshape(-1, shapedirs.shape[-1])),
        weights=weights,
        normals=normals,
        ease=ease,
        pieces=pieces,
        marks=made["marks"].astype(np.float64),
        woman_betas=made["woman_betas"],
        parents=tuple(int(p) for p in body["kintree_table"][0]),
        joint_template=regressor @ body["v_template"],
        joint_dirs=np.einsum("jv,vik->jik", regressor, body["shapedirs"].astype(np.float64)),
    )


def joint_transforms(body: Body, joints: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """(24, 3, 4) rest -> posed, of SMPL's kinematic tree (axis-angle, root first)."""
    vectors = np.concatenate([body.global_orient, body.body_pose]).astype(np.float64).reshape(-1, 3)
    angle = np.linalg.norm(vectors, axis=1) + 1e-12
    x, y, z = (vectors / angle[:, None]).T
    sine, cosine = np.sin(angle), np.cos(angle)
    one = 1 - cosine
    rotations = np.stack(
        [
            cosine + x * x * one, x * y * one - z * sine, x * z * one + y * sine,
            y * x * one + z * sine, cosine + y * y * one, y * z * one - x * sine,
            z * x * one - y * sine, z * y * one + x * sine, cosine + z * z * one,
        ],
        axis=1,
    ).reshape(-1, 3, 3)  # fmt: skip
    transforms = np.empty((24, 3, 4))
    transforms[0, :, :3], transforms[0, :, 3] = rotations[0], joints[0]
    for j in range(1, 24):
        above = transforms[parents[j]]
        transforms[j, :, :3] = above[:, :3] @ rotations[j]
        transforms[j, :, 3] = above[:, :3] @ (joints[j] - joints[parents[j]]) + above[:, 3]
    transforms[:, :, 3] -= np.einsum("jik,jk->ji", transforms[:, :, :3], joints)
    return transforms


def hanging_transform(transforms: np.ndarray, joints: np.ndarray, ground_y: float) -> np.ndarray:
    """(3, 4) of a bag: at rest it points along the arm, +x; carried, it hangs from the hand."""
    hand = transforms[LEFT_HAND, :, :3] @ joints[LEFT_HAND] + transforms[LEFT_HAND, :, 3]
    ahead = transforms[0, :, 2] * (1.0, 0.0, 1.0)
    if hand[1] - ground_y < HANGS_ABOVE_M or np.linalg.norm(ahead) < 0.2:
        return transforms[LEFT_HAND]
    ahead /= np.linalg.norm(ahead)
    down = np.array([0.0, -1.0, 0.0])
    rotation = np.stack([down, np.cross(ahead, down), ahead], axis=1)
    return np.concatenate([rotation, (hand - rotation @ joints[LEFT_HAND])[:, None]], axis=1)


def skin(rest: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Linear blend skinning: (V, 3) at rest -> (V, 3) posed, float32."""
    num = len(transforms)
    blended = (weights[:, :num] @ transforms.reshape(num, 12).astype(np.float32)).reshape(-1, 3, 4)
    return np.einsum("vik,vk->vi", blended[:, :, :3], rest) + blended[:, :, 3]
