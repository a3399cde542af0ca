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
    assert spec.arm("baseline").generate is None
    posedive, oracle = spec.arm("posedive").generate, spec.arm("oracle").generate
    assert posedive is not None and oracle is not None
    assert posedive.generator.weights == "embedded" and posedive.images_per_identity == 3
    assert oracle.generator.weights == "oracle" and oracle.generator.steps == 2
    assert oracle.viewpoints.elevation_deg == (0, 10)
    assert oracle.output.uri == f"out/table/images/{oracle.digest()[:16]}"
    assert posedive.dataset.seed == oracle.dataset.seed == 7


def test_arms_that_ask_for_the_same_images_share_them(table):
    osnet = {"yardstick.backbone": "osnet", "take.first": 2}
    spec = table(arms={"posedive": {}, "osnet": osnet}, yardstick={"steps": 7}, shared="out/all")
    one, other = spec.arm("posedive"), spec.arm("osnet")
    assert one.generate == other.generate and one.generate is not None
    assert one.generate.output.uri.startswith("out/all/images/")
    assert (one.yardstick.backbone, other.yardstick.backbone) == ("resnet18-quarter", "osnet")
    assert one.yardstick.steps == other.yardstick.steps == 7
    assert (one.take.first, other.take.first) == (None, 2)


def test_an_arm_without_generated_images_may_have_a_yardstick_and_more_real_images(table):
    alone = {"generate": None, "yardstick.camera_wise": True}
    spec = table(arms={"posedive": {}, "alone": alone, "real": {"real_images": "posedive"}})
    assert spec.arm("alone").generate is None and spec.arm("alone").yardstick.camera_wise
    assert spec.arm("real").generate is None and spec.arm("real").real_images == "posedive"


def test_a_set_is_tested_as_it_can_be(table):
    assert table().shown_tests == ("diverse", "standard")
    assert table(tests=["actions"]).shown_tests == ("actions",)
    market = {"name": "market1501", "root": "/data"}
    assert table(dataset=market, arms={"baseline": None}).shown_tests == ("standard",)
    cut = {"name": "embedded", "split_file": "out/pose.json"}
    assert table(dataset=cut).own_tests == ("standard",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arms": {"posedive": {"generator.stepz": 3}}}, "arms.posedive: generator.stepz"),
        ({"generate": {"output": {"uri": "out"}}}, "output belongs to the table"),
        ({"arms": {"Base line": None}}, "arms"),
        ({"arms": {}}, "arms"),
        ({"arms": {"posedive": {"yardstick.stepz": 3}}}, "arms.posedive: yardstick.stepz"),
        (
            {"arms": {"a": {"generate": None, "size": [8, 8]}}},
            "a: size: this arm generates nothing",
        ),
        ({"arms": {"a": {"real_images": "b"}}}, "real_images: b is no arm that generates"),
        ({"yardstick": {"generated_per_identity": 5}}, "at most images_per_identity, 4, got 5"),
        (
            {"dataset": {"name": "embedded", "split_file": "s.json"}, "tests": ["actions"]},
            "this set has standard",
        ),
        (
            {
                "dataset": {"name": "market1501", "root": "/data"},
                "arms": {"posedive": {}, "real": {"real_images": "posedive"}},
            },
            "only the embedded set has more",
        ),
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
