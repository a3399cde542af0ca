"""Files of SMPL fits of a set's images -> Fit by image name. Which files: datasets/README.md.

The camera comes as `rotation`, `translation` and `focal` (world to camera, image heights), or as
4D-Humans writes it: `pred_cam_t_full` and `scaled_focal_length` in pixels, with the body given in
the camera's own frame. That frame is then the world: exact, though its y is not up.
"""

from pathlib import Path
from typing import Any

import numpy as np

from posedive.body.fits import FIT_SUFFIXES, read_fits, read_npz
from posedive.errors import BodyError, DatasetError
from posedive.records import Body, Camera, Fit

ONE_FILE = "fits.npz"
_BODY = ("betas", "body_pose", "global_orient")
_WORLD_CAMERA = ("rotation", "translation", "focal")
_OWN_CAMERA = ("pred_cam_t_full", "scaled_focal_length")


class FitFolder:
    """One file per image, {image's stem}.npz or .pkl; the first person in each is taken."""

    def __init__(self, path: Path):
        self.path = path

    def find(self, stem: str, height_px: int) -> Fit | None:
        for suffix in FIT_SUFFIXES:
            path = self.path / f"{stem}{suffix}"
            if path.exists():
                fits = read_fits(path)
                body = Body(fits.betas[0], fits.body_pose[0], fits.global_orient[0])
                return Fit(body, _camera(path, fits.fields, height_px))
        return None


class FitTable:
    """One .npz with `names` (N,), image stems, and the other arrays with N rows."""

    def __init__(self, path: Path):
        self.path = path
        self.fields = read_npz(path)
        if "names" not in self.fields:
            raise DatasetError(
                f"{path}: expected `names`, the images' stems; see datasets/README.md"
            )
        fits = read_fits(path)
        self.bodies = {"betas": fits.betas, "body_pose": fits.body_pose,
                       "global_orient": fits.global_orient}  # fmt: skip
        names = self.fields.pop("names")
        if len(names) != len(fits.betas):
            raise DatasetError(f"{path}: {len(names)} names for {len(fits.betas)} fits")
        self.rows = {
            str(name).removesuffix(".jpg").removesuffix(".png"): row
            for row, name in enumerate(names)
        }

    def find(self, stem: str, height_px: int) -> Fit | None:
        row = self.rows.get(stem)
        if row is None:
            return None
        fields = {k: v[row] for k, v in self.fields.items() if np.ndim(v) and len(v) > row}
        body = Body(*(self.bodies[key][row] for key in _BODY))
        return Fit(body, _camera(self.path, fields, height_px))


def open_fits(fits: str) -> FitFolder | FitTable:
    """DatasetError when there is nothing of the kind at the path."""
    path = Path(fits).expanduser()
    if path.is_file():
        return _table(path)
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder of SMPL fits, and no .npz of them")
    if (path / ONE_FILE).is_file():
        return _table(path / ONE_FILE)
    if not any(p.suffix in FIT_SUFFIXES for p in path.iterdir()):
        raise DatasetError(
            f"{path}: expected {ONE_FILE}, or one .npz or .pkl per image; found none"
        )
    return FitFolder(path)


def _table(path: Path) -> FitTable:
    try:
        return FitTable(path)
    except BodyError as error:
        raise DatasetError(f"SMPL fits: {error}") from error


def _camera(path: Path, fields: dict[str, Any], height_px: int) -> Camera:
    if all(key in fields for key in _WORLD_CAMERA):
        rotation, translation, focal = (np.asarray(fields[k], float) for k in _WORLD_CAMERA)
    else:
        if any(key not in fields for key in _OWN_CAMERA):
            raise BodyError(
                f"{path}: no camera; expected {', '.join(_WORLD_CAMERA)}, or"
                f" {' and '.join(_OWN_CAMERA)}"
            )
        rotation = np.eye(3)
        translation, focal_px = (np.asarray(fields[key], float) for key in _OWN_CAMERA)
        focal = focal_px / height_px
    rotation, translation, focal = rotation.reshape(-1), translation.reshape(-1), focal.reshape(-1)
    if rotation.size != 9 or translation.size != 3 or focal.size != 1 or not focal[0] > 0:
        raise BodyError(f"{path}: the camera's arrays are not (3, 3), (3,) and one focal > 0")
    return Camera(rotation.reshape(3, 3), translation, float(focal[0]))
