"""A spec -> what `kubectl apply` takes: a ConfigMap with the job file, and a KubeRay RayJob.

    head        no work of the job's (num-cpus 0), the driver, the dashboard, GCS
    gpu group   the denoisers, on spot machines where there are some, from zero to what is asked
    cpu group   the stages around them; where the spec asks for no GPU, all of them
Credentials are named, never held: pods take them from the Kubernetes secret `secret`. The
container's file system is read-only but for /tmp, where Ray keeps its session and spilled objects.
"""

import math
import os
from importlib.metadata import version
from typing import Any

import yaml

from posedive.errors import SpecError
from posedive.spec import Job
from posedive.spec.generate import Node
from posedive.submit.environment import address_variables, entrypoint, job_yaml
from posedive.submit.identity import job_name, output_of

LABELS = {"app.kubernetes.io/part-of": "posedive"}  # cluster/networkpolicy.yaml selects by it
JOB_FOLDER = "/etc/posedive"
USER = 10001
HEAD = {"cpus": 4, "memory_gb": 16}
STOP_WAIT_S = 30  # from SIGTERM to SIGKILL, of a job that is told to stop and of a node that leaves

Manifest = dict[str, Any]


def manifest(
    spec: Job, image: str, secret: str, redis: str | None = None, volume: str | None = None
) -> Manifest:
    """A Kubernetes List of the two objects; run again on a fresh cluster, the job resumes.

    redis: host:port of a Redis in which GCS keeps its state, so that the cluster outlives its head.
    volume: CLAIM:/path, a PersistentVolumeClaim that every pod reads there: a set, a body model.
    """
    output_of(spec)
    name = job_name(spec)
    cluster = cluster_spec(*groups(spec), image, secret, redis)
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    _mount(pods[0], "job", {"configMap": {"name": name}}, JOB_FOLDER)
    if volume:
        claim, colon, path = volume.partition(":")
        if not (claim and colon and path.startswith("/")):
            raise SpecError(f"--volume: expected CLAIM:/path, got {volume!r}")
        for pod in pods:
            source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            _mount(pod, "data", source, path)
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "labels": LABELS},
                "data": {"job.yaml": job_yaml(spec)},
            },
            {
                "apiVersion": "ray.io/v1",
                "kind": "RayJob",
                "metadata": {"name": name, "labels": LABELS},
                "spec": {
                    "jobId": name,
                    "entrypoint": entrypoint(spec, f"{JOB_FOLDER}/job.yaml"),
                    "submissionMode": "HTTPMode",
                    "backoffLimit": 3,
                    "shutdownAfterJobFinishes": True,
                    "ttlSecondsAfterFinished": 600,
                    "rayClusterSpec": cluster,
                },
            },
        ],
    }


def as_yaml(documents: list[Manifest]) -> str:
    """Documents for `kubectl apply -f -`: text in lines stays so, nothing is an alias."""
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=100)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _text)


def _mount(group: Manifest, name: str, source: Manifest, path: str) -> None:
    pod = group["template"]["spec"]
    pod["volumes"].append({"name": name} | source)
    mount = {"name": name, "mountPath": path, "readOnly": True}
    pod["containers"][0]["volumeMounts"].append(mount)


def groups(spec: Job) -> tuple[tuple[Node, int], tuple[Node, int] | None]:
    """(node, how many at most) of the CPU group and of the GPU group; None without GPUs."""
    asked = getattr(spec, "resources", None)
    cpu_node, gpu_node = getattr(asked, "cpu_node", Node()), getattr(asked, "gpu_node", None)
    actors = getattr(asked, "denoise_actors", (1, getattr(asked, "num_workers", 1)))[1]
    gpus = getattr(asked, "num_gpus", 0)
    if not gpus:
        cpus = actors * getattr(asked, "denoise_cpus", getattr(asked, "num_cpus", 1))
        return (cpu_node, 1 + math.ceil(cpus / cpu_node.cpus)), None
    node = gpu_node or Node(gpus=max(1, math.ceil(gpus)))
    per_node = max(1, int(node.gpus / gpus))  # actors; a share of a GPU packs several on one
    gpu_nodes = math.ceil(actors / per_node)
    # A GPU node's own CPUs carry most of the stages around it; as many CPU nodes cover the rest.
    return (cpu_node, gpu_nodes), (node, gpu_nodes)


