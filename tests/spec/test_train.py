from typing import Any

import pytest
from pydantic import ValidationError

from posedive.spec.train import Train

SMALL: dict[str, Any] = {
    "kind": "train",
    "what": "generator",
    "dataset": {"name": "embedded"},
    "steps": 1,
    "output": "out/x",
}


def train(**changes: Any) -> Train:
    return Train.model_validate(SMALL | changes)


def refusal(**changes: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        train(**changes)
    return str(refused.value)


def test_workers_are_a_number_or_a_range():
    assert train(resources={"num_workers": 3}).resources.most_workers == 3
    elastic = train(resources={"num_workers": [1, 4]}).resources
    assert (elastic.num_workers, elastic.most_workers) == ((1, 4), 4)
    assert "expected [fewest, most], got [4, 1]" in refusal(resources={"num_workers": [4, 1]})
    assert "greater than 0" in refusal(resources={"num_workers": 0})


def test_fp16_is_for_gpus():
    assert "set resources.num_gpus: 1, or precision: bf16" in refusal(precision="fp16")
    assert train(precision="fp16", resources={"num_gpus": 1}).precision == "fp16"


def test_shares_of_the_weights_need_a_fixed_number_of_workers_and_a_wide_exponent():
    gpus = {"num_gpus": 1, "num_workers": [1, 2]}
    assert "a fixed num_workers" in refusal(parallel="fsdp", resources=gpus)
    gpus = {"num_gpus": 1, "num_workers": 2}
    assert "fp16 goes with ddp" in refusal(parallel="fsdp", precision="fp16", resources=gpus)
    assert train(parallel="fsdp", resources=gpus).parallel == "fsdp"


def test_what_only_the_generator_reads_is_refused_elsewhere():
    assert "accumulate: of the generator's training, not of vae" in refusal(
        what="vae", accumulate=2
    )
    assert "vae is trained by one worker" in refusal(what="vae", resources={"num_workers": 2})


def test_an_unknown_tracker_is_refused():
    assert train(trackers=["wandb", "mlflow"]).trackers == ("wandb", "mlflow")
    assert "trackers" in refusal(trackers=["neptune"])


def test_what_does_not_change_the_weights_is_no_part_of_the_digest():
    plain = train().digest()
    assert train(gradient_checkpointing=True, trackers=["wandb"]).digest() == plain
    assert train(accumulate=2).digest() != plain
