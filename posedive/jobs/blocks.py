"""Training examples, made once and kept as blocks: npz objects of a store.

A block holds what one pass over a few shuffled identities gave, so that reading blocks in a random
order is reading examples in a random order. Which rows of which block make a batch is a pure
function of (seed, step, part): a run that goes on from a checkpoint reads on where it was.
"""

import io
from collections.abc import Mapping

import numpy as np

from posedive.errors import StorageError
from posedive.storage import open_store

LANE = 4  # rows; more of them, and a step's examples come from fewer people


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


def split(indices: list[int]) -> tuple[list[int], list[int]]:
    """Held out, and trained on: the last block validates, when there is more than one."""
    return indices[-1:], indices[:-1] or indices


class Blocks:
    """Batches by step. `indices`: the blocks to read; all hold `examples` rows or more.

    The batch of a step comes in parts of `batch_size` rows. Its rows lie on lanes, `LANE` to a
    lane, and each lane reads blocks of its own, one after the other: a worker opens few blocks, and
    the examples of a step are the same however many parts they come in.
    """

    def __init__(self, uri: str, indices: list[int], batch_size: int, seed: int):
        if not indices:
            raise StorageError(f"{uri}: no training examples; expected block-00000.npz and on")
        self.uri, self.indices = uri, indices
        self.batch_size, self.seed = batch_size, seed
        self._open: dict[int, dict[str, np.ndarray]] = {}
        self._step, self._of_step = -1, set[int]()
        self.rows = min(len(next(iter(self.read(i).values()))) for i in indices[:1])

    def read(self, index: int) -> dict[str, np.ndarray]:
        self._of_step.add(index)
        if index not in self._open:
            self._open[index] = read_block(self.uri, index)
        return self._open[index]

    def batch(self, step: int, part: int, parts: int) -> dict[str, np.ndarray]:
        """Part `part` of the batch of one step."""
        if (
            step != self._step
        ):  # what the last step read stays open, as this one likely goes on there
            self._open = {i: block for i, block in self._open.items() if i in self._of_step}
            self._step, self._of_step = step, set()
        total = self.batch_size * parts
        lane = max(LANE, -(-total // len(self.indices)))  # no block is on two lanes
        lanes = -(-total // lane)
        begin, end = part * self.batch_size, (part + 1) * self.batch_size
        pieces = []
        for i in range(begin // lane, -(-end // lane)):
            width = min(lane, total - i * lane)
            rows = range(max(0, begin - i * lane), min(width, end - i * lane))
            pieces.append(self._rows(step, i, lanes, width, rows))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _rows(
        self, step: int, lane: int, lanes: int, width: int, rows: range
    ) -> dict[str, np.ndarray]:
        """Of the `width` rows that a lane gives at a step, those numbered `rows`."""
        per_block = max(1, self.rows // width)
        turn, within = divmod(step, per_block)
        epoch, place = divmod(turn * lanes + lane, len(self.indices))
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.indices))
        block = self.read(self.indices[order[place]])
        size = len(next(iter(block.values())))
        shuffled = np.random.default_rng((self.seed, 2, epoch, place)).permutation(size)
        chosen = np.take(shuffled, [within * width + row for row in rows], mode="wrap")
        return {name: array[chosen] for name, array in block.items()}