def cluster_spec(
    cpu_group: tuple[Node, int],
    gpu_group: tuple[Node, int] | None,
    image: str,
    secret: str,
    redis: str | None = None,
) -> Manifest:
    """The `spec` of a RayCluster, which is also a RayJob's `rayClusterSpec`."""
    workers = [_group("cpu", *cpu_group, image, secret)]
    if gpu_group:
        workers.append(_group("gpu", *gpu_group, image, secret))
    told: Manifest = {
        "rayVersion": version("ray"),
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": 120,
            "env": [{"name": "HOME", "value": "/tmp/ray"}],  # the folder it shares with the head
            "resources": _resources(0.5, 1),
            "securityContext": _SECURE,
        },
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
            "template": _pod("ray-head", image, secret, _resources(**HEAD), head=True),
        },
        "workerGroupSpecs": workers,
    }
    if redis:
        told["gcsFaultToleranceOptions"] = {
            "redisAddress": redis,
            "redisPassword": {
                "valueFrom": {"secretKeyRef": {"name": secret, "key": "REDIS_PASSWORD"}}
            },
        }
    return told


_SECURE: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
# Spot machines by the labels that EKS (Karpenter), GKE and AKS give them. Preferred, not required:
# where none is to be had, the job goes on at the full price.
_SPOT = (
    ("karpenter.sh/capacity-type", "spot"),
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)


def _group(name: str, node: Node, most: int, image: str, secret: str) -> Manifest:
    template = _pod(
        "ray-worker", image, secret, _resources(node.cpus, node.memory_gb, node.gpus), head=False
    )
    if node.gpus:
        template["spec"] |= {
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                *(
                    {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
                    for key, value in _SPOT[1:]
                ),
            ],
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 100,
                            "preference": {
                                "matchExpressions": [
                                    {"key": key, "operator": "In", "values": [value]}
                                ]
                            },
                        }
                        for key, value in _SPOT
                    ]
                }
            },
        }
    return {
        "groupName": name,
        "replicas": 0,
        "minReplicas": 0,
        "maxReplicas": most,
        "labels": {"ray.io/market-type": "spot"} if node.gpus else {},
        "rayStartParams": {},
        "template": template,
    }


def _pod(container: str, image: str, secret: str, resources: Manifest, head: bool) -> Manifest:
    variables = {
        "HOME": "/tmp",  # caches of numba and of the model hub
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
    } | address_variables(os.environ)
    return {
        "metadata": {"labels": LABELS},
        "spec": {
            "restartPolicy": "Never",  # autoscaler v2 replaces pods, it doesn't mend them
            "terminationGracePeriodSeconds": 2 * STOP_WAIT_S,
            "automountServiceAccountToken": head,  # the autoscaler's, beside the head
            "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
            "containers": [
                {
                    "name": container,
                    "image": image,
                    "env": [{"name": k, "value": v} for k, v in sorted(variables.items())],
                    "envFrom": [{"secretRef": {"name": secret, "optional": True}}],
                    "resources": resources,
                    "securityContext": _SECURE,
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def _resources(cpus: float, memory_gb: float, gpus: float = 0) -> Manifest:
    # Requests equal to limits: Ray counts on all of what it was told, and is not evicted first.
    each = {"cpu": f"{cpus:g}", "memory": f"{memory_gb:g}Gi"}
    if gpus:
        each["nvidia.com/gpu"] = f"{gpus:g}"
    return {"requests": dict(each), "limits": each}
