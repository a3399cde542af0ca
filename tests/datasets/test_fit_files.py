"""Files of SMPL fits as the estimators' own demos write them: each is made here and read back.

What is expected is each estimator's own projection of a few points of the body into the image,
written out by hand beside its file.
"""

import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from posedive.body.fit_layouts import LAYOUTS, PELVIS_SMPL, PELVIS_SMPLX
from posedive.body.fits import read_fits
from posedive.datasets.fit_cameras import CAMERAS
from posedive.datasets.fit_files import encoded, fit_arrays, image_stem, open_fits
from posedive.errors import BodyError, DatasetError
from posedive.render.camera import project

WIDTH, HEIGHT = 64, 128
STEM, OTHER = "0002_c1s1_000451_03", "0007_c3s1_000001_00"
STEMS = (STEM, OTHER)
RNG = np.random.default_rng(5)
POINTS = RNG.normal(0, 0.4, (6, 3))
ANGLES = RNG.normal(0, 0.4, (24, 3))  # global_orient, then 23 joints
MATRICES = Rotation.from_rotvec(ANGLES).as_matrix()
BETAS = RNG.normal(0, 1, 10)
SHIFT = np.array([0.1, -0.2, 9.0])


def perspective(points: np.ndarray, focal_px: float) -> np.ndarray:
    return focal_px * points[:, :2] / points[:, 2:] + (WIDTH / 2, HEIGHT / 2)


@dataclass
class Case:
    """write: makes the file in a folder. pixels: where its estimator sees POINTS. smplx: its body
    is SMPL-X's, of 21 joints and another shape space."""

    write: Callable[[Path], Any]
    pixels: np.ndarray
    smplx: bool = False
    tolerance_px: float = 0.01


def matrices(num: int = 1) -> dict[str, np.ndarray]:
    return {
        "global_orient": np.stack([MATRICES[:1]] * num).astype(np.float32),
        "body_pose": np.stack([MATRICES[1:]] * num).astype(np.float32),
        "betas": np.stack([BETAS] * num).astype(np.float32),
    }


def hmr2(folder: Path) -> None:
    camera = {"pred_cam_t_full": SHIFT[None], "scaled_focal_length": np.array(400.0)}
    np.savez(folder / f"{STEM}.npz", allow_pickle=False, **matrices(), **camera)


WEAK, BOX_CENTRE, BOX = np.array([0.9, 0.05, -0.1]), np.array([30.0, 70.0]), 140.0


def hmr2_crop(folder: Path) -> None:
    batch = {"box_center": BOX_CENTRE[None], "box_size": np.array([BOX]),
             "img_size": np.array([[WIDTH, HEIGHT]], float)}  # fmt: skip
    out = {"pred_smpl_params": matrices(), "pred_cam": WEAK[None].astype(np.float32)}
    (folder / f"{STEM}.pkl").write_bytes(pickle.dumps(out | batch))


def seen_by_crop() -> np.ndarray:
    focal = 5000 / 256 * HEIGHT
    depth = 2 * focal / (BOX * WEAK[0])
    x, y = 2 * (BOX_CENTRE - (WIDTH / 2, HEIGHT / 2)) / (BOX * WEAK[0]) + WEAK[1:]
    return perspective(POINTS + (x, y, depth), focal)


def phalp(folder: Path) -> None:
    person = {key: value[0] for key, value in matrices().items()}
    frame = {
        "time": 0, "shot": 0, "tid": [3], "tracked_ids": [3], "tracked_time": [0],
        "bbox": [np.array([4.0, 5, 50, 110])], "conf": [0.98], "smpl": [person],
        "camera": [SHIFT.astype(np.float32) * (1, 1, 10)], "size": [[HEIGHT, WIDTH]],
        "img_path": [f"img/{STEM}.jpg"], "img_name": [f"{STEM}.jpg"], "3d_joints": [np.zeros(3)],
    }  # fmt: skip
    empty = dict.fromkeys(frame, []) | {"time": 1, "shot": 0}
    frames = {f"_DEMO/v/img/{STEM}.jpg": frame, f"_DEMO/v/img/{OTHER}.jpg": empty}
    joblib.dump(frames, folder / "demo_v.pkl")


