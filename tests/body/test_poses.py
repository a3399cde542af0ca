"""Pose sources: embedded clips face +z; AMASS and fits are read; bad files are named."""

import pickle
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posedive.body.heading import heading_rad, remove_heading
from posedive.body.poses import HELD_OUT, POSE_SOURCES, pose_source
from posedive.body.skeleton import SMPL_JOINTS, coco_from_smpl
from posedive.body.smpl import load_body, pose_body
from posedive.body.styles import STYLES
from posedive.errors import BodyError
from posedive.records import Body


def joints_of(source, indices) -> np.ndarray:
    poses = [source[i] for i in indices]
    bodies = [Body(np.zeros(10, np.float32), p.body_pose, p.global_orient) for p in poses]
    return pose_body(load_body("embedded"), bodies)[1]


def clip_of(source, index: int) -> str:
    return source[index].name.split("/")[1].split(":")[0]


@pytest.mark.parametrize("name", ["embedded-walking", "embedded-external", "embedded"])
def test_embedded_poses_face_plus_z(name):
    source = pose_source(name)
    assert not source.skipped
    for index in range(len(source)):
        pose = source[index]
        assert pose.body_pose.shape == (69,)
        assert pose.global_orient.shape == (3,)
        assert abs(heading_rad(pose.global_orient)) < 1e-3, pose.name


def test_walking_and_external_make_up_all_and_share_nothing():
    walking, external, both = (
        pose_source(n) for n in ("embedded-walking", "embedded-external", "embedded")
    )
    names = [[s[i].name for i in range(len(s))] for s in (walking, external, both)]
    assert set(names[0]) | set(names[1]) == set(names[2])
    assert not set(names[0]) & set(names[1])
    assert all(len(set(n)) == len(n) for n in names)
    assert {clip_of(walking, i) for i in range(len(walking))} == set(STYLES)
    assert {"run", "kick", "dance-a", "cartwheel"} <= {
        clip_of(external, i) for i in range(len(external))
    }


def test_what_networks_learn_from_and_what_is_held_out_make_up_all_and_share_no_clip():
    learnt, held_out, both = (
        pose_source(n) for n in ("embedded-training", "embedded-held-out", "embedded")
    )
    assert len(learnt) + len(held_out) == len(both)
    assert {clip_of(held_out, i) for i in range(len(held_out))} == set(HELD_OUT)
    assert not {clip_of(learnt, i) for i in range(len(learnt))} & set(HELD_OUT)


def test_order_is_the_same_every_time():
    first, second = pose_source("embedded"), pose_source("embedded")
    for index in (0, 100, 1000, len(first) - 1):
        assert first[index].name == second[index].name
        np.testing.assert_array_equal(first[index].body_pose, second[index].body_pose)


def test_walkers_are_upright_with_faces_to_the_front_and_knees_that_bend_back():
    source = pose_source("embedded-walking")
    joints = joints_of(source, range(0, len(source), 3))
    at = {name: joints[:, i] for i, name in enumerate(SMPL_JOINTS)}
    assert (at["head"][:, 1] - at["pelvis"][:, 1] > 0.5).all()
    assert (at["left_hip"][:, 0] > at["right_hip"][:, 0]).all()
    keypoints = coco_from_smpl(joints)
    nose, ears = keypoints[:, 0], keypoints[:, 3:5].mean(1)
    assert (nose[:, 2] > ears[:, 2] + 0.05).all()
    for side in ("left", "right"):
        hip, knee, ankle = (at[f"{side}_{j}"] for j in ("hip", "knee", "ankle"))
        straight = (hip + ankle) / 2
        assert (knee[:, 2] - straight[:, 2]).mean() > 0  # knees point forwards
        wrist, elbow = at[f"{side}_wrist"], at[f"{side}_elbow"]
        assert (elbow[:, 1] < at[f"{side}_shoulder"][:, 1]).all()
        assert np.linalg.norm(wrist - elbow, axis=1).std() < 1e-3


def test_arms_swing_against_the_legs():
    source = pose_source("embedded-walking")
    walk = [i for i in range(len(source)) if clip_of(source, i) == "walk"]
    joints = joints_of(source, walk)
    index = SMPL_JOINTS.index
    foot = joints[:, index("left_ankle"), 2] - joints[:, index("right_ankle"), 2]
    hand = joints[:, index("left_wrist"), 2] - joints[:, index("right_wrist"), 2]
    assert np.corrcoef(foot, hand)[0, 1] < -0.8
    assert np.ptp(foot) > 0.6


