"""The generator's loop in this process: Ray Train's local mode, with checkpoints that are kept."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from ray.train import Checkpoint
from ray.train.v2._internal.execution.train_fn_utils import LocalTrainFnUtils, set_train_fn_utils

from posedive.diffusion.generator import Generator
from posedive.diffusion.weights import load_generator, save_generator
from posedive.errors import RunError
from posedive.jobs.blocks import write_block
from posedive.jobs.training_loops import train_generator
from posedive.spec.train import Train
from tests.diffusion.conftest import tiny_config
from tests.diffusion.examples import batch

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


class Killed(Exception):
    pass


class Local(LocalTrainFnUtils):
    """Keeps what is reported, as a cluster would; `killed_after` that many reports."""

    def __init__(self, folder: Path, killed_after: int | None = None):
        super().__init__("test")
        self.folder, self.killed_after = folder, killed_after
        self.metrics: list[dict] = []
        kept = sorted(folder.glob("*")) if folder.exists() else []
        self._last_checkpoint = Checkpoint(str(kept[-1])) if kept else None

    def report(self, metrics, checkpoint=None, *_, **__) -> None:  # type: ignore[override]
        self.metrics.append(metrics)
        assert checkpoint is not None
        shutil.copytree(checkpoint.path, self.folder / f"{metrics['step']:06d}")
        if len(self.metrics) == self.killed_after:
            raise Killed


@pytest.fixture(autouse=True)
def _not_local_afterwards() -> Iterator[None]:
    yield
    set_train_fn_utils(None)


def spec(folder: Path, **changes) -> Train:
    initial = folder / "initial"
    if not initial.exists():
        torch.manual_seed(0)
        save_generator(Generator(tiny_config()), initial)
    return Train.model_validate(
        {
            "kind": "train",
            "what": "generator",
            "model": json.loads(json.dumps(asdict(tiny_config()))),
            "initial": str(initial),
            "dataset": {"name": "embedded"},
            "size": (32, 64),
            "batch_size": 2,
            "steps": 54,
            "learning_rate": 1e-3,
            "precision": "fp32",
            "checkpoint": {"every_minutes": 1e-6, "samples": 2},
            "output": str(folder / "out"),
        }
        | changes
    )


def run(spec: Train, local: Local, spoil: bool = False) -> list[dict]:
    """Trains on two blocks of noise; returns what was reported."""
    uri = f"{spec.output}/blocks"
    for index in range(2):
        made = [batch(4 * index + i) | {"pid": np.array([1, 2])} for i in range(4)]
        arrays = {name: np.concatenate([m[name] for m in made]) for name in made[0]}
        arrays |= {n: a[:, :1] for n, a in arrays.items() if a.ndim > 1 and a.shape[1] == 3}
        if spoil:
            arrays["target_latents"][:] = np.inf
        write_block(uri, index, arrays)
    set_train_fn_utils(local)
    train_generator({"spec": spec.model_dump_json(), "uri": uri, "blocks": [0, 1]})
    return local.metrics


def test_a_killed_training_ends_as_one_left_alone_and_leaves_weights_curves_and_samples(tmp_path):
    whole = run(spec(tmp_path / "whole"), Local(tmp_path / "whole" / "kept"))
    assert [m["step"] for m in whole] == [50, 54]
    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        run(spec(folder), Local(folder / "kept", killed_after=1))
    again = run(spec(folder), Local(folder / "kept"))
    assert [m["step"] for m in again] == [54]
    for name in ("loss", "validation_loss", "learning_rate", "skipped_steps"):
        assert again[0][name] == pytest.approx(whole[1][name], rel=1e-5), name
    out = folder / "out"
    lines = [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 54 and "validation_loss" in lines[-1]
    assert {p.name for p in (out / "samples").iterdir()} == {"step-000050.png", "step-000054.png"}
    assert list((out / "tensorboard").iterdir())
    weights = load_generator(str(folder / "kept" / "000054" / "weights"))
    assert weights.config.conditions == tiny_config().conditions


def test_losses_that_stay_not_finite_stop_the_training(tmp_path):
    local = Local(tmp_path / "kept")
    with pytest.raises(RunError, match="no finite loss in steps 1 to 3: stopped after 3"):
        run(spec(tmp_path, max_skipped_steps=3), local, spoil=True)
    assert local.metrics == []


def test_accumulated_batches_are_those_of_as_many_workers(tmp_path):
    """Two workers' parts, added up by one: what an elastic job does when a worker is lost."""
    elastic = {"resources": {"num_workers": [1, 2]}}
    two = run(spec(tmp_path / "a", steps=6, **elastic), Local(tmp_path / "a" / "kept"))
    one = run(spec(tmp_path / "b", steps=6, accumulate=2), Local(tmp_path / "b" / "kept"))
    assert two[-1]["loss"] == one[-1]["loss"]
    assert two[-1]["validation_loss"] == one[-1]["validation_loss"]
