"""Pickles of SMPL files and fits, read without running anything they bring.

A pickle may name functions to call. Ours may name only what builds numpy arrays, scipy's sparse
matrices and chumpy's array (by a stub: chumpy itself isn't needed). All else is refused by name.
Files of joblib.dump, zlib-compressed or not, are pickles with the arrays' bytes in between; the
tracks of PHALP and WHAM come so. An .npz may hold a pickle, too: ROMP's results do.
"""

import _codecs
import collections
import io
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy._core import multiarray, numeric

from posedive.errors import BodyError

# What pickle raises on damaged bytes.
_MALFORMED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    ImportError, OverflowError, MemoryError, RecursionError, struct.error, zlib.error, OSError,
)  # fmt: skip


class ChumpyArray:
    """Stands for chumpy.ch.Ch: an object whose state holds its numbers under `x`."""

    x: Any = None

    def __setstate__(self, state: Any) -> None:
        self.x = state.get("x") if isinstance(state, dict) else None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if not isinstance(self.x, np.ndarray):
            raise BodyError("a chumpy expression, not an array; save the file with numpy arrays")
        return np.array(self.x, dtype=dtype)


class JoblibArray:
    """Stands for joblib.numpy_pickle.NumpyArrayWrapper: says how to read the bytes behind it."""

    def __setstate__(self, state: Any) -> None:
        self.shape, self.order = tuple(state["shape"]), state["order"]
        self.dtype: np.dtype = state["dtype"]
        self.padded = bool(state.get("numpy_array_alignment_bytes"))

    def read(self, stream: io.BufferedIOBase) -> np.ndarray:
        if self.dtype.hasobject:
            raise BodyError("it holds an array of Python objects; save it with plain arrays")
        if self.padded:
            stream.read(stream.read(1)[0])
        size = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        flat = np.frombuffer(stream.read(size), dtype=self.dtype)
        return flat.reshape(self.shape, order="F" if self.order == "F" else "C").copy()


def _bare(cls: type, base: type, state: None) -> object:
    """copyreg._reconstructor, by which the oldest pickles make a plain object."""
    if base is not object or state is not None:
        raise BodyError(f"it makes a {cls.__name__} from a {base.__name__}")
    return object.__new__(cls)


def _plain_dict(*_: Any) -> dict:
    """Stands for collections.defaultdict, whose factory would be called later on."""
    return {}


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _codecs.encode,
    ("copy_reg", "_reconstructor"): _bare,
    ("copyreg", "_reconstructor"): _bare,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("builtins", "dict"): dict,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): _plain_dict,
    ("chumpy.ch", "Ch"): ChumpyArray,
    ("chumpy", "Ch"): ChumpyArray,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): JoblibArray,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = multiarray._reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = multiarray.scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = numeric._frombuffer  # type: ignore[attr-defined]
for _kind in ("csc", "csr", "coo"):
    _matrix = getattr(scipy.sparse, f"{_kind}_matrix")
    _ALLOWED[f"scipy.sparse.{_kind}", f"{_kind}_matrix"] = _matrix
    _ALLOWED[f"scipy.sparse._{_kind}", f"{_kind}_matrix"] = _matrix


# pickle's own reader in Python, not C: only there can joblib's arrays be read in between.
_PythonUnpickler: Any = pickle._Unpickler


class RestrictedUnpickler(_PythonUnpickler):
    dispatch = dict(_PythonUnpickler.dispatch)

    def __init__(self, stream: io.BufferedIOBase):
        super().__init__(stream, encoding="latin1")  # SMPL's files were written by Python 2
        self.stream = stream

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise BodyError(f"it names {module}.{name}, which is no numpy, scipy or chumpy array")
        return _ALLOWED[module, name]

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], JoblibArray):
            self.stack.append(self.stack.pop().read(self.stream))

    dispatch[pickle.BUILD[0]] = load_build


def load_pickle(path: Path) -> Any:
    """What a pickle holds. BodyError: it names anything not listed above, or isn't a pickle."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BodyError(f"{path}: can't be read: {error.strerror}") from error
    return unpickle(data, str(path))


def unpickle(data: bytes, source: str) -> Any:
    """What the bytes of a pickle hold; BodyError as of load_pickle, about `source`."""
    try:
        if data[:1] == b"\x78":  # zlib; no pickle begins so
            data = zlib.decompress(data)
        return RestrictedUnpickler(io.BytesIO(data)).load()
    except BodyError as error:
        raise BodyError(f"{source}: refused, and nothing in it was run: {error}") from error
    except _MALFORMED as error:
        raise BodyError(f"{source}: not a readable pickle: {error}") from error
