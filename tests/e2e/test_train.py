"""`posedive train` on a real local Ray: a generator of a few channels, for some dozens of steps."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from posedive.diffusion.generator import Generator
from posedive.diffusion.weights import load_generator, save_generator
from posedive.errors import RunError
from posedive.jobs.blocks import block_name, read_block, write_block
from posedive.jobs.train import run
from posedive.spec.train import Train
from tests.diffusion.conftest import tiny_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]


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
            "dataset": {"name": "embedded", "wide": True, "identities": 32},
            "size": (32, 64),
            "batch_size": 2,
            "steps": 60,
            "precision": "fp32",
            "checkpoint": {"every_minutes": 0.001, "samples": 2},
            "output": str(folder / "out"),
        }
        | changes
    )


def told(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out" / "loss.jsonl").read_text().splitlines()]


def test_a_training_is_resumed_with_other_workers_and_leaves_weights_curves_and_samples(tmp_path):
    first = run(spec(tmp_path, resources={"num_workers": [1, 2]}))
    assert first["step"] == 60 and first["skipped_steps"] == 0
    assert np.isfinite([first["loss"], first["validation_loss"]]).all()
    second = run(spec(tmp_path, steps=110, accumulate=2))
    assert second["step"] == 110
    lines = told(tmp_path)
    assert [line["step"] for line in lines] == [50, 60, 100, 110]
    scores = {line["step"]: line["validation_loss"] for line in lines}
    assert second["published_validation_loss"] == min(scores.values())
    assert scores[second["published_step"]] == second["published_validation_loss"]
    out = tmp_path / "out"
    assert load_generator(str(out / "weights")).config.conditions == tiny_config().conditions
    assert sorted(p.name for p in (out / "samples").iterdir()) == [
        f"step-{step:06d}.png" for step in scores
    ]
    assert list((out / "tensorboard").iterdir())
    kept = [p for p in (out / "run").glob("checkpoint_*") if (p / "state.pt").exists()]
    assert 2 <= len(kept) <= 3


def test_losses_that_stay_not_finite_stop_the_job_at_once_and_keep_its_checkpoint(tmp_path):
    run(spec(tmp_path))
    blocks = tmp_path / "out" / "blocks"
    for index in range(2):
        arrays = read_block(str(blocks), index)
        arrays["target_latents"][:] = np.inf
        (blocks / block_name(index)).unlink()
        write_block(str(blocks), index, arrays)
    with pytest.raises(RunError, match="no finite loss in steps 61 to 63: stopped after 3"):
        run(spec(tmp_path, steps=200, max_skipped_steps=3))
    assert [line["step"] for line in told(tmp_path)] == [50, 60]
    assert list((tmp_path / "out" / "run").glob("checkpoint_*/state.pt"))
