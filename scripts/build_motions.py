"""Builds posedive/body/assets/motions.npz: pybullet's humanoid clips on SMPL's joints.

    python scripts/build_motions.py        # seconds; needs pybullet==3.2.7 for its data files

The clips (pybullet_data/data/motions/humanoid3d_*.txt) are DeepMimic's format: per frame a
duration, the root's place, then rotations relative to the parent, quaternions w x y z, knees and
elbows one angle about the sideways axis. That figure is y up, faces +x, has its right at +z and
rests with arms down; SMPL faces +z, has its left at +x and rests in a T. How the clips were
recorded isn't documented by pybullet.
"""

import json
import sys
from pathlib import Path

import numpy as np
from anny_source import REST_DIRECTIONS
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from posedive.body.heading import remove_heading  # noqa: E402 - the repository's own package

# What each number of a frame is, after duration (1) and root position (3): name, count.
LAYOUT = (
    ("root", 4), ("chest", 4), ("neck", 4),
    ("right_hip", 4), ("right_knee", 1), ("right_ankle", 4), ("right_shoulder", 4),
    ("right_elbow", 1), ("left_hip", 4), ("left_knee", 1), ("left_ankle", 4),
    ("left_shoulder", 4), ("left_elbow", 1),
)  # fmt: skip
TO_SMPL = Rotation.from_matrix([[0, 0, -1], [0, 1, 0], [1, 0, 0]])
DOWN, IDENTITY = np.array([0.0, -1.0, 0.0]), Rotation.identity()


def main() -> None:
    import pybullet_data

    folder = Path(pybullet_data.getDataPath()) / "data" / "motions"
    names, starts, poses, orients = [], [0], [], []
    for path in sorted(folder.glob("humanoid3d_*.txt")):
        body_pose, global_orient = retarget(np.array(json.loads(path.read_text())["Frames"]))
        names.append(path.stem.removeprefix("humanoid3d_").replace("_", "-"))
        poses.append(body_pose)
        orients.append(np.stack([remove_heading(o) for o in global_orient]))
        starts.append(starts[-1] + len(body_pose))
        print(names[-1], len(body_pose))
    np.savez_compressed(
        ROOT / "posedive" / "body" / "assets" / "motions.npz",
        names=np.array(names),
        starts=np.array(starts, dtype=np.int32),
        body_pose=np.concatenate(poses).astype(np.float16),
        global_orient=np.concatenate(orients).astype(np.float16),
    )
    print(starts[-1], "frames")


def retarget(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, 44) -> body_pose (N, 69), global_orient (N, 3), axis-angle."""
    joint, column = {}, 4
    for name, count in LAYOUT:
        values = frames[:, column : column + count]
        column += count
        if count == 4:
            turned = Rotation.from_quat(values[:, [1, 2, 3, 0]])
        else:
            turned = Rotation.from_rotvec(values * (0.0, 0.0, 1.0))
        joint[name] = TO_SMPL * turned * TO_SMPL.inv()
    assert column == frames.shape[1], frames.shape

    local = {0: joint["root"]}
    third = Rotation.from_rotvec(joint["chest"].as_rotvec() / 3)
    local |= {3: third, 6: third, 9: third}
    half = Rotation.from_rotvec(joint["neck"].as_rotvec() / 2)
    local |= {12: half, 15: half}
    for side, sign, hip, shoulder in (("left", 1, 1, 16), ("right", -1, 2, 17)):
        # Each limb's rest turn takes SMPL's rest direction to the figure's: straight down.
        thigh = rest_turn((1, 4), sign)
        calf = rest_turn((4, 7), sign)
        local[hip] = joint[f"{side}_hip"] * thigh
        local[hip + 3] = thigh.inv() * joint[f"{side}_knee"] * calf
        local[hip + 6] = calf.inv() * joint[f"{side}_ankle"]
        # Arms go from the T to hanging about z, so that palms face the thighs.
        hang = Rotation.from_rotvec([0, 0, -sign * np.pi / 2])
        upper = hang * to_axis((16, 18), sign)
        lower = hang * to_axis((18, 20), sign)
        local[shoulder] = joint[f"{side}_shoulder"] * upper
        local[shoulder + 2] = upper.inv() * joint[f"{side}_elbow"] * lower

    rotvecs = np.zeros((len(frames), 24, 3))
    for number, rotation in local.items():
        rotvecs[:, number] = rotation.as_rotvec()
    return rotvecs[:, 1:].reshape(-1, 69), rotvecs[:, 0]


def rest_turn(bone: tuple[int, int], sign: int) -> Rotation:
    return _between(np.array(REST_DIRECTIONS[bone]) * (sign, 1, 1), DOWN)


def to_axis(bone: tuple[int, int], sign: int) -> Rotation:
    return _between(np.array(REST_DIRECTIONS[bone]) * (sign, 1, 1), np.array([sign, 0.0, 0.0]))


def _between(a: np.ndarray, b: np.ndarray) -> Rotation:
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / max(sine, 1e-12) * np.arctan2(sine, a @ b))


if __name__ == "__main__":
    main()
