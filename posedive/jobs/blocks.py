"""Training examples, made once and kept as blocks: npz objects of a store.

A block holds what one pass over a few shuffled identities gave, so that reading blocks in a random
order is reading examples in a random order. Which block a worker reads at which step is a pure
function of (seed, step, rank): a run that goes on from a checkpoint reads on where it was.
"""

import io
from collections.abc import Mapping

import numpy as np

from posedive.errors import StorageError
from posedive.storage import open_store


def write_block(uri: str, index: int, arrays: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    open_store(uri).put_if_absent(block_name(index), buffer.getvalue())


def read_block(uri: str, index: int) -> dict[str, np.ndarray]:
    data = io.BytesIO(open_store(uri).get(block_name(index)))
    with np.load(data, allow_pickle=False) as arrays:
        return dict(arrays)


def block_name(index: int) -> str:
    return f"block-{index:05d}.npz"


def existing_blocks(uri: str) -> set[int]:
    names = (name for name, _ in open_store(uri).list("block-"))
    return {int(name[len("block-") : -len(".npz")]) for name in names}


class Blocks:
    """Batches by step. `indices`: the blocks to read; all hold `examples` rows or more."""

    def __init__(self, uri: str, indices: list[int], batch_size: int, seed: int):
        if not indices:
            raise StorageError(f"{uri}: no training examples; expected block-00000.npz and on")
        self.uri, self.indices = uri, indices
        self.batch_size, self.seed = batch_size, seed
        self._loaded: tuple[int, dict[str, np.ndarray]] | None = None
        self.rows = min(len(next(iter(self.read(i).values()))) for i in indices[:1])

    def read(self, index: int) -> dict[str, np.ndarray]:
        if self._loaded is None or self._loaded[0] != index:
            self._loaded = index, read_block(self.uri, index)
        return self._loaded[1]

    def batch(self, step: int, rank: int, world_size: int) -> dict[str, np.ndarray]:
        """The batch of one worker at one step."""
        per_block = max(1, self.rows // self.batch_size)
        turn, within = divmod(step, per_block)
        epoch, place = divmod(turn * world_size + rank, len(self.indices))
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.indices))
        block = self.read(self.indices[order[place]])
        size = len(next(iter(block.values())))
        rows = np.random.default_rng((self.seed, 2, epoch, place)).permutation(size)
        chosen = np.take(
            rows, range(within * self.batch_size, (within + 1) * self.batch_size), mode="wrap"
        )
        return {name: array[chosen] for name, array in block.items()}
