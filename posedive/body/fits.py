"""Files of SMPL fits, in any layout of fit_layouts -> arrays of parameters, a row per person.

In: .npz, .pkl (joblib's too) or .pt/.pth; rotations as matrices (N, 23, 3, 3) or axis-angle (N, 69)
or (N, 23, 3); 21 joints get still hands. Nothing in a file is run: pickles go through the
restricted unpickler, torch's files are loaded with weights_only. Out: axis-angle float32 in the
file's own frame, what the layout says of the camera, and the name or frame of each row's image.
"""

import pickle
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from posedive.body.fit_layouts import LAYOUTS, Layout
from posedive.body.safe_pickle import load_pickle, unpickle
from posedive.errors import BodyError

FIT_SUFFIXES = (".npz", ".pkl", ".pt", ".pth")
# What zipfile, zlib and numpy raise on damaged bytes.
UNREADABLE_NPZ = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
NUM_BETAS = 10


@dataclass(frozen=True, eq=False)
class SmplFits:
    """N people of one layout: body_pose (N, 69), global_orient (N, 3), betas (N, 10); camera: an
    array (N, numbers) for each of the layout's camera fields; images: N names or numbers of
    frames. bad: why a row can't be used; its numbers mean nothing. smplx: transl is SMPL-X's."""

    layout: Layout
    images: list[str | int]
    body_pose: np.ndarray
    global_orient: np.ndarray
    betas: np.ndarray
    camera: tuple[np.ndarray, ...]
    smplx: bool
    bad: dict[int, str]


def read_fits(path: Path) -> list[SmplFits]:
    """Every person in one file, in its order. BodyError names what is wrong with it."""
    contents = read_contents(path)
    for layout in LAYOUTS:
        entries = [(key, entry) for key, entry in _entries(contents, layout) if entry]
        if entries:
            fits = [_read_entry(path, layout, key, entry) for key, entry in entries]
            rows = sum(len(fit.images) for fit in fits)
            if rows and rows == sum(len(fit.bad) for fit in fits):
                raise BodyError(f"{path}: {next(iter(fits[0].bad.values()))}")
            if rows:
                return fits
    raise BodyError(f"{path}: no body_pose with global_orient in it, in no layout that is known")


