import numpy as np
import pytest

from posedive.errors import StorageError
from posedive.jobs.blocks import Blocks, existing_blocks, write_block


@pytest.fixture
def uri(tmp_path) -> str:
    for i in range(4):
        write_block(str(tmp_path), i, {"x": np.arange(6) + 10 * i, "y": np.ones((6, 2))})
    return str(tmp_path)


def test_an_epoch_of_all_workers_reads_every_example_once(uri):
    assert existing_blocks(uri) == {0, 1, 2, 3}
    seen = []
    for rank in range(2):
        reader = Blocks(uri, [0, 1, 2, 3], batch_size=2, seed=0)
        # 2 blocks for each worker, 3 batches in a block
        seen += [reader.batch(step, rank, 2)["x"] for step in range(6)]
    assert sorted(np.concatenate(seen)) == sorted(i + 10 * b for b in range(4) for i in range(6))


def test_a_batch_depends_on_seed_step_and_rank_alone(uri):
    one, other = (Blocks(uri, [0, 1, 2, 3], 2, seed=3) for _ in range(2))
    later = [one.batch(step, 0, 1)["x"] for step in range(9)][7]
    np.testing.assert_array_equal(other.batch(7, 0, 1)["x"], later)
    assert any(
        (Blocks(uri, [0, 1, 2, 3], 2, seed=4).batch(s, 0, 1)["x"] != one.batch(s, 0, 1)["x"]).any()
        for s in range(4)
    )


def test_a_second_write_keeps_the_first_block(uri):
    write_block(uri, 0, {"x": np.zeros(6), "y": np.zeros((6, 2))})
    assert Blocks(uri, [0], 6, 0).read(0)["x"][1] == 1


def test_no_blocks_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="no training examples"):
        Blocks(str(tmp_path), [], 2, 0)
