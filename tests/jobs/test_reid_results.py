"""Intervals, gains and tables of results; the whole experiment is in tests/e2e."""

import pytest

from posedive.jobs.reid_results import interval, markdown, plot, summary
from posedive.spec.reid_table import ReidTable

TABLE = {
    "kind": "evaluate",
    "what": "reid",
    "dataset": {"name": "embedded"},
    "arms": {
        "baseline": None,
        "baseline_osnet": {"generate": None, "yardstick.backbone": "osnet"},
        "posedive": {},
        "posedive_osnet": {"yardstick.backbone": "osnet"},
        "posedive_five": {"take.first": 5},
        "mixed": {"yardstick.generated_per_identity": 2},
        "other_batch": {"yardstick.images_per_identity": 8},
        "real": {"real_images": "posedive"},
        "oracle": {"generator.weights": "oracle"},
    },
    "output": "out",
}


def told(**mAPs: list[float]):
    """The table's summary of cells with these mAPs, on one test."""
    spec = ReidTable.model_validate(TABLE)
    arms = {name: spec.arm(name) for name in mAPs}
    cells = {
        name: [{"scores": {"diverse": {"mAP": v, "rank1": 2 * v}}, "added": 7} for v in values]
        for name, values in mAPs.items()
    }
    return summary(arms, cells, ["diverse"])


def test_an_interval_is_students_t_at_95_percent():
    told = interval([40.0, 42.0, 44.0])
    # s = 2, t(0.975, 2) = 4.3027: half of the interval is 4.3027 * 2 / sqrt(3)
    assert told["mean"] == 42 and told["seeds"] == [40, 42, 44]
    assert told["high"] - told["mean"] == pytest.approx(4.97, abs=0.01)
    assert told["mean"] - told["low"] == pytest.approx(4.97, abs=0.01)


def test_one_value_is_its_own_interval():
    assert interval([37.25]) == {"mean": 37.25, "low": 37.25, "high": 37.25, "seeds": [37.25]}


def test_a_gain_is_paired_by_seed():
    arms = told(baseline=[20, 30, 40], posedive=[22, 32, 42], oracle=[25, 34, 46])
    assert arms["posedive"]["gain"]["diverse"] == interval([2, 2, 2])
    assert arms["posedive"]["share_of_oracle"]["diverse"] == 0.4
    assert arms["oracle"]["share_of_oracle"]["diverse"] == 1
    assert "gain" not in arms["baseline"] and "kept" not in arms["baseline"]
    assert arms["posedive"]["kept"] == 7 and arms["posedive"]["mAP"]["mean"] == 32


def test_an_arm_is_compared_with_its_own_yardstick_and_its_own_conditions():
    arms = told(
        baseline=[20],
        baseline_osnet=[10],
        posedive_osnet=[11],
        posedive_five=[24],
        mixed=[23],
        other_batch=[22],
        real=[21],
        oracle=[30],
    )
    assert arms["posedive_osnet"]["baseline"] == "baseline_osnet"
    assert arms["mixed"]["baseline"] == arms["real"]["baseline"] == "baseline"
    assert "gain" not in arms["other_batch"]
    assert [name for name, arm in arms.items() if "share_of_oracle" in arm] == ["oracle"]


@pytest.mark.parametrize(("oracle", "share"), [(20, None), (21.5, None), (22, 0.5)])
def test_an_oracle_that_gains_next_to_nothing_has_no_share(oracle, share):
    arms = told(baseline=[20], posedive=[21], oracle=[oracle])
    assert arms["posedive"]["share_of_oracle"]["diverse"] == share


def test_a_table_has_a_row_an_arm_and_a_column_a_score():
    lines = markdown(told(baseline=[50], posedive=[51.5], oracle=[53]), ["diverse"]).splitlines()
    assert lines[0] == (
        "| arm | kept | diverse mAP | diverse rank-1 | diverse gain | diverse of the oracle's |"
    )
    assert lines[2] == "| baseline |  | 50.0 [50.0, 50.0] | 100.0 [100.0, 100.0] |  |  |"
    assert lines[3].startswith("| posedive | 7 | 51.5 ")
    assert lines[3].endswith("| +1.5 [+1.5, +1.5] | 50% |")
    assert len(lines) == 5


def test_a_plot_is_a_png():
    assert plot(told(baseline=[50, 51], posedive=[52, 54]), ["diverse"])[:4] == b"\x89PNG"
