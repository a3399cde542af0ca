"""Arms x seeds on a real local Ray, with models that learn for two steps: whole and resumable,
alone and beside another table."""

from pathlib import Path

import pytest
import yaml

from posedive.jobs.reid_table import run
from posedive.spec import load_job
from posedive.spec.reid_table import ReidTable
from posedive.storage import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]
KEEP_ALL = {"generated_threshold": 0, "min_oks": 0, "max_confidence_difference": 1}


def test_a_table_is_complete_and_what_is_done_is_not_done_again(tmp_path: Path):
    path = tmp_path / "table.yaml"
    composite = {"generator.weights": "composite"}
    table = {
        "kind": "evaluate",
        "what": "reid",
        "dataset": {"name": "embedded", "seed": 7, "identities": 16},
        "generate": {"images_per_identity": 1, "size": [64, 128], "filter": KEEP_ALL},
        "arms": {"baseline": None, "composite": composite},
        "yardstick": {"steps": 2},
        "seeds": 1,
        "output": str(tmp_path / "out"),
    }
    path.write_text(yaml.safe_dump(table))
    spec = load_job(path)
    assert isinstance(spec, ReidTable)
    arms = run(spec)["arms"]
    assert arms["composite"]["kept"] == 16 and "kept" not in arms["baseline"]
    for arm in arms.values():
        assert 0 < arm["mAP"]["mean"] <= 100 and arm["diverse"]["mAP"] == arm["mAP"]
    store = open_store(spec.output)
    cells = {name: store.get(name) for name, _ in store.list("cells/")}
    assert len(cells) == 2 and b"| composite | 16 |" in store.get("results.md")
    assert run(spec)["arms"] == arms
    assert arms["composite"]["gain"]["diverse"]["mean"] == pytest.approx(
        arms["composite"]["mAP"]["mean"] - arms["baseline"]["mAP"]["mean"], abs=0.011
    )

    more = {"tests": ["actions", "standard"], "output": str(tmp_path / "other")}
    table["arms"] |= {"real": {"real_images": "composite"}}
    path.write_text(yaml.safe_dump(table | more | {"shared": spec.output}))
    other = load_job(path)
    assert isinstance(other, ReidTable)
    told = run(other)["arms"]
    assert (
        told["real"]["kept"] == 16
        and told["composite"]["standard"] == arms["composite"]["standard"]
    )
    after = {name: store.get(name) for name, _ in store.list("cells/")}
    assert len(after) == 3 and after.items() >= cells.items()
