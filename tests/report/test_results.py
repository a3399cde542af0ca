"""The page of a Re-ID table."""

import json

import pytest

from posedive.cli import main
from posedive.errors import StorageError
from posedive.report.results import write_results
from posedive.storage import open_store


def interval(mean: float, half: float) -> dict:
    return {"mean": mean, "low": mean - half, "high": mean + half, "seeds": [mean] * 3}


def arm(mAP: float, **more) -> dict:  # noqa: N803 - the field's name
    return {"diverse": {"mAP": interval(mAP, 1), "rank1": interval(mAP + 5, 1)}} | more


@pytest.fixture
def table(tmp_path):
    compared = {"baseline": "baseline", "kept": 1234}
    arms = {
        "baseline": arm(24.2),
        "posedive": arm(
            30.5,
            gain={"diverse": interval(6.3, 4)},
            share_of_oracle={"diverse": 0.59},
            **compared,
        ),
        "<b>worse": arm(12, gain={"diverse": interval(-11.9, 5)}, **compared),
    }
    told = {"baseline": {"mAP": 20}, "<b>worse": {"mAP": 9, "gain": -11}}
    side = {"front": told | {"queries": 7, "posedive": {"mAP": 30, "gain": 10}}}
    store = open_store(str(tmp_path))
    document = {"arms": arms, "groups": {"diverse": {"side": side}}}
    store.put("results.json", json.dumps(document).encode())
    store.put("results.png", b"png")
    return store


def test_every_row_has_its_interval_and_every_group_its_gain(table, tmp_path):
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    for expected in ("30.5", "29.5 to 31.5", "+2.3 to +10.3", "59%", "1,234", ">+10.0<", ">20.0<"):
        assert expected in page
    assert page.count('class="num better"') == page.count('class="num worse"') == 1
    assert "&lt;b&gt;worse" in page and "<b>worse" not in page and "http:" not in page


def test_results_of_another_kind_are_refused(table, tmp_path):
    table.put("results.json", b'{"arms": {"baseline": {}}}')
    with pytest.raises(StorageError, match="results.json: expected what"):
        write_results(table, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
