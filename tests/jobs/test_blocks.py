import numpy as np
import pytest

from posedive.errors import StorageError
from posedive.jobs.blocks import Blocks, existing_blocks, write_block


@pytest.fixture
def uri(tmp_path) -> str:
    for i in range(4):
        write_block(str(tmp_path), i, {"x": np.arange(8) + 10 * i, "y": np.ones((8, 2))})
    return str(tmp_path)


@pytest.mark.parametrize("parts,batch_size", [(1, 4), (2, 2), (2, 4), (4, 1), (1, 16)])
def test_an_epoch_of_all_workers_reads_every_example_once(uri, parts, batch_size):
    assert existing_blocks(uri) == {0, 1, 2, 3}
    readers = [Blocks(uri, [0, 1, 2, 3], batch_size, seed=0) for _ in range(parts)]
    seen = [
        reader.batch(step, part, parts)["x"]
        for part, reader in enumerate(readers)
        for step in range(32 // (parts * batch_size))
    ]
    assert sorted(np.concatenate(seen)) == sorted(i + 10 * b for b in range(4) for i in range(8))


@pytest.mark.parametrize("total", [6, 8, 24])
def test_the_examples_of_a_step_are_the_same_in_however_many_parts(uri, total):
    whole = Blocks(uri, [0, 1, 2, 3], total, seed=5)
    for parts in (2, 3, 6):
        if total % parts:
            continue
        reader = Blocks(uri, [0, 1, 2, 3], total // parts, seed=5)
        for step in range(7):
            pieces = [reader.batch(step, part, parts)["x"] for part in range(parts)]
            np.testing.assert_array_equal(np.concatenate(pieces), whole.batch(step, 0, 1)["x"])


def test_a_step_whose_batch_spans_the_blocks_holds_no_example_twice(uri):
    rows = Blocks(uri, [0, 1], 16, seed=1).batch(3, 0, 1)["x"]
    assert len(set(rows)) == 16


def test_a_batch_depends_on_seed_step_and_part_alone(uri):
    one, other = (Blocks(uri, [0, 1, 2, 3], 2, seed=3) for _ in range(2))
    later = [one.batch(step, 0, 1)["x"] for step in range(9)][7]
    np.testing.assert_array_equal(other.batch(7, 0, 1)["x"], later)
    assert any(
        (Blocks(uri, [0, 1, 2, 3], 2, seed=4).batch(s, 0, 1)["x"] != one.batch(s, 0, 1)["x"]).any()
        for s in range(4)
    )


def test_a_second_write_keeps_the_first_block(uri):
    write_block(uri, 0, {"x": np.zeros(8), "y": np.zeros((8, 2))})
    assert Blocks(uri, [0], 6, 0).read(0)["x"][1] == 1


def test_no_blocks_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="no training examples"):
        Blocks(str(tmp_path), [], 2, 0)