def seen_in_square() -> np.ndarray:
    """In a square of side 1 about the image padded left and right; then in its pixels."""
    points = POINTS + SHIFT * (1, 1, 10)
    square = 5000 / 256 * points[:, :2] / points[:, 2:] + 0.5
    return square * HEIGHT - ((HEIGHT - WIDTH) / 2, 0)


ROMP_WEAK = np.array([0.8, 0.02, -0.05], np.float32)


def romp_results(num: int = 1) -> dict[str, np.ndarray]:
    return {
        "cam": np.stack([ROMP_WEAK] * num),
        "global_orient": np.tile(ANGLES[:1], (num, 1)),
        "body_pose": np.tile(ANGLES[1:].reshape(1, 69), (num, 1)),
        "smpl_thetas": np.tile(ANGLES.reshape(1, 72), (num, 1)).astype(np.float32),
        "smpl_betas": np.tile(BETAS, (num, 1)).astype(np.float32),
        "center_confs": np.ones((num, 1)),
        "cam_trans": np.zeros((num, 3)),
    }


def romp(folder: Path) -> None:
    save_objects(folder / f"{STEM}.npz", results=romp_results())


def romp_sequence(folder: Path) -> None:
    everything = {f"{STEM}.png": romp_results(), "elsewhere.png": romp_results()}
    save_objects(folder / "video_results.npz", results=everything, sequence_results={})


def save_objects(path: Path, **objects: Any) -> None:
    """As numpy pickles a dictionary into an .npz."""
    arrays = {}
    for name, value in objects.items():
        arrays[name] = np.empty((), object)
        arrays[name][()] = value
    np.savez(path, allow_pickle=True, **arrays)


def seen_orthographic() -> np.ndarray:
    square = ROMP_WEAK[0] * POINTS[:, :2] + ROMP_WEAK[1:]
    return (square + 1) * HEIGHT / 2 - ((HEIGHT - WIDTH) / 2, 0)


def wham(folder: Path) -> None:
    results: dict = defaultdict(dict)
    results[1] = {
        "pose": np.tile(ANGLES.reshape(72), (2, 1)), "trans": np.tile(SHIFT, (2, 1)),
        "pose_world": np.zeros((2, 72)), "trans_world": np.zeros((2, 3)),
        "betas": np.tile(BETAS, (2, 1)), "verts": np.zeros((2, 5, 3)),
        "frame_ids": np.array([1, 2]),
    }  # fmt: skip
    joblib.dump(results, folder / "wham_output.pkl")
    (folder / "wham_output.txt").write_text(f"{OTHER}.jpg\nimages/{STEM}.jpg\n0009_elsewhere.jpg\n")


def gvhmr(folder: Path) -> None:
    incam = {
        "body_pose": torch.tensor(ANGLES[1:22].reshape(1, 63)),
        "global_orient": torch.tensor(ANGLES[:1]),
        "betas": torch.tensor(BETAS)[None],
        "transl": torch.tensor(SHIFT)[None],
    }
    lens = torch.tensor([[[300.0, 0, WIDTH / 2], [0, 300, HEIGHT / 2], [0, 0, 1]]])
    glob = {key: torch.zeros_like(value) for key, value in incam.items()}
    results = {"smpl_params_global": glob, "smpl_params_incam": incam, "K_fullimg": lens}
    torch.save(results | {"net_outputs": {"pred_cam": torch.zeros(1, 3)}}, folder / "hmr4d.pt")
    (folder / "hmr4d.txt").write_text(f"{STEM}.jpg\n")


def smplify(folder: Path) -> None:
    params = {"cam_t": SHIFT, "f": np.array([500.0, 500.0]), "pose": ANGLES.reshape(72)}
    (folder / f"{STEM}.pkl").write_bytes(pickle.dumps(params | {"betas": BETAS}, protocol=2))


TURN = Rotation.from_rotvec([0.1, -0.3, 0.05]).as_matrix()


def smplifyx(folder: Path, joints: int = 23, **fields: np.ndarray) -> None:
    result = {
        "camera_rotation": TURN[None], "camera_translation": SHIFT[None] * (1, 1, 20),
        "betas": BETAS[None], "global_orient": ANGLES[:1],
        "body_pose": ANGLES[1 : joints + 1].reshape(1, -1),
    }  # fmt: skip
    (folder / f"{STEM}.pkl").write_bytes(pickle.dumps(result | fields, protocol=2))


