"""Two workers over gloo, on the CPU, against one that does the same steps alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.multiprocessing.spawn import spawn

from posedive.diffusion.parallel import distribute, whole
from posedive.diffusion.trainer import Trainer
from tests.diffusion.examples import RECIPE, batch, make
from tests.diffusion.test_trainer import spoiled

pytestmark = pytest.mark.slow
# 2 of 4 steps go to the learning rate's warm-up; a larger one shows differences sooner
LARGE = replace(RECIPE, learning_rate=1e-2)
PARTS, STEPS = 4, 3


def batches(step: int, rank: int, world: int) -> dict:
    return {part: batch(10 * step + part) for part in range(rank, PARTS, world)}


def worker(rank: int, folder: str, strategy: str, resumed: bool) -> None:
    torch.set_num_threads(1)
    rendezvous = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    task = make(LARGE).task
    trainer = Trainer(task, distribute(task, strategy, torch.device("cpu")), LARGE)
    shared = isinstance(trainer.parameters[0], DTensor)
    if resumed:
        trainer.restore(torch.load(f"{folder}/one.pt", weights_only=True))
    losses = [
        trainer.train_step(batches(step, rank, 2), PARTS) for step in range(trainer.step, STEPS)
    ]
    state = trainer.state()
    # one worker's part is not finite, and both skip the step
    before = [p.detach().clone() for p in trainer.parameters]
    bad = {0: spoiled(1) if rank == 0 else batch(1)}
    skipped = trainer.train_step(bad, 2) is None
    unchanged = all(
        bool(whole(p.detach() == was).all())
        for p, was in zip(trainer.parameters, before, strict=True)
    )
    with trainer.averaged():
        alone = None
        if rank == 0:  # no other worker takes part
            with torch.inference_mode():
                alone = [task(batch(s), torch.Generator().manual_seed(0)).mean() for s in (7, 8)]
    trainer.train_step(batches(9, rank, 2), PARTS)  # and training goes on afterwards
    told = {
        "losses": losses,
        "state": state,
        "skipped": skipped and unchanged,
        "validation": None if alone is None else torch.stack(alone),
        "shared": shared,
    }
    torch.save(told, f"{folder}/{strategy}-{rank}.pt")
    dist.destroy_process_group()


def two(folder: Path, strategy: str, resumed: bool = False) -> list[dict]:
    (folder / "rendezvous").unlink(missing_ok=True)
    spawn(worker, (str(folder), strategy, resumed), nprocs=2)
    return [torch.load(folder / f"{strategy}-{r}.pt", weights_only=True) for r in range(2)]


@pytest.fixture(scope="module")
def alone() -> tuple[list[float | None], Trainer]:
    trainer = make(LARGE)
    return [trainer.train_step(batches(step, 0, 1), PARTS) for step in range(STEPS)], trainer


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_workers_train_as_one_does(tmp_path, alone, strategy):
    losses, trainer = alone
    first, second = two(tmp_path, strategy)
    assert first["shared"] == (strategy == "fsdp")
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(losses, rel=1e-4)
    assert first["skipped"] and second["skipped"]
    # Of single weights nothing is said: Adam makes a step of a gradient that is all rounding.
    assert first["state"].keys() == trainer.state().keys()
    with trainer.averaged(), torch.inference_mode():
        each = [trainer.task(batch(s), torch.Generator().manual_seed(0)).mean() for s in (7, 8)]
    torch.testing.assert_close(first["validation"], torch.stack(each), rtol=1e-3, atol=1e-5)


def test_shares_go_on_from_a_checkpoint_that_one_worker_made(tmp_path, alone):
    one = make(LARGE)
    one.train_step(batches(0, 0, 1), PARTS)
    torch.save(one.state(), tmp_path / "one.pt")
    first, _ = two(tmp_path, "fsdp", resumed=True)
    assert first["losses"] == pytest.approx(alone[0][1:], rel=1e-4)
