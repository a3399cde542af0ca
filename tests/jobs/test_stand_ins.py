"""Stand-ins give what the real stages give: shards that a reader finds whole. No Ray."""

import numpy as np
import pytest

from posedive.jobs.planning import planned
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.commit import Commit
from posedive.jobs.stages.rows import column
from posedive.jobs.stages.stand_ins import Blank, Passed, trust_references
from posedive.jobs.stages.waiting import PICTURE
from posedive.shards.document import open_plan, plan_document
from posedive.shards.verify import verify
from posedive.spec.generate import Generate
from posedive.storage import open_store

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


def test_shards_of_stand_ins_are_whole_and_nothing_is_looked_at(tmp_path):
    asked = Generate.model_validate(
        {
            "kind": "generate",
            "dataset": {"name": "embedded", "seed": 7, "identities": 2},
            "generator": {"weights": "composite"},
            "images_per_identity": 3,
            "output": {"uri": str(tmp_path)},
        }
    )
    references = trust_references(asked)
    images = people_of(asked.dataset, open_spec_dataset(asked.dataset, asked.size))
    plan = planned(asked, images, references)
    store = open_store(asked.output.uri)
    open_plan(store, plan_document(plan, "composite", asked.asked()))
    spec_json = asked.model_dump_json(exclude_unset=True)
    render, judge = Blank(spec_json, ()), Passed(spec_json)
    commit = Commit(spec_json, plan.digest, "composite")
    for shard in range(plan.num_shards):
        rows = render({"shard": np.array([shard])})
        drawn = {"picture": column([PICTURE] * 3), "actor": np.full(3, "a")}
        times = {name: np.zeros(3) for name in ("begun", "ended", "denoise_s")}
        told = commit(judge(rows | drawn | times))
        assert (told["kept"][0], told["first"][0]) == (plan.layout.size(shard), True)
    found = verify(store)
    assert found.ok and found.kept == plan.num_pairs == 6
