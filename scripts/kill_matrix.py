"""kill -9, everywhere, again and again: is the output whole? `make chaos`

    .venv/bin/python scripts/kill_matrix.py                       the whole matrix, hours
    .venv/bin/python scripts/kill_matrix.py --only storm --share 0.2
Real Ray processes: a head and three nodes on this machine, with a logical GPU each, and a real S3
server over HTTP. In each scenario `posedive generate` runs while something of it is killed at
random moments, until it was killed as often as asked; what is killed is brought back.
    denoise     actors that draw            commit    actors that put shards, busy or idle
    nodes       raylets with all on them    drivers   the job itself; run again, it resumes
    s3          the server; away for 8 s    two       two drivers on one output, one of them killed
    storm       all of these together
Prints one JSON object. Exit 1 unless a reader finds every pair once and nothing else.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
# On a busy machine Ray would take a worker that is slow to start for a dead one, and start more.
os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil  # noqa: E402 - the path comes first
import yaml  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from s3_server import S3Server  # noqa: E402

from posedive.shards.verify import verify  # noqa: E402
from posedive.storage import open_store  # noqa: E402

OUTAGE_S = 8.0
MOST_STARTS = 30
KILLS: dict[str, dict[str, int]] = {
    "denoise": {"denoise": 20},
    "commit": {"commit": 20},
    "nodes": {"node": 5},
    "drivers": {"driver": 5},
    "s3": {"s3": 5},
    "two": {"driver": 2},
    "storm": {"denoise": 6, "commit": 6, "node": 2, "driver": 2, "s3": 2},
}
STAGES = {"denoise": "Denoise", "commit": "Commit"}
WRONG = ("missing", "doubled", "corrupt", "foreign")


class World:
    """The cluster, the store, and the drivers of one scenario."""

    def __init__(self, server: S3Server, uri: str, pairs: int, drivers: int, nodes: int):
        self.server, self.uri = server, uri
        head = {"num_cpus": 2, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(nodes):
            self._add_node()
        self.job = Path(server.folder) / f"{uri.rpartition('/')[2]}.yaml"
        self.job.write_text(yaml.safe_dump(job(uri, pairs, nodes)))
        self.told: list[dict[str, Any]] = []
        self.starts = 0
        self.drivers = [self._start() for _ in range(drivers)]

    def running(self) -> bool:
        """Whether work is left; drivers that were killed, or gave up, are started again."""
        for i, driver in enumerate(self.drivers):
            if driver.poll() is None:
                continue
            out = driver.communicate()[0]
            if self.starts > MOST_STARTS:
                raise RuntimeError(f"drivers keep failing; see {self.job.with_suffix('.log')}")
            if driver.returncode == 0:
                self.told.append(json.loads(out))
                return False
            self.drivers[i] = self._start()
        return True

    def kill(self, what: str, rng: random.Random) -> bool:
        """False where there is none to kill just now."""
        if what == "driver":
            driver = rng.choice(self.drivers)
            driver.kill()
            return driver.wait() != 0
        if what == "s3":
            self.server.kill()
            time.sleep(OUTAGE_S)
            self.server.start()
            return True
        if what == "node":
            nodes = list(self.cluster.worker_nodes)
            self.cluster.remove_node(rng.choice(nodes), allow_graceful=False)
            self._add_node()
            return True
        workers = self._workers(STAGES[what])
        if workers:
            rng.choice(workers).kill()
        return bool(workers)

    def end(self) -> None:
        for driver in self.drivers:
            driver.kill()
            driver.wait()
        self.cluster.shutdown()

    def _add_node(self) -> None:
        self.cluster.add_node(num_cpus=2, num_gpus=1)

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        log = open(self.job.with_suffix(".log"), "ab")
        return subprocess.Popen(
            [sys.executable, "-m", "posedive", "generate", str(self.job), "--json"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"RAY_ADDRESS": str(self.cluster.address)},
        )

    def _workers(self, stage: str) -> list[psutil.Process]:
        """Processes of that stage's actors, below the raylets of this cluster and no other."""
        found = []
        for node in self.cluster.list_all_nodes():
            for raylet in node.all_processes.get("raylet", []):
                for child in _children(raylet.process.pid):
                    try:
                        title = " ".join(child.cmdline())
                    except psutil.Error:
                        continue
                    if title.startswith("ray::") and f"({stage})" in title:
                        found.append(child)
        return found


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def job(uri: str, pairs: int, nodes: int) -> dict[str, Any]:
    """Composites, which cost little, on logical GPUs: the way is tried, not the pictures."""
    return {
        "kind": "generate",
        "dataset": {"name": "embedded", "seed": 7, "identities": 32},
        "generator": {"weights": "composite", "batch_size": 8},
        "filter": {"generated_threshold": 0, "min_oks": 0, "max_confidence_difference": 1},
        "images_per_identity": max(8, pairs // 32),
        "output": {"uri": uri, "min_shards": 32},
        "resources": {
            "denoise_actors": [1, nodes],
            "num_gpus": 1,
            "denoise_cpus": 0.5,
            "render_cpus": 0.5,
        },
    }


def torture(name: str, args: argparse.Namespace, server: S3Server, seed: int) -> dict[str, Any]:
    """One scenario, over as many outputs as it takes to kill so often."""
    rng = random.Random(seed)
    left = Counter({k: max(1, round(n * args.share)) for k, n in KILLS[name].items()})
    asked, outputs, begun = left.copy(), 0, time.monotonic()
    wrong: Counter[str] = Counter()
    drawn = pairs = 0
    while left.total() and outputs < args.outputs:
        uri = f"s3://people/{name}-{outputs}"
        outputs += 1
        drivers = 2 if name in ("two", "storm") else 1
        world = World(server, uri, args.pairs, drivers, args.nodes)
        try:
            _until_done(world, left, rng, args.every)
        finally:
            world.end()
        found = verify(open_store(uri)).to_json()
        wrong.update({k: found[k] for k in WRONG})
        pairs += found["pairs"]
        # Runs whose driver was killed tell nothing: theirs is told for actor and node kills only.
        drawn += sum(told["drawn_pairs"] for told in world.told)
        print(f"{name} output={uri} left={dict(left)} found={found}", file=sys.stderr, flush=True)
    whole = name in ("denoise", "commit", "nodes", "s3")
    return {
        "kills": dict(asked - left),
        "outputs": outputs,
        "pairs": pairs,
        **{k: wrong[k] for k in WRONG},
        "rework": round(drawn / pairs - 1, 4) if whole and pairs else None,
        "seconds": round(time.monotonic() - begun),
    }


def _until_done(world: World, left: Counter[str], rng: random.Random, every_s: float) -> None:
    kill_at = time.monotonic() + rng.uniform(0.5, 2) * every_s
    while world.running():
        time.sleep(0.2)
        kinds = [kind for kind, count in left.items() if count > 0]
        # Before the first shard there is nothing to lose: kills would only delay the start.
        if not kinds or time.monotonic() < kill_at or not open_store(world.uri).list("shards/"):
            continue
        kind = rng.choice(kinds)
        if world.kill(kind, rng):
            left[kind] -= 1
            print(f"killed {kind}, left={dict(left)}", file=sys.stderr, flush=True)
            kill_at = time.monotonic() + rng.uniform(0.2, 1.8) * every_s


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=KILLS, action="append", help="may be repeated")
    parser.add_argument("--share", type=float, default=1.0, help="of each scenario's kills")
    parser.add_argument("--pairs", type=int, default=1024, help="of each output")
    parser.add_argument(
        "--every", type=float, default=5.0, help="seconds between kills, on the mean"
    )
    parser.add_argument("--outputs", type=int, default=20, help="of a scenario, at most")
    parser.add_argument("--nodes", type=int, default=3, help="beside the head")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        with S3Server(Path(folder)) as server, server.environment():
            server.create_bucket("people")
            for name in args.only or KILLS:
                told[name] = torture(name, args, server, args.seed)
    print(json.dumps(told, indent=1))
    return int(any(scenario[k] for scenario in told.values() for k in WRONG))


if __name__ == "__main__":
    sys.exit(main())
