"""Groups of queries, and what is told of each."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posedive.jobs.reid_groups import by_group, groups_of_queries, markdown, tilt_of
from posedive.records import Body, Camera, Fit
from posedive.spec.reid_table import ReidTable

RESULTS = {
    "baseline": {},
    "posedive": {"baseline": "baseline", "oracle": "oracle"},
    "oracle": {"baseline": "baseline", "oracle": "oracle"},
}


def cell(*precision: float | None) -> dict:
    return {"average_precision": {"diverse": list(precision)}}


def test_a_groups_gain_is_a_mean_over_its_queries_and_the_seeds():
    cells = {
        "baseline": [cell(0.1, 0.5, None), cell(0.3, 0.5, None)],
        "posedive": [cell(0.3, 0.5, None), cell(0.3, 0.6, None)],
        "oracle": [cell(0.4, 0.5, None), cell(0.4, 0.5, None)],
    }
    found = by_group(RESULTS, cells, "diverse", {"side": ["front", "back", "back"]})["side"]
    assert found["front"] == {
        "queries": 1,
        "baseline": {"mAP": 20},
        "posedive": {"mAP": 30, "gain": 10, "share_of_oracle": 0.5},
        "oracle": {"mAP": 40, "gain": 20, "share_of_oracle": 1},
    }
    assert found["back"]["queries"] == 1  # the third has no match
    assert found["back"]["posedive"] == {"mAP": 55, "gain": 5, "share_of_oracle": None}
    table = markdown({"side": found})
    assert "| side | front | 1 | 20.0 | +10.0 (50%) | +20.0 (100%) |" in table


def test_a_group_without_a_match_has_no_figures():
    found = by_group({"baseline": {}}, {"baseline": [cell(None, 0.5)]}, "diverse", {"camera": "12"})
    assert found["camera"]["1"] == {"queries": 0, "baseline": {"mAP": 0.0}}


@pytest.mark.parametrize(
    ("turn_deg", "name"), [(0, "upright"), (45, "leaning"), (90, "lying"), (180, "lying")]
)
def test_a_body_is_upright_leaning_or_lying_by_its_pelvis(turn_deg, name):
    orient = np.array([np.radians(turn_deg), 0, 0])
    for upside_down in (False, True):  # an estimator's frame has y down
        turn = np.diag([1.0, -1.0, -1.0]) if upside_down else np.eye(3)
        world = np.diag([1.0, -1.0, -1.0])  # to a camera's y down
        camera = Camera(world @ turn, np.array([0.0, 0, 5]), 3.0)
        body = Body(
            np.zeros(10),
            np.zeros(69),
            (Rotation.from_matrix(turn) * Rotation.from_rotvec(orient)).as_rotvec(),
        )
        assert tilt_of(Fit(body, camera)) == name


def test_queries_of_the_embedded_world_have_groups():
    document = {"kind": "evaluate", "what": "reid", "dataset": {"name": "embedded", "seed": 7}}
    spec = ReidTable.model_validate(document | {"arms": {"baseline": None}, "output": "out"})
    found = groups_of_queries(spec, "diverse")
    assert len({len(of_each) for of_each in found.values()}) == 1
    assert {"0..15", "15..30", "30..45"} <= set(found["elevation"])
    assert set(found["side"]) == {"front", "left", "back", "right"}
    assert {"upright", "lying"} <= set(found["body"])
    assert set(groups_of_queries(spec, "standard")["body"]) == {"upright"}
