"""Files of SMPL fits, as estimators such as 4D-Humans write them -> arrays of parameters.

In: .npz, or .pkl through the restricted unpickler, with `body_pose`, `global_orient`, `betas`, one
person or N; rotations as matrices (N, 23, 3, 3) or axis-angle (N, 69) or (N, 23, 3); 21 joints
get still hands. In a dictionary `pred_smpl_params` or `smpl_params` they are found too, and so are
tracks (frame -> {"smpl": [person, ...]}). Out: axis-angle float32, in the file's own frame.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from posedive.body.safe_pickle import load_pickle
from posedive.errors import BodyError

FIT_SUFFIXES = (".npz", ".pkl")
# What zipfile, zlib and numpy raise on damaged bytes.
UNREADABLE_NPZ = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
_NESTS = ("pred_smpl_params", "smpl_params", "smpl")


class SmplFits(NamedTuple):
    """N people: body_pose (N, 69), global_orient (N, 3), betas (N, 10); and all other fields."""

    body_pose: np.ndarray
    global_orient: np.ndarray
    betas: np.ndarray
    fields: dict[str, Any]


def read_fits(path: Path) -> SmplFits:
    """Every person in one file, in its order. BodyError names what is wrong with it."""
    if path.suffix == ".npz":
        contents = read_npz(path)
    else:
        contents = load_pickle(path)
    people = [_parameters(path, person) for person in _people(contents)]
    if not people:
        raise BodyError(f"{path}: no body_pose with global_orient in it")
    body_pose, global_orient, betas = map(np.concatenate, zip(*people, strict=True))
    fields = contents if isinstance(contents, dict) else {}
    return SmplFits(body_pose, global_orient, betas, fields)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz; those that are pickled objects are left out."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in _plain_arrays(path)}
    except UNREADABLE_NPZ as error:
        raise BodyError(f"{path}: not a readable .npz: {error}") from error


def npz_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of one array of an .npz, without reading it. KeyError: there is none."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        v1, v2 = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
        shape, _, dtype = (v1 if version == (1, 0) else v2)(member)
        return shape, dtype


def _plain_arrays(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    return [name for name in names if not npz_header(path, name)[1].hasobject]


def _people(contents: Any) -> Iterator[dict]:
    if isinstance(contents, (list, tuple)):
        for item in contents:
            yield from _people(item)
    elif isinstance(contents, dict):
        if "body_pose" in contents and "global_orient" in contents:
            yield contents
            return
        nests = [contents[key] for key in _NESTS if key in contents]
        for item in nests or [v for v in contents.values() if isinstance(v, dict)]:
            yield from _people(item)


def _parameters(path: Path, person: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    body_pose = _axis_angles(path, "body_pose", person["body_pose"], (23, 21))
    global_orient = _axis_angles(path, "global_orient", person["global_orient"], (1,))
    if len(body_pose) != len(global_orient):
        counts = f"{len(body_pose)} body_pose, {len(global_orient)} global_orient"
        raise BodyError(f"{path}: expected as many of each, got {counts}")
    padded = np.zeros((len(body_pose), 23, 3), dtype=np.float32)
    padded[:, : body_pose.shape[1]] = body_pose
    betas = np.zeros((len(body_pose), 10), dtype=np.float32)
    if "betas" in person:
        given = np.atleast_2d(np.asarray(person["betas"], dtype=np.float32))[:, :10]
        if len(given) not in (1, len(betas)) or not np.isfinite(given).all():
            raise BodyError(f"{path}: betas of shape {np.shape(person['betas'])}, or not finite")
        betas[:, : given.shape[1]] = given
    return padded.reshape(-1, 69), global_orient[:, 0], betas


def _axis_angles(path: Path, key: str, value: Any, counts: tuple[int, ...]) -> np.ndarray:
    """Any accepted layout of rotations -> (N, joints, 3)."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise BodyError(f"{path}: {key} must be finite numbers, got {array.dtype}")
    shape = array.shape
    for joints in counts:
        if shape[-2:] == (3, 3) and (shape[-3:-2] == (joints,) or joints == 1):
            return _from_matrices(path, key, array.reshape(-1, joints, 3, 3))
        if shape[-1:] == (joints * 9,):
            return _from_matrices(path, key, array.reshape(-1, joints, 3, 3))
        if shape[-1:] == (joints * 3,) or shape[-2:] == (joints, 3):
            return array.reshape(-1, joints, 3).astype(np.float32)
    wanted = " or ".join(f"{n}" for n in counts)
    raise BodyError(f"{path}: expected {key} as {wanted} rotations, 3x3 or axis-angle; got {shape}")


def _from_matrices(path: Path, key: str, matrices: np.ndarray) -> np.ndarray:
    matrices = matrices.astype(np.float64)
    product = matrices @ np.swapaxes(matrices, -1, -2)
    if np.abs(product - np.eye(3)).max() > 0.02 or np.linalg.det(matrices).min() < 0:
        raise BodyError(f"{path}: {key} holds 3x3 matrices that are no rotations")
    rotvecs = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
    return rotvecs.reshape(*matrices.shape[:-1]).astype(np.float32)
