import numpy as np
import torch

from posedive.jobs.sample_sheets import sample_sheet
from tests.diffusion.examples import batch, make


def held_out() -> dict[str, np.ndarray]:
    return batch(99) | {"pid": np.array([7, 8])}


def test_a_run_with_sheets_has_the_losses_of_one_without():
    plain, watched = make(), make()
    for i in range(3):
        assert watched.train_step({0: batch(i)}, 1) == plain.train_step({0: batch(i)}, 1)
        before = torch.get_rng_state()
        with watched.averaged():
            sample_sheet(watched.task.generator, held_out(), 2, 8)
        assert torch.equal(torch.get_rng_state(), before)
    for mine, theirs in zip(watched.average, plain.average, strict=True):
        assert torch.equal(mine, theirs)


def test_a_sheet_has_a_strip_for_each_example_and_is_drawn_alike_again():
    trainer = make()
    with trainer.averaged():
        generator = trainer.task.generator
        one, again = (sample_sheet(generator, held_out(), 8, 8) for _ in range(2))
        single = sample_sheet(generator, held_out(), 1, 8)
    np.testing.assert_array_equal(one, again)
    # reference, normals, composite, generated, true; 32 x 64 each
    assert single.shape[1] >= 5 * 32 and single.shape[0] > 64
    assert one.size > 1.5 * single.size