def test_styles_are_not_one_cycle():
    source = pose_source("embedded-walking")
    by_style = {style: [] for style in STYLES}
    for index in range(len(source)):
        by_style[clip_of(source, index)].append(source[index].body_pose)
    walk = np.stack(by_style["walk"])
    for style, poses in by_style.items():
        nearest = min(np.abs(walk - pose).max() for pose in poses)
        assert style == "walk" or nearest > 0.03, style


# Hand calculations: who lies on the belly with the head towards +z faced +z before.
@pytest.mark.parametrize(
    ("tilt", "expected"),
    [((0, 0, 0), 0), ((np.pi / 2, 0, 0), 0), ((-np.pi / 2, 0, 0), 0), ((0, 0, np.pi / 2), 0)],
)
@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5])
def test_heading_of_standing_lying_and_tilted_people(tilt, expected, yaw):
    turned = Rotation.from_rotvec([0, yaw, 0]) * Rotation.from_rotvec(tilt)
    assert heading_rad(turned.as_rotvec()) == pytest.approx(expected + yaw, abs=1e-6)
    back = Rotation.from_rotvec(remove_heading(turned.as_rotvec()))
    assert (back.inv() * Rotation.from_rotvec(tilt)).magnitude() < 1e-5


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(BodyError, match="did you mean 'embedded-walking'"):
        pose_source("embedded-walkin")
    with pytest.raises(BodyError, match="no such folder"):
        pose_source("amass:/nowhere/at/all")
    with pytest.raises(BodyError, match="expected amass:/dir"):
        pose_source("fits")
    assert set(POSE_SOURCES) == {
        "embedded-walking",
        "embedded-external",
        "embedded-training",
        "embedded-held-out",
        "embedded-actions",
        "embedded",
        "amass",
        "fits",
    }


# --- AMASS ----------------------------------------------------------------------------------------


def write_amass(path: Path, num_frames: int, framerate: float = 120.0) -> np.ndarray:
    rng = np.random.default_rng(num_frames)
    poses = rng.normal(0, 0.2, (num_frames, 156))
    upright = Rotation.from_rotvec([np.pi / 2, 0, 0])  # AMASS is z up
    yaw = Rotation.from_rotvec(np.outer(np.linspace(-2, 2, num_frames), [0, 0, 1]))
    poses[:, :3] = (yaw * upright).as_rotvec()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path, poses=poses, betas=np.zeros(16), trans=np.zeros((num_frames, 3)),
        gender="female", mocap_framerate=framerate,
    )  # fmt: skip
    return poses


def test_an_amass_folder_is_read_at_ten_poses_a_second(tmp_path):
    late = write_amass(tmp_path / "KIT" / "walk_poses.npz", 121)
    early = write_amass(tmp_path / "CMU" / "01_01_poses.npz", 30, framerate=60.0)
    np.savez(tmp_path / "CMU" / "shape.npz", betas=np.zeros(16))
    (tmp_path / "KIT" / "broken_poses.npz").write_bytes(b"PK\x03\x04")
    np.savez(tmp_path / "KIT" / "objects.npz", poses=np.array([{}], dtype=object))
    source = pose_source(f"amass:{tmp_path}")
    assert len(source) == 5 + 11
    assert source[0].name == "amass/CMU/01_01_poses:0000"
    assert source[5].name == "amass/KIT/walk_poses:0000"
    assert source[15].name == "amass/KIT/walk_poses:0120"
    np.testing.assert_allclose(source[1].body_pose[:63], early[6, 3:66], atol=1e-6)
    np.testing.assert_allclose(source[15].body_pose[:63], late[120, 3:66], atol=1e-6)
    assert not source[1].body_pose[63:].any()
    assert np.abs(source[15].global_orient).max() < 1e-5  # upright, heading gone
    skipped = dict(source.skipped)
    assert set(skipped) == {"CMU/shape.npz", "KIT/broken_poses.npz", "KIT/objects.npz"}
    assert "no `poses`" in skipped["CMU/shape.npz"]


def test_a_folder_without_one_usable_pose_is_an_error(tmp_path):
    (tmp_path / "broken_poses.npz").write_bytes(b"")
    with pytest.raises(BodyError, match="1 files skipped"):
        pose_source(f"amass:{tmp_path}")


# --- fits -----------------------------------------------------------------------------------------


def fit(num: int, seed: int = 0) -> dict[str, Any]:
    """What 4D-Humans predicts: matrices in a camera's frame, y down; people turned away by yaw."""
    rng = np.random.default_rng(seed)
    body = Rotation.from_rotvec(rng.normal(0, 0.3, (num * 23, 3))).as_matrix()
    camera = Rotation.from_rotvec([np.pi, 0, 0])
    yaw = Rotation.from_rotvec(np.outer(np.linspace(0.5, 2, num), [0, 1, 0]))
    return {
        "body_pose": body.reshape(num, 23, 3, 3).astype(np.float32),
        "global_orient": (camera * yaw).as_matrix().reshape(num, 1, 3, 3).astype(np.float32),
        "betas": rng.normal(0, 1, (num, 10)).astype(np.float32),
    }


