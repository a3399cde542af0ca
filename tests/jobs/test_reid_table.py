"""Intervals and tables of results; the whole experiment is in tests/e2e."""

import pytest

from posedive.jobs.reid_table import _tests, interval, markdown
from posedive.spec.reid_table import ReidTable


def test_an_interval_is_students_t_at_95_percent():
    told = interval([40.0, 42.0, 44.0])
    # s = 2, t(0.975, 2) = 4.3027: half of the interval is 4.3027 * 2 / sqrt(3)
    assert told["mean"] == 42 and told["seeds"] == [40, 42, 44]
    assert told["high"] - told["mean"] == pytest.approx(4.97, abs=0.01)
    assert told["mean"] - told["low"] == pytest.approx(4.97, abs=0.01)


def test_one_value_is_its_own_interval():
    assert interval([37.25]) == {"mean": 37.25, "low": 37.25, "high": 37.25, "seeds": [37.25]}


def test_a_table_has_a_row_an_arm_and_a_column_a_score():
    score = {"mAP": interval([50.0]), "rank1": interval([60.0])}
    lines = markdown({"baseline": {"diverse": score}, "oracle": {"diverse": score}}).splitlines()
    assert lines[0] == "| arm | diverse mAP | diverse rank-1 |"
    assert lines[2] == "| baseline | 50.0 [50.0, 50.0] | 60.0 [60.0, 60.0] |"
    assert len(lines) == 4


def test_a_split_file_brings_its_own_test():
    document = {"kind": "evaluate", "what": "reid", "arms": {"baseline": None}, "output": "out"}
    own = document | {"dataset": {"name": "embedded"}}
    cut = document | {"dataset": {"name": "embedded", "split_file": "out/pose.json"}}
    assert list(_tests(ReidTable.model_validate(own))) == ["diverse", "standard"]
    assert _tests(ReidTable.model_validate(cut)) == {"standard": ("query", "gallery")}
