"""MATLAB files of published sets -> arrays. MAT 5 through scipy; nothing in them is run."""

import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from posedive.errors import DatasetError

UNREADABLE = (MatReadError, NotImplementedError, OSError, ValueError, TypeError, zlib.error)


def read_mat(path: Path, *names: str) -> list[np.ndarray]:
    """The arrays `names` of the file. DatasetError when it has no such arrays."""
    try:
        found = loadmat(path, variable_names=names)
    except UNREADABLE as error:
        raise DatasetError(f"{path}: not a readable MAT file of version 5: {error}") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DatasetError(f"{path}: expected {', '.join(names)} in it, got no {missing[0]}")
    return [found[name] for name in names]


def numbers(path: Path, name: str, array: np.ndarray, columns: int = 1) -> np.ndarray:
    """(n, columns) int64, (n,) for one column. DatasetError for an array of another kind."""
    whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and (array % 1 == 0).all())
    if not whole or (columns > 1 and (array.ndim != 2 or array.shape[1] != columns)):
        wanted = f"whole numbers, {columns} a row"
        raise DatasetError(f"{path}: {name}: expected {wanted}, got {array.dtype} {array.shape}")
    flat = array.astype(np.int64)
    return flat.reshape(-1) if columns == 1 else flat
