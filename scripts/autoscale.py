"""From no GPU node, up, and back to none: does a job make a cluster grow, and let it go?

    .venv/bin/python scripts/autoscale.py
A head without CPUs and Ray's own autoscaler (v2), whose nodes are raylets on this machine with a
logical GPU each (Ray's fake provider). A job of known drawing time runs on it as on any cluster.
Prints one JSON object: when the first, the most and the last GPU node were there, seconds from the
job's start; what `verify` finds. Exit 1 unless there were none before, as many as asked, none
after, and every pair once.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")
os.environ |= {"RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1"}
os.environ["RAY_SCHEDULER_EVENTS"] = "0"  # stdout is for the result
os.environ.pop("RAY_ADDRESS", None)

import psutil  # noqa: E402
import ray  # noqa: E402 - its settings come first
import yaml  # noqa: E402
from kill_matrix import ROOT, WRONG, job  # noqa: E402

from posedive.jobs.stages.stand_ins import trust_references  # noqa: E402
from posedive.shards.verify import verify  # noqa: E402
from posedive.spec.generate import Generate  # noqa: E402
from posedive.storage import open_store  # noqa: E402

HEAD_ID, HEAD_TYPE = 51 * "f" + "00000", "ray.head.default"  # as the provider knows them
UNUSED = (
    "cluster_synced_files",
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
MARKER = "POSEDIVE_AUTOSCALE"
IDLE_S, PATIENCE_S, TOOK_S = 6, 120, 600


def start_head(folder: Path, nodes: int) -> str:
    """Address of a cluster that may grow to `nodes` machines with a GPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = ray.util.get_node_ip_address()
    config = {
        "cluster_name": "autoscale",
        "max_workers": nodes,
        "idle_timeout_minutes": IDLE_S / 60,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": f"{host}:{port}",
            "head_node_id": HEAD_ID,
            "disable_node_updaters": True,
        },
        "available_node_types": {
            HEAD_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {
                "resources": {"CPU": 2, "GPU": 1},
                "node_config": {},
                "min_workers": 0,
                "max_workers": nodes,
            },
        },
        "head_node_type": HEAD_TYPE,
        # Nothing is to be done on a machine that is this one; Ray wants to be told so.
        **dict.fromkeys(UNUSED, []),
        "file_mounts": {},
        "auth": {},
    }
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(config))
    subprocess.run(
        [str(Path(sys.executable).parent / "ray"), "start", "--head", f"--port={port}"]
        + ["--num-cpus=0", "--include-dashboard=false", f"--autoscaling-config={path}"]
        + [f"--temp-dir={folder}/ray", "--disable-usage-stats"],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ
        | {
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_NODE_TYPE_NAME": HEAD_TYPE,
        },
    )
    return f"{host}:{port}"


def gpu_nodes() -> int:
    return sum(node["Alive"] and node["Resources"].get("GPU", 0) > 0 for node in ray.nodes())


def watch(driver: subprocess.Popen[bytes], begun: float) -> dict[str, Any]:
    """Counts GPU nodes until the job has ended and all are gone, or patience has."""
    first_s = most_s = ended_s = none_s = None
    most, before = 0, gpu_nodes()
    while none_s is None:
        time.sleep(0.2)
        now, seen = round(time.monotonic() - begun, 1), gpu_nodes()
        if seen and first_s is None:
            first_s = now
        if seen > most:
            most, most_s = seen, now
        if ended_s is None and driver.poll() is not None:
            ended_s = now
        if ended_s is not None and not seen:
            none_s = now
        if now > TOOK_S or (ended_s is not None and now > ended_s + PATIENCE_S):
            break
    return {
        "before": before,
        "first_s": first_s,
        "most": most,
        "most_s": most_s,
        "job_ended_s": ended_s,
        "none_s": none_s,
        "exit_code": driver.poll(),
    }


def end_all(marker: str) -> None:
    """Every process that was started from here, and theirs: some write over their environment."""
    ours: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == marker and process.pid != os.getpid():
                ours |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    for process in ours:
        with contextlib.suppress(psutil.Error):
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=2, help="GPU nodes, at most")
    parser.add_argument("--pairs", type=int, default=1024)
    parser.add_argument("--batch-s", type=float, default=0.5, help="seconds to draw a batch of 8")
    args = parser.parse_args()
    # Sockets below a long path would have too long a name.
    with tempfile.TemporaryDirectory(prefix="as", dir="/tmp") as name:
        folder = Path(name)
        os.environ[MARKER] = name
        asked = job(str(folder / "out"), args.pairs, args.nodes)
        trust_references(Generate.model_validate(asked))
        path = folder / "job.yaml"
        path.write_text(yaml.safe_dump(asked))
        address = start_head(folder, args.nodes)
        os.environ["RAY_ADDRESS"] = address
        ray.init(address, log_to_driver=False)
        begun = time.monotonic()
        command = [sys.executable, str(ROOT / "scripts/kill_matrix.py"), "drive"]
        with open(folder / "job.log", "wb") as log:
            driver = subprocess.Popen([*command, str(path), str(args.batch_s)], stderr=log)
        try:
            told = watch(driver, begun)
        finally:
            driver.kill()
            ray.shutdown()
            end_all(name)
        found = verify(open_store(str(folder / "out"))).to_json()
        if told["exit_code"] != 0:
            print((folder / "job.log").read_text()[-3000:], file=sys.stderr)
    print(json.dumps(told | {k: found[k] for k in ("pairs", *WRONG)}, indent=1))
    grew = told["before"] == 0 and told["most"] == args.nodes and told["none_s"] is not None
    return int(not grew or told["exit_code"] != 0 or any(found[k] for k in WRONG))


if __name__ == "__main__":
    sys.exit(main())
