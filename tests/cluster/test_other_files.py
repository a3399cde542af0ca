"""aws.yaml, the dashboard and the Dockerfile, each by its own tool or source."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_aws_is_right_by_rays_schema_and_starts_at_zero_spot_workers():
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    cluster = yaml.safe_load((ROOT / "cluster/aws.yaml").read_text())
    jsonschema.validate(cluster, schema)
    kinds = cluster["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0, "GPU": 0}
    for name in kinds.keys() - {"head"}:
        assert kinds[name]["min_workers"] == 0
        assert kinds[name]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_the_dashboard_asks_for_metrics_that_stages_have():
    dashboard = json.loads((ROOT / "cluster/grafana.json").read_text())
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    asked = set(re.findall(r"ray_(posedive_\w+)", " ".join(expressions)))
    code = (ROOT / "posedive/jobs/meters.py").read_text()
    counters = {f"{name}_total" for name in re.findall(r'Counter\(\s*"(\w+)"', code)}
    histograms = set(re.findall(r'Histogram\(\s*"(\w+)"', code))
    assert asked == counters | {
        f"{name}_{part}" for name in histograms for part in ("bucket", "sum")
    }
    for panel in dashboard["panels"]:
        assert panel["title"] and panel["description"] and panel["type"] == "timeseries"
    places = [tuple(panel["gridPos"][k] for k in "xy") for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_the_dockerfile_passes_hadolint_and_ends_without_root():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed (pip install -e '.[dev]')")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.stdout == "" and done.returncode == 0
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001"]
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases == ["ubuntu:24.04", "${BASE}"]


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml", "aws.yaml"])
def test_no_file_of_the_cluster_holds_a_key(name):
    text = (ROOT / "cluster" / name).read_text()
    assert not re.search(r"AKIA[0-9A-Z]{16}|SECRET_ACCESS_KEY\s*:", text)
