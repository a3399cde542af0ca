"""Files of SMPL fits of a set's images -> Fit by image. What may be in them: datasets/README.md.

In: a file, or a folder of files, in any layout of body.fit_layouts, and the names of the images.
Fits of no image, and files that can't be read, are named in `skipped`; a folder in which nothing
fits any image is an error. Out of it goes one table, fits.npz, whose arrays have a row per image.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from posedive.body.fits import FIT_SUFFIXES, SmplFits, read_fits
from posedive.datasets.fit_cameras import fit_camera
from posedive.errors import BodyError, DatasetError
from posedive.records import Body, Fit

ONE_FILE = "fits.npz"
FRAMES_SUFFIX = ".txt"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


class FitTable:
    """Fits by the stem of their image; a file named as an image is read when it is asked for."""

    def __init__(self, path: Path, stems: Iterable[str]):
        """`stems`: of all images of the set. Raises DatasetError when none of them has a fit."""
        self.path, self.stems = path, frozenset(stems)
        self.skipped: list[tuple[str, str]] = []
        self.files: dict[str, Path] = {}
        self.rows: dict[str, list[tuple[Path, SmplFits, int]]] = {}
        files = _files(path)
        for file in files:
            if file.stem in self.stems and path.is_dir() and file.name != ONE_FILE:
                self.files[file.stem] = file
            else:
                self._read(file)
        if not self.files and not self.rows:
            why = f"; {self.skipped[0][0]}: {self.skipped[0][1]}" if self.skipped else ""
            wanted = f"; the first image is {min(self.stems)}" if self.stems else ""
            raise DatasetError(
                f"{path}: SMPL fits of none of the {len(self.stems)} images in"
                f" {len(files)} files{wanted}{why}"
            )

    def find(self, stem: str, size: tuple[int, int]) -> Fit | None:
        """The fit of the one who appears largest, where there are several in the image.

        size: the image's as published, px. BodyError: there are fits, and none can be used.
        """
        candidates = self.rows.get(stem, [])
        if stem in self.files:
            file = self.files[stem]
            candidates = [(file, fits, row) for fits in read_fits(file)
                          for row in range(len(fits.images))]  # fmt: skip
        usable, problem = [], ""
        for file, fits, row in candidates:
            try:
                usable.append(_fit(fits, row, size))
            except BodyError as error:
                problem = f"{file}: {error}"
        if candidates and not usable:
            raise BodyError(problem)
        return max(usable, key=lambda fit: fit.camera.focal / _distance(fit), default=None)

    def _read(self, file: Path) -> None:
        """Rows of a file that has fits of many images, or of one under another name."""
        name = file.name if file == self.path else str(file.relative_to(self.path))
        try:
            tables = read_fits(file)
            frames = _frames(file) if any(t.layout.keyed == "frames" for t in tables) else []
        except BodyError as error:
            self.skipped.append((name, f"SMPL fits: {error}"))
            return
        for fits in tables:
            for row, image in enumerate(fits.images):
                if isinstance(image, int):
                    image = frames[image] if 0 <= image < len(frames) else f"frame {image}"
                stem = image_stem(image)
                if stem in self.stems:
                    self.rows.setdefault(stem, []).append((file, fits, row))
                else:
                    self.skipped.append((f"{name}: {image}", "SMPL fit of no image of the set"))


def open_fits(fits: str, stems: Iterable[str]) -> FitTable:
    """DatasetError when there is nothing of the kind at the path, or nothing of these images."""
    return FitTable(Path(fits).expanduser(), stems)


def image_stem(name: str) -> str:
    """`frames/0001_c1s1_000151_01.jpg` -> `0001_c1s1_000151_01`."""
    last = PurePosixPath(name.replace("\\", "/")).name
    suffix = PurePosixPath(last).suffix.lower()
    return last[: -len(suffix)] if suffix in IMAGE_SUFFIXES else last


def fit_arrays(fits: Sequence[tuple[str, Fit]]) -> dict[str, np.ndarray]:
    """The arrays of a fits.npz, one row per (image's name, fit)."""
    bodies, cameras = [fit.body for _, fit in fits], [fit.camera for _, fit in fits]
    return {
        "names": np.array([name for name, _ in fits], dtype=np.str_),
        "betas": np.array([body.betas for body in bodies]).reshape(-1, 10),
        "body_pose": np.array([body.body_pose for body in bodies]).reshape(-1, 69),
        "global_orient": np.array([body.global_orient for body in bodies]).reshape(-1, 3),
        "rotation": np.array([camera.rotation for camera in cameras]).reshape(-1, 3, 3),
        "translation": np.array([camera.translation for camera in cameras]).reshape(-1, 3),
        "focal": np.array([camera.focal for camera in cameras], dtype=np.float64),
    }


def encoded(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz as bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder of SMPL fits, and no file of them")
    if (path / ONE_FILE).is_file():
        return [path / ONE_FILE]
    files = sorted(p for p in path.iterdir() if p.suffix in FIT_SUFFIXES)
    if not files:
        kinds = ", ".join(FIT_SUFFIXES)
        raise DatasetError(
            f"{path}: expected {ONE_FILE}, or files of SMPL fits ({kinds}); found none"
        )
    return files


def _frames(file: Path) -> list[str]:
    """The names of a video's frames, a line each, in the list beside its file of fits."""
    path = file.with_suffix(FRAMES_SUFFIX)
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise BodyError(
            f"{file}: its fits are of numbered frames; expected {path.name} beside it, with the"
            " images' names in the frames' order, one a line"
        ) from error


def _fit(fits: SmplFits, row: int, size: tuple[int, int]) -> Fit:
    if row in fits.bad:
        raise BodyError(fits.bad[row])
    if not fits.layout.camera:
        raise BodyError(
            "no camera in it; expected rotation, translation and focal, or one of the layouts of"
            " datasets/README.md"
        )
    numbers = tuple(values[row] for values in fits.camera)
    camera = fit_camera(fits.layout.camera, numbers, size, fits.smplx)
    body = Body(fits.betas[row], fits.body_pose[row], fits.global_orient[row])
    return Fit(body, camera)


def _distance(fit: Fit) -> float:
    return max(float(fit.camera.translation[2]), 1e-6)