def read_contents(path: Path) -> Any:
    """Numpy arrays in dictionaries and lists."""
    if path.suffix == ".npz":
        return read_npz(path) | _pickled_arrays(path)
    if path.suffix == ".pkl" or not zipfile.is_zipfile(path):  # WHAM names joblib's files .pth
        return load_pickle(path)
    try:
        return _numpy(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise BodyError(f"{path}: not tensors alone, or not readable: {reason}") from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz; those that are pickled objects are left out."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in _members(path, pickled=False)}
    except UNREADABLE_NPZ as error:
        raise BodyError(f"{path}: not a readable .npz: {error}") from error


def npz_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of one array of an .npz, without reading it. KeyError: there is none."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        return _header(member)


def _header(member: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    v1, v2 = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
    shape, _, dtype = (v1 if version == (1, 0) else v2)(member)
    return shape, dtype


def _members(path: Path, pickled: bool) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    return [name for name in names if npz_header(path, name)[1].hasobject == pickled]


def _pickled_arrays(path: Path) -> dict[str, Any]:
    """Objects that numpy has pickled into an .npz, by the restricted unpickler."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in _members(path, pickled=True):
            with archive.open(f"{name}.npy") as member:
                _header(member)
                held = unpickle(member.read(), f"{path}: {name}")
            found[name] = held.item() if getattr(held, "shape", None) == () else held
    return found


def _numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().float().numpy()
    if isinstance(value, dict):
        return {key: _numpy(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numpy(each) for each in value]
    return value


def _entries(contents: Any, layout: Layout) -> Iterator[tuple[Any, dict]]:
    """(key, fields) of what the layout recognises as its own."""
    *parents, last = layout.entries.split(".") if layout.entries else [""]
    for parent in parents:
        contents = contents.get(parent) if isinstance(contents, dict) else None
    if last == "*":
        found = list(contents.items()) if isinstance(contents, dict) else []
    elif last:
        found = [("", contents.get(last))] if isinstance(contents, dict) else []
    else:
        found = [("", contents)]
    needed = [*layout.pose, *(field for field, _ in layout.camera_fields)]
    if layout.keyed == "frames" and layout.frames:
        needed.append(layout.frames)
    for key, fields in found:
        people = fields if isinstance(fields, (list, tuple)) else [fields]
        for person in people:
            if isinstance(person, dict) and all(_lookup(person, n) is not None for n in needed):
                yield key, person


def _lookup(fields: Any, path: str) -> Any:
    """What lies at a dotted path; in a list of dictionaries, the list of what they have there."""
    for name in path.split("."):
        if isinstance(fields, (list, tuple)) and fields and isinstance(fields[0], dict):
            fields = [each.get(name) for each in fields]
        elif isinstance(fields, dict):
            fields = fields.get(name)
        else:
            return None
        if fields is None or (isinstance(fields, list) and any(each is None for each in fields)):
            return None
    return fields


def _read_entry(path: Path, layout: Layout, key: Any, entry: dict) -> SmplFits:
    where = f"{path}: {key}" if key != "" else f"{path}"
    arrays = [_array(where, name, _lookup(entry, name)) for name in layout.pose]
    if len(layout.pose) == 1:
        joints, wrong = _axis_angles(where, layout.pose[0], arrays[0], (24,))
        global_orient, body_pose = joints[:, :1], joints[:, 1:]
    else:
        body_pose, wrong = _axis_angles(where, layout.pose[1], arrays[1], (23, 21))
        global_orient, turned = _axis_angles(where, layout.pose[0], arrays[0], (1,))
        wrong = {**turned, **wrong}
    num = len(body_pose)
    if num != len(global_orient):
        counts = f"{num} body_pose, {len(global_orient)} global_orient"
        raise BodyError(f"{where}: expected as many of each, got {counts}")
    padded = np.zeros((num, 23, 3), dtype=np.float32)
    padded[:, : body_pose.shape[1]] = body_pose
    smplx = bool(layout.smplx) and _lookup(entry, layout.smplx) is not None
    camera = tuple(
        _rows(where, name, _lookup(entry, name), num, size) for name, size in layout.camera_fields
    )
    for values in camera:
        wrong |= {int(row): "its camera isn't finite" for row in np.nonzero(_not_finite(values))[0]}
    return SmplFits(
        layout=layout,
        images=_images(path, layout, key, entry, num),
        body_pose=padded.reshape(num, 69),
        global_orient=global_orient[:, 0],
        betas=_betas(where, layout, entry, num, smplx),
        camera=camera,
        smplx=smplx,
        bad=wrong,
    )


def _images(path: Path, layout: Layout, key: Any, entry: dict, num: int) -> list[str | int]:
    if layout.keyed == "frames":
        frames = _lookup(entry, layout.frames) if layout.frames else None
        numbers = np.arange(num) if frames is None else np.asarray(frames).reshape(-1)
        if len(numbers) != num:
            raise BodyError(f"{path}: {len(numbers)} numbers of frames for {num} fits")
        return [int(number) for number in numbers]
    if layout.keyed == "entry":
        return [str(key)] * num
    if "names" not in entry:
        return [path.stem] * num
    names = [str(name) for name in np.asarray(entry["names"]).reshape(-1)]
    if len(names) != num:
        raise BodyError(f"{path}: {len(names)} names for {num} fits")
    return list(names)


def _betas(where: str, layout: Layout, entry: dict, num: int, smplx: bool) -> np.ndarray:
    betas = np.zeros((num, NUM_BETAS), dtype=np.float32)
    given = next((v for name in layout.betas if (v := _lookup(entry, name)) is not None), None)
    if given is None or smplx:
        return betas
    values = np.atleast_2d(_array(where, "betas", given))[..., :NUM_BETAS]
    if values.ndim != 2 or len(values) not in (1, num) or not np.isfinite(values).all():
        raise BodyError(f"{where}: betas of shape {np.shape(given)}, or not finite")
    betas[:, : values.shape[1]] = values
    return betas


def _array(where: str, name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu":
        raise BodyError(f"{where}: {name} must be numbers, got {array.dtype}")
    return array


def _rows(where: str, name: str, value: Any, num: int, size: int) -> np.ndarray:
    """(num, size) float64, of as many rows or of one for all."""
    array = _array(where, name, value).astype(np.float64)
    if array.size == size:
        return np.tile(array.reshape(1, size), (num, 1))
    if array.size == 1:  # one focal length for both axes
        return np.full((num, size), array.item())
    if array.size != num * size:
        raise BodyError(
            f"{where}: expected {name} of {num} x {size} numbers, got shape {array.shape}"
        )
    return array.reshape(num, size)


def _not_finite(array: np.ndarray) -> np.ndarray:
    return np.logical_not(np.isfinite(array.reshape(len(array), -1)).all(1))


def _axis_angles(
    where: str, name: str, array: np.ndarray, counts: tuple[int, ...]
) -> tuple[np.ndarray, dict[int, str]]:
    """Any accepted layout of rotations -> (N, joints, 3), and why rows are none."""
    shape = array.shape
    for joints in counts:
        matrices = shape[-2:] == (3, 3) and (shape[-3:-2] == (joints,) or joints == 1)
        if matrices or shape[-1:] == (joints * 9,):
            return _from_matrices(name, array.reshape(-1, joints, 3, 3))
        if shape[-1:] == (joints * 3,) or shape[-2:] == (joints, 3):
            angles = array.reshape(-1, joints, 3).astype(np.float32)
            bad = np.nonzero(_not_finite(angles))[0]
            return angles, {int(row): f"{name} isn't finite" for row in bad}
    wanted = " or ".join(f"{n}" for n in counts)
    code = "; 32 numbers are VPoser's code: decode it first" if shape[-1:] == (32,) else ""
    raise BodyError(
        f"{where}: expected {name} as {wanted} rotations, 3x3 or axis-angle; got {shape}{code}"
    )


def _from_matrices(name: str, matrices: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
    matrices = matrices.astype(np.float64)
    product = matrices @ np.swapaxes(matrices, -1, -2)
    off = np.abs(product - np.eye(3)).reshape(len(matrices), -1).max(1) > 0.02
    off |= (np.linalg.det(np.nan_to_num(matrices)) < 0).any(1)
    off |= _not_finite(matrices)
    usable = np.where(off[:, None, None, None], np.eye(3), matrices)
    rotvecs = Rotation.from_matrix(usable.reshape(-1, 3, 3)).as_rotvec()
    angles = rotvecs.reshape(*matrices.shape[:-1]).astype(np.float32)
    return angles, {int(r): f"{name} holds 3x3 matrices that are no rotations, or not finite"
                    for r in np.nonzero(off)[0]}  # fmt: skip
