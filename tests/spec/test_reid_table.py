"""Tables of Re-ID arms: each arm is a generate job, checked before any work."""

import pytest
import yaml

from posedive.errors import SpecError
from posedive.spec import load_job
from posedive.spec.reid_table import ReidTable

TABLE = {
    "kind": "evaluate",
    "what": "reid",
    "dataset": {"name": "embedded", "seed": 7},
    "generate": {"images_per_identity": 3, "generator": {"steps": 2}},
    "arms": {
        "baseline": None,
        "posedive": {},
        "oracle": {"generator.weights": "oracle", "viewpoints.elevation_deg": [0, 10]},
    },
    "output": "out/table",
}


@pytest.fixture
def table(tmp_path):
    def load(**changes) -> ReidTable:
        path = tmp_path / "table.yaml"
        path.write_text(yaml.safe_dump(TABLE | changes))
        spec = load_job(path)
        assert isinstance(spec, ReidTable)
        return spec

    return load


def test_an_arm_is_the_shared_generate_job_with_its_overrides(table):
    spec = table()
    assert spec.generate_job("baseline") is None
    posedive, oracle = spec.generate_job("posedive"), spec.generate_job("oracle")
    assert posedive.generator.weights == "embedded" and posedive.images_per_identity == 3
    assert oracle.generator.weights == "oracle" and oracle.generator.steps == 2
    assert oracle.viewpoints.elevation_deg == (0, 10)
    assert oracle.output.uri == "out/table/arms/oracle"
    assert posedive.dataset.seed == oracle.dataset.seed == 7


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arms": {"posedive": {"generator.stepz": 3}}}, "arms.posedive: generator.stepz"),
        ({"generate": {"output": {"uri": "out"}}}, "output belongs to the table"),
        ({"arms": {"Base line": None}}, "arms"),
        ({"arms": {}}, "arms"),
        (
            {
                "dataset": {"name": "market1501", "root": "/data"},
                "arms": {"oracle": {"generator.weights": "oracle"}},
            },
            "only the embedded set has",
        ),
    ],
)
def test_a_wrong_table_is_refused_before_any_work(table, changes, says):
    with pytest.raises(SpecError, match=says):
        table(**changes)
