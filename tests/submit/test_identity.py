"""A job's name on a cluster, and what travels with it; no cluster needed."""

import re

import pytest

from posedive.errors import ClusterError, SpecError
from posedive.spec import load_job
from posedive.submit.client import connect
from posedive.submit.environment import dependencies, job_yaml, runtime_env
from posedive.submit.identity import attempt_name, attempt_of, job_name, output_of

JOB = """\
kind: generate
dataset: {name: embedded, seed: 7, identities: 4}
output: {uri: 's3://bucket/out'}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return lambda *overrides: load_job(path, overrides)


def test_a_name_covers_what_is_asked_and_where_not_how_fast(spec):
    name = job_name(spec())
    assert re.fullmatch(r"posedive-generate-[0-9a-f]{12}", name)
    assert job_name(spec("resources.denoise_actors=[2,4]", "generator.batch_size=3")) == name
    assert job_name(spec("seed=1")) != name != job_name(spec("output.uri=s3://bucket/other"))


def test_attempts_of_a_job_are_told_from_other_jobs():
    assert [attempt_name("a", n) for n in (1, 2, 11)] == ["a", "a-2", "a-11"]
    assert [attempt_of(i, "a") for i in ("a", "a-2", "a-11")] == [1, 2, 11]
    assert [attempt_of(i, "a") for i in ("ab", "a-0", "a-x", "b", "")] == [None] * 5


def test_an_output_that_only_this_machine_sees_is_refused(spec):
    with pytest.raises(SpecError, match="output.uri: expected s3://.*, got 'out/demo'"):
        output_of(spec("output.uri=out/demo"))
    assert output_of(spec("output.uri=/shared/demo")) == "/shared/demo"


def test_credentials_in_a_uri_are_refused_without_repeating_them(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(JOB.replace("s3://bucket", "s3://key:canary-7f3a@bucket"))
    with pytest.raises(SpecError, match="credentials in a URI") as caught:
        load_job(path)
    assert "canary" not in str(caught.value)


def test_the_job_file_that_travels_asks_for_the_same(spec, tmp_path):
    asked = spec("generator.steps=3")
    copy = tmp_path / "copy.yaml"
    copy.write_text(job_yaml(asked))
    assert load_job(copy) == asked


def test_an_environment_has_the_address_and_no_key(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-7f3a")
    folder = tmp_path / "env"
    folder.mkdir()
    told = runtime_env(spec(), folder)
    assert told["env_vars"]["AWS_REGION"] == "eu-central-1"
    assert "canary" not in str(told) and "pip" not in told
    assert [p.name for p in folder.iterdir()] == ["job.yaml"]


def test_a_cluster_without_posedive_gets_it_with_its_pins(spec, tmp_path):
    constraints = tmp_path / "pins.txt"
    constraints.write_text("einops==0.8.2\n")
    folder = tmp_path / "env"
    folder.mkdir()
    told = runtime_env(spec(), folder, constraints)
    assert told["pip"][0].endswith("/constraints.txt") and "einops" in told["pip"]
    assert (folder / "constraints.txt").read_text() == "einops==0.8.2\n"
    assert [path.rpartition("/")[2] for path in told["py_modules"]] == ["posedive"]
    with pytest.raises(SpecError, match="no such file"):
        runtime_env(spec(), folder, tmp_path / "none.txt")


def test_rays_own_version_is_the_clusters():
    assert any(line.startswith("torch") for line in dependencies())
    assert not any(line.startswith(("ray", "pytest")) for line in dependencies())


def test_an_address_without_a_cluster_is_named():
    with pytest.raises(ClusterError, match="expected the dashboard's"):
        connect("127.0.0.1:8265")
    with pytest.raises(ClusterError, match="http://127.0.0.1:9: no Ray dashboard answers"):
        connect("http://127.0.0.1:9")