LOWER = np.subtract(PELVIS_SMPLX, PELVIS_SMPL)  # where SMPL-X's rest pose has the pelvis
CASES = {
    "4D-Humans": Case(hmr2, perspective(POINTS + SHIFT, 400)),
    "4D-Humans, crop": Case(hmr2_crop, seen_by_crop()),
    "PHALP": Case(phalp, seen_in_square()),
    "ROMP": Case(romp, seen_orthographic(), tolerance_px=0.5),
    "ROMP, sequence": Case(romp_sequence, seen_orthographic(), tolerance_px=0.5),
    "WHAM": Case(wham, perspective(POINTS + SHIFT, np.hypot(WIDTH, HEIGHT))),
    "GVHMR": Case(gvhmr, perspective(POINTS + SHIFT + LOWER, 300), smplx=True),
    "SMPLify": Case(smplify, perspective(POINTS + SHIFT, 500)),
    "SMPLify-X": Case(smplifyx, perspective(POINTS @ TURN.T + SHIFT * (1, 1, 20), 5000)),
    "SMPLify-X on SMPL-X": Case(
        lambda folder: smplifyx(folder, 21, jaw_pose=np.zeros((1, 3))),
        perspective((POINTS + LOWER) @ TURN.T + SHIFT * (1, 1, 20), 5000),
        smplx=True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fit_is_seen_where_its_estimator_sees_it(name, tmp_path):
    case = CASES[name]
    case.write(tmp_path)
    table = open_fits(str(tmp_path), STEMS)
    fit = table.find(STEM, (WIDTH, HEIGHT))
    assert fit is not None and table.find(OTHER, (WIDTH, HEIGHT)) is None
    pixels, _ = project(POINTS, fit.camera, (WIDTH, HEIGHT))
    np.testing.assert_allclose(pixels, case.pixels, atol=case.tolerance_px)
    joints = 21 if case.smplx else 23
    np.testing.assert_allclose(fit.body.global_orient, ANGLES[0], atol=1e-5)
    np.testing.assert_allclose(
        fit.body.body_pose[: joints * 3], ANGLES[1 : joints + 1].ravel(), atol=1e-5
    )
    np.testing.assert_allclose(fit.body.betas, 0 if case.smplx else BETAS, atol=1e-5)


def test_each_layout_with_a_camera_has_its_file_here_and_its_convention_in_the_table():
    named = {layout.name for layout in LAYOUTS if layout.camera}
    assert named == {name.split(" on ")[0] for name in CASES} | {"posedive's table"}
    assert {layout.camera for layout in LAYOUTS} - {""} == set(CAMERAS)


def test_all_layouts_end_in_one_table(tmp_path):
    """What was read from any file, written as fits.npz and read again, is the same fit."""
    (tmp_path / "in").mkdir()
    romp(tmp_path / "in")
    fit = open_fits(str(tmp_path / "in"), STEMS).find(STEM, (WIDTH, HEIGHT))
    assert fit is not None
    (tmp_path / "fits.npz").write_bytes(encoded(fit_arrays([(STEM, fit)])))
    again = open_fits(str(tmp_path), STEMS).find(STEM, (32, 64))  # in image heights: any size
    assert again is not None
    np.testing.assert_array_equal(again.body.body_pose, fit.body.body_pose)
    np.testing.assert_allclose(
        project(POINTS, again.camera, (WIDTH, HEIGHT))[0],
        project(POINTS, fit.camera, (WIDTH, HEIGHT))[0],
        atol=1e-4,
    )


def test_of_several_people_in_an_image_the_largest_is_taken(tmp_path):
    parameters = matrices(3) | {
        "pred_cam_t_full": np.array([[0, 0, 30.0], [0.5, 0, 8.0], [0, 0, 20.0]]),
        "scaled_focal_length": np.array(400.0),
    }
    np.savez(tmp_path / f"{STEM}.npz", allow_pickle=False, **parameters)
    fit = open_fits(str(tmp_path), STEMS).find(STEM, (WIDTH, HEIGHT))
    assert fit is not None and fit.camera.translation[2] == 8.0


def test_fits_of_no_image_are_named_and_none_at_all_is_an_error(tmp_path):
    romp_sequence(tmp_path)
    table = open_fits(str(tmp_path), STEMS)
    assert table.skipped == [
        ("video_results.npz: elsewhere.png", "SMPL fit of no image of the set")
    ]
    with pytest.raises(DatasetError, match=f"none of the 1 images.*first image is {OTHER}"):
        open_fits(str(tmp_path), [OTHER])


def test_a_bad_row_is_named_when_its_image_is_asked_for_and_the_others_are_used(tmp_path):
    parameters = matrices(2) | {
        "names": np.array(STEMS),
        "pred_cam_t_full": np.stack([SHIFT] * 2),
        "scaled_focal_length": np.array(400.0),
    }
    parameters["body_pose"][1, 4] = np.nan
    np.savez(tmp_path / "all.npz", allow_pickle=False, **parameters)
    table = open_fits(str(tmp_path), STEMS)
    assert table.find(STEM, (WIDTH, HEIGHT)) is not None
    with pytest.raises(BodyError, match="all.npz: body_pose holds .* no rotations"):
        table.find(OTHER, (WIDTH, HEIGHT))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scaled_focal_length": 0.0}, "focal 0"),
        ({"pred_cam_t_full": np.full((1, 3), np.inf)}, "camera isn't finite"),
        ({"pred_cam_t_full": np.zeros((1, 2))}, "expected pred_cam_t_full of 1 x 3 numbers"),
        ({"body_pose": np.zeros((1, 32))}, "VPoser's code: decode it first"),
        ({"global_orient": np.zeros((2, 3))}, "1 body_pose, 2 global_orient"),
        ({"betas": np.array([["tall"]])}, "betas must be numbers"),
    ],
)
def test_numbers_that_are_no_fit_say_why(change, says, tmp_path):
    camera = {"pred_cam_t_full": SHIFT[None], "scaled_focal_length": 400.0}
    parameters = matrices() | camera | change
    np.savez(tmp_path / f"{STEM}.npz", allow_pickle=False, **parameters)
    table = open_fits(str(tmp_path), STEMS)
    with pytest.raises(BodyError, match=says):
        table.find(STEM, (WIDTH, HEIGHT))


