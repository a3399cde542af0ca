"""A pair that kills its worker each time, on a real local Ray: bounded, named, alone."""

import os

import numpy as np
import pytest
import ray
from ray.data import ActorPoolStrategy

from posedive.jobs.ledger import KILLED, MAX_ATTEMPTS, open_ledger
from posedive.jobs.session import start_ray
from posedive.jobs.stages.denoise import FAILED, Denoise
from posedive.jobs.stages.rows import Rows, to_png
from posedive.spec.generate import Generate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]
SPEC = Generate.model_validate(
    {
        "kind": "generate",
        "dataset": {"name": "embedded"},
        "generator": {"weights": "composite"},
        "output": {"uri": "/nowhere"},
    }
).model_dump_json()


class Poisoned(Denoise):
    """As it is, but that one pair ends its process, and another one throws."""

    def __init__(self, spec_json: str, ledger: str):
        super().__init__(spec_json, ledger)
        self.painter = _Poisoned()


class _Poisoned:
    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        keys = [rows["key"][i] for i in chosen]
        if "kills" in keys:
            os._exit(1)
        if "throws" in keys:
            raise ValueError("a bad pair")
        return [rows["composite"][i] for i in chosen]


def drawn(keys: list[str]) -> tuple[dict[str, str], int]:
    """Each key's reason, and how many pairs were begun for it."""
    start_ray()
    name, ledger = open_ledger()
    picture = to_png(np.zeros((16, 8, 3), np.uint8))
    rows = [{"key": key, "reason": "", "composite": picture} for key in keys]
    out = ray.data.from_items(rows, override_num_blocks=1).map_batches(
        Poisoned,
        fn_constructor_args=(SPEC, name),
        batch_size=len(keys),
        compute=ActorPoolStrategy(size=1),
        num_cpus=0.5,
    )
    told = {row["key"]: row["reason"] for row in out.take_all()}
    return told, ray.get(ledger.begun.remote())


def test_a_pair_that_throws_costs_itself_alone():
    assert drawn(["a", "throws", "b"]) == ({"a": "", "throws": FAILED, "b": ""}, 3)


def test_a_pair_that_kills_its_worker_is_rejected_after_so_many_deaths():
    told, begun = drawn(["a", "kills", "b"])
    assert told == {"a": "", "kills": KILLED, "b": ""}
    # Once as a batch, then pair by pair until its workers have died so often, then without it.
    assert begun == 3 * (1 + MAX_ATTEMPTS + 1)
