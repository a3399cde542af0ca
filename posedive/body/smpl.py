"""Body models: "embedded" or a path to SMPL_*.pkl / .npz -> smplx.SMPL; parameters -> meshes.

All models, ours too, run through smplx.SMPL: 24 joints, 6,890 vertices, axis-angle poses, metres,
y up, facing +z, left hand at +x. A file that isn't such a model raises BodyError.
"""

import contextlib
import functools
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import smplx
import torch
from smplx.utils import Struct

from posedive.body.fits import read_npz
from posedive.body.safe_pickle import load_pickle
from posedive.body.skeleton import SMPL_JOINTS
from posedive.body.surface import find_front_back, find_mirror
from posedive.errors import BodyError
from posedive.records import Body

NUM_VERTICES, NUM_BETAS = 6890, 10
_SHAPES = {
    "v_template": (NUM_VERTICES, 3),
    "J_regressor": (24, NUM_VERTICES),
    "weights": (NUM_VERTICES, 24),
    "kintree_table": (2, 24),
}
_FIELDS = {*_SHAPES, "f", "shapedirs", "posedirs", "mirror_vertex", "front_back_vertex"}
_CHUNK = 32  # bodies skinned at once: more gains nothing and costs memory


class Surface(NamedTuple):
    """Per vertex (6890,): its left-right twin, the one behind or before it, its main joint."""

    mirror_vertex: np.ndarray
    front_back_vertex: np.ndarray
    part: np.ndarray


@functools.lru_cache(maxsize=4)
def load_body(name: str) -> smplx.SMPL:
    """The model called "embedded", or the one in a file; each is read once per process."""
    if name == "embedded":
        asset = resources.files("posedive.body") / "assets" / "body.npz"
        with asset.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            fields = dict(arrays)
        fields["posedirs"] = np.zeros((NUM_VERTICES, 3, 207), dtype=np.float32)
    else:
        fields = _read_model(Path(name))
    _check_model(name, fields)
    fields = {key: _dense(value) for key, value in fields.items() if key in _FIELDS}
    with contextlib.redirect_stdout(io.StringIO()):  # smplx prints that it has ten betas
        model = smplx.SMPL(
            model_path="",
            data_struct=Struct(**fields),
            num_betas=NUM_BETAS,
            create_betas=False,
            create_body_pose=False,
            create_global_orient=False,
            create_transl=False,
        )
    for key in ("mirror_vertex", "front_back_vertex"):
        if key in fields:
            model.register_buffer(key, torch.from_numpy(fields[key].astype(np.int32)))
    return model.eval()


def pose_body(model: smplx.SMPL, bodies: Sequence[Body]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (B, 6890, 3) and smplx's 45 joints (B, 45, 3) of posed bodies, float32, metres."""
    betas = np.stack([b.betas[:NUM_BETAS] for b in bodies]).astype(np.float32)
    body_pose = np.stack([b.body_pose for b in bodies]).astype(np.float32)
    global_orient = np.stack([b.global_orient for b in bodies]).astype(np.float32)
    vertices = np.empty((len(bodies), NUM_VERTICES, 3), dtype=np.float32)
    joints = np.empty((len(bodies), 45, 3), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(bodies), _CHUNK):
            part = slice(start, start + _CHUNK)
            posed = model(
                betas=torch.from_numpy(betas[part]),
                body_pose=torch.from_numpy(body_pose[part]),
                global_orient=torch.from_numpy(global_orient[part]),
            )
            vertices[part] = posed.vertices.numpy()
            joints[part] = posed.joints.numpy()
    return vertices, joints


@functools.lru_cache(maxsize=4)
def faces(model: smplx.SMPL) -> np.ndarray:
    """(F, 3) int32, anticlockwise seen from outside."""
    return np.ascontiguousarray(model.get_buffer("faces_tensor").numpy(), dtype=np.int32)


@functools.lru_cache(maxsize=4)
def surface(model: smplx.SMPL) -> Surface:
    """Which vertex is opposite which: read from the embedded body, found for any other."""
    buffers = {name: buffer.numpy() for name, buffer in model.named_buffers()}
    part = buffers["lbs_weights"].argmax(1).astype(np.uint8)
    if "mirror_vertex" in buffers:
        return Surface(buffers["mirror_vertex"], buffers["front_back_vertex"], part)
    rest = buffers["v_template"].astype(np.float64)
    rest -= rest.mean(0) * (1.0, 0.0, 0.0)
    return Surface(find_mirror(rest), find_front_back(rest, faces(model), part), part)


def _read_model(path: Path) -> dict:
    if not path.is_file():
        raise BodyError(
            f"{path}: no such body model; expected 'embedded' or the path of an SMPL_*.pkl or .npz"
        )
    if path.suffix == ".npz":
        return read_npz(path)
    fields = load_pickle(path)
    if not isinstance(fields, dict):
        raise BodyError(f"{path}: expected SMPL's dictionary, got {type(fields).__name__}")
    return fields


def _check_model(name: str, fields: dict) -> None:
    missing = {*_SHAPES, "f", "shapedirs", "posedirs"} - fields.keys()
    if missing:
        raise BodyError(f"{name}: not an SMPL model; it has no {', '.join(sorted(missing))}")
    for key, expected in _SHAPES.items():
        got = tuple(np.shape(fields[key])) or getattr(fields[key], "shape", ())
        if tuple(got) != expected:
            kind = "; SMPL-X and SMPL-H are other models" if key == "v_template" else ""
            raise BodyError(f"{name}: expected {key} of shape {expected}, got {tuple(got)}{kind}")
    num_betas = np.shape(fields["shapedirs"])[-1]
    if num_betas < NUM_BETAS:
        raise BodyError(f"{name}: expected {NUM_BETAS} shapedirs or more, got {num_betas}")
    assert len(SMPL_JOINTS) == _SHAPES["J_regressor"][0]


def _dense(value) -> np.ndarray:
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)
