"""What cluster/ ships and `submit --manifest` prints: right by the published schemas, and safe."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from posedive.errors import SpecError
from posedive.spec import load_job
from posedive.spec.generate import Node
from posedive.submit.environment import ADDRESS_VARIABLES
from posedive.submit.manifest import as_yaml, cluster_spec, manifest
from tests.cluster.crd import validator

ROOT = Path(__file__).parents[2]
IMAGE, SECRET = "registry.example.com/posedive:0.1.0", "posedive-s3"
SCHEMAS = "POSEDIVE_KUBERAY_SCHEMAS"
KUBERNETES = "1.34"


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    for name in ADDRESS_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def kuberay():
    """The strict validators of RayJob and RayCluster, where their CRDs are at hand."""
    folder = os.environ.get(SCHEMAS)
    if not folder:
        pytest.skip(f"{SCHEMAS} names no folder with KubeRay's CRDs (ray.io_rayjobs.yaml.gz, ...)")
    kinds = {"RayJob": "ray.io_rayjobs", "RayCluster": "ray.io_rayclusters"}
    return {kind: validator(Path(folder) / f"{f}.yaml.gz", "v1") for kind, f in kinds.items()}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "cluster" / name).read_text()))


def shipped_job(**options: Any) -> dict[str, Any]:
    spec = load_job(ROOT / "jobs/generate_market1501.yaml")
    return manifest(spec, IMAGE, SECRET, **options)


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_shipped_rayjob_is_what_the_command_prints():
    assert documents("rayjob.yaml") == shipped_job(volume="market1501:/data")["items"]


def test_the_shipped_raycluster_has_the_same_groups():
    (cluster,) = documents("raycluster.yaml")
    groups = (Node(), 4), (Node(gpus=1), 8)
    assert cluster["spec"] == cluster_spec(*groups, IMAGE, SECRET)


def test_what_is_printed_reads_back_without_aliases():
    items = shipped_job()["items"]
    text = as_yaml(items)
    assert list(yaml.safe_load_all(text)) == items
    assert "&id" not in text and "  job.yaml: |\n    kind: generate\n" in text


@pytest.mark.parametrize("redis", [None, "redis:6379"])
def test_rayjobs_and_rayclusters_are_right_by_kuberays_schemas(kuberay, redis):
    job = shipped_job(redis=redis)["items"][1]
    kuberay["RayJob"].validate(job)
    (cluster,) = documents("raycluster.yaml")
    spec = cluster_spec((Node(), 4), (Node(gpus=1), 8), IMAGE, SECRET, redis)
    kuberay["RayCluster"].validate(cluster | {"spec": spec})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entrypoynt"), "x"),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "volums"), []),
        (("spec", "backoffLimit"), "many"),
    ],
)
def test_the_schemas_refuse_an_unknown_or_wrong_field(kuberay, path, value):
    job = shipped_job()["items"][1]
    node = job
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        kuberay["RayJob"].validate(job)


def test_configmap_and_networkpolicy_are_right_by_kubernetes():
    for document in (shipped_job()["items"][0], *documents("networkpolicy.yaml")):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_networkpolicy_selects_every_pod_of_a_manifest():
    (policy,) = documents("networkpolicy.yaml")
    wanted = policy["spec"]["podSelector"]["matchLabels"].items()
    cluster = shipped_job()["items"][1]["spec"]["rayClusterSpec"]
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        assert wanted <= group["template"]["metadata"]["labels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    opened = [rule["ports"] for rule in policy["spec"]["ingress"] if "ports" in rule]
    assert [port["port"] for ports in opened for port in ports] == [8265, 8080]


def test_every_container_is_unprivileged_and_read_only_but_for_tmp():
    cluster = shipped_job(volume="market1501:/data")["items"][1]["spec"]["rayClusterSpec"]
    for pod in pods(cluster):
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
        writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
        assert writable == ["/tmp"]


def test_gpus_start_at_zero_on_spot_and_the_head_works_for_nobody():
    cluster = shipped_job()["items"][1]["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert cluster["autoscalerOptions"]["version"] == "v2"
    cpu, gpu = cluster["workerGroupSpecs"]
    assert (gpu["minReplicas"], gpu["maxReplicas"]) == (0, 8)  # one GPU each, eight denoise actors
    assert gpu["labels"] == {"ray.io/market-type": "spot"} and cpu["labels"] == {}
    assert gpu["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in json.dumps(cpu)


def test_shares_of_a_gpu_need_fewer_nodes_and_no_gpu_needs_no_group():
    path = ROOT / "jobs/generate_market1501.yaml"
    shared = manifest(load_job(path, ["resources.num_gpus=0.25"]), IMAGE, SECRET)
    groups = shared["items"][1]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert groups[1]["maxReplicas"] == 2
    none = manifest(load_job(path, ["resources.num_gpus=0"]), IMAGE, SECRET)
    assert len(none["items"][1]["spec"]["rayClusterSpec"]["workerGroupSpecs"]) == 1


def test_the_store_address_travels_and_credentials_do_not(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-7f3a")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary-7f3a")
    text = as_yaml(shipped_job()["items"])
    assert "http://store:9000" in text and "canary" not in text
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:canary-7f3a@store:9000")
    with pytest.raises(SpecError, match="without user and password") as caught:
        shipped_job()
    assert "canary" not in str(caught.value)


def test_a_volume_that_is_no_claim_and_path_is_refused():
    with pytest.raises(SpecError, match="expected CLAIM:/path, got 'market1501'"):
        shipped_job(volume="market1501")