def test_parameters_without_a_camera_are_poses_but_no_fit_of_an_image(tmp_path):
    np.savez(tmp_path / f"{STEM}.npz", allow_pickle=False, **matrices())
    assert read_fits(tmp_path / f"{STEM}.npz")[0].layout.name == "parameters"
    with pytest.raises(BodyError, match="no camera"):
        open_fits(str(tmp_path), STEMS).find(STEM, (WIDTH, HEIGHT))


def test_numbered_frames_need_the_list_of_their_images(tmp_path):
    wham(tmp_path)
    (tmp_path / "wham_output.txt").unlink()
    with pytest.raises(DatasetError, match="expected wham_output.txt beside it"):
        open_fits(str(tmp_path), STEMS)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_no_file_runs_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "fits"
    folder.mkdir()
    bomb = romp_results() | {"more": Bomb()}
    (folder / "a.pkl").write_bytes(pickle.dumps(bomb))
    joblib.dump({0: bomb}, folder / "b.pkl")
    save_objects(folder / "c.npz", results=bomb)
    torch.save(bomb, folder / "d.pt")
    (folder / "e.pth").write_bytes(pickle.dumps(bomb))
    phalp(folder)
    table = open_fits(str(folder), STEMS)
    assert [name for name, _ in table.skipped] == ["a.pkl", "b.pkl", "c.npz", "d.pt", "e.pth"]
    assert all("nothing in it was run" in why or "not tensors alone" in why
               for _, why in table.skipped)  # fmt: skip
    assert not Path("exploded").exists()


def test_an_image_is_known_by_its_name_without_folder_and_suffix():
    for name in (f"{STEM}.jpg", f"a/b/{STEM}.PNG", f"a\\{STEM}.jpeg", STEM):
        assert image_stem(name) == STEM
    assert image_stem("frame.000123") == "frame.000123"