def as_axis_angle(parameters: dict[str, Any]) -> dict[str, Any]:
    num = len(parameters["betas"])
    turned = {
        key: Rotation.from_matrix(parameters[key].reshape(-1, 3, 3)).as_rotvec().reshape(num, -1)
        for key in ("body_pose", "global_orient")
    }
    return parameters | turned


def test_matrices_axis_angle_npz_and_pickle_give_the_same_poses(tmp_path):
    parameters = fit(2)
    np.savez(tmp_path / "a.npz", **parameters)
    np.savez(tmp_path / "b.npz", **as_axis_angle(parameters))
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"pred_smpl_params": parameters}))
    single = {key: value[1] for key, value in parameters.items()}
    track = {"frames/000001.jpg": {"smpl": [single], "camera": [np.zeros(3)]}}
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(track))
    source = pose_source(f"fits:{tmp_path}")
    assert [source[i].name for i in range(len(source))] == [
        "fits/a:0000", "fits/a:0001", "fits/b:0000", "fits/b:0001",
        "fits/c:0000", "fits/c:0001", "fits/d:0000",
    ]  # fmt: skip
    for same in ((0, 2, 4), (1, 3, 5, 6)):
        for index in same[1:]:
            np.testing.assert_allclose(
                source[index].body_pose, source[same[0]].body_pose, atol=1e-5
            )
    for index in range(len(source)):
        np.testing.assert_allclose(source[index].global_orient, 0, atol=1e-3)


def test_bad_fits_are_named_and_the_others_used(tmp_path):
    changes: dict[str, dict[str, Any]] = {
        "good.npz": {},
        "nan.npz": {"body_pose": np.full((1, 69), np.nan)},
        "scaled.npz": {"body_pose": 2 * fit(1)["body_pose"]},
        "shape.npz": {"body_pose": np.zeros((1, 30))},
        "counts.npz": {"global_orient": np.zeros((3, 3))},
    }
    for name, changed in changes.items():
        np.savez(tmp_path / name, **(fit(1) | changed))
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "code.pkl").write_bytes(b"\x80\x02cposix\nsystem\n.")
    (tmp_path / "notes.txt").write_text("not a fit, and not counted")
    source = pose_source(f"fits:{tmp_path}")
    assert len(source) == 1
    assert {name for name, _ in source.skipped} == {
        "nan.npz", "scaled.npz", "shape.npz", "counts.npz", "other.npz", "empty.pkl", "code.pkl",
    }  # fmt: skip
    assert "posix.system" in dict(source.skipped)["code.pkl"]


def test_a_track_written_by_joblib_is_read(tmp_path, monkeypatch):
    """joblib's layout, by hand: a wrapper object, a byte with the padding's length, the bytes."""
    module: Any = types.ModuleType("joblib.numpy_pickle")
    wrapper: Any = type("NumpyArrayWrapper", (), {"__module__": module.__name__})
    module.NumpyArrayWrapper = wrapper
    monkeypatch.setitem(sys.modules, "joblib", types.ModuleType("joblib"))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    python_pickler: Any = pickle._Pickler

    class Pickler(python_pickler):
        def save(self, obj, save_persistent_id=True):
            if not isinstance(obj, np.ndarray):
                return super().save(obj)
            held = wrapper()
            held.__dict__ = {
                "subclass": np.ndarray, "shape": obj.shape, "order": "C", "dtype": obj.dtype,
                "allow_mmap": False, "numpy_array_alignment_bytes": 16,
            }  # fmt: skip
            super().save(held)
            self.framer.commit_frame(force=True)
            stream.write(b"\x03\xff\xff\xff" + obj.tobytes())

    parameters = {key: value[0] for key, value in fit(1).items()}
    with (tmp_path / "plain.pkl").open("wb") as stream:
        Pickler(stream, protocol=4).dump({"1.jpg": {"smpl": [parameters]}})
    data = (tmp_path / "plain.pkl").read_bytes()
    (tmp_path / "zipped.pkl").write_bytes(zlib.compress(data))
    source = pose_source(f"fits:{tmp_path}")
    assert not source.skipped
    expected = Rotation.from_matrix(parameters["body_pose"]).as_rotvec().ravel()
    for index in range(2):
        np.testing.assert_allclose(source[index].body_pose, expected, atol=1e-5)
