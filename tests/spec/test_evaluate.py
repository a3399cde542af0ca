"""Evaluations: `what` picks the model; the truth must be there to compare with."""

import pytest
import yaml

from posedive.errors import SpecError
from posedive.spec import Evaluate, load_job

SMALLEST = {
    "kind": "evaluate",
    "what": "generator",
    "dataset": {"name": "embedded", "seed": 7},
    "output": "out/evaluate",
}


@pytest.fixture
def job(tmp_path):
    def load(*overrides: str, **changes) -> Evaluate:
        path = tmp_path / "evaluate.yaml"
        path.write_text(yaml.safe_dump(SMALLEST | changes))
        spec = load_job(path, overrides)
        assert isinstance(spec, Evaluate)
        return spec

    return load


def test_the_smallest_evaluation_has_100_people_four_cases_each_from_all_sides(job):
    spec = job()
    assert (spec.dataset.identities, spec.cases_per_identity) == (None, 4)
    assert spec.viewpoints.azimuth_deg == (0, 360) and spec.viewpoints.elevation_deg == (0, 45)


def test_where_it_runs_and_what_it_keeps_change_no_figure(job):
    digest = job().digest()
    for incidental in ("output=elsewhere", "judges.uri=out/judges", "generator.batch_size=2"):
        assert job(incidental).digest() == digest
    for asked in ("judges.identities=100", "generator.steps=9", "cases_per_identity=2", "seed=1"):
        assert job(asked).digest() != digest


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("dataset={name: market1501, root: /data}", "only the embedded set can render the truth"),
        ("judges.identities=8", "expected a whole number >= 16 and <= 300, got 8"),
        ("what=generatr", "what: expected one of generator, reid, got 'generatr'; did you mean"),
    ],
)
def test_a_wrong_evaluation_is_refused(job, override, says):
    with pytest.raises(SpecError, match=says):
        job(override)


def test_a_missing_what_is_asked_for(tmp_path):
    path = tmp_path / "evaluate.yaml"
    path.write_text("kind: evaluate\n")
    with pytest.raises(SpecError, match=r"what is missing; expected what: generator \| reid"):
        load_job(path)
