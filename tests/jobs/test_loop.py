import pytest
import torch

from posedive.errors import RunError
from posedive.jobs.loop import _count_skipped, _memory_explained, memory_advice
from tests.diffusion.examples import make
from tests.spec.test_train import train


def test_out_of_memory_says_which_setting_to_lower():
    assert memory_advice(train(batch_size=8, resources={"num_workers": 2})) == (
        "out of memory; lower batch_size (now 8), to 4 with accumulate: 2 for the same loss,"
        " or set gradient_checkpointing: true, or set parallel: fsdp"
    )
    all_set = train(
        batch_size=1, gradient_checkpointing=True, parallel="fsdp", resources={"num_workers": 2}
    )
    assert memory_advice(all_set) == "out of memory; lower batch_size (now 1)"


def test_both_allocators_are_understood_and_other_errors_pass():
    with pytest.raises(RunError, match="out of memory; lower batch_size .*step 7: CUDA out of"):
        with _memory_explained(train(), 7):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
    with pytest.raises(RunError, match="out of memory; lower batch_size"):
        with _memory_explained(train(), 0):
            torch.empty(2**50)
    with pytest.raises(RuntimeError, match="shape"):
        with _memory_explained(train(), 0):
            raise RuntimeError("shape '[2]' is invalid")


def test_too_many_skipped_steps_in_a_row_end_the_job():
    trainer, spec = make(), train(max_skipped_steps=3)
    trainer.step, trainer.skipped, trainer.skipped_in_a_row = 12, 5, 2
    _count_skipped(spec, trainer)
    trainer.skipped_in_a_row = 3
    with pytest.raises(RunError, match="no finite loss in steps 10 to 12: stopped after 3"):
        _count_skipped(spec, trainer)
