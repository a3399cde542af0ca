"""kill -9, everywhere, again and again: is the output whole? `make chaos`

    .venv/bin/python scripts/kill_matrix.py                       the whole matrix
    .venv/bin/python scripts/kill_matrix.py --only storm --share 0.2
Real Ray processes: a head and three nodes on this machine, with a logical GPU each, and a real S3
server over HTTP. In each scenario a job runs while something of it is killed when so much of the
output is there as chance has it, until it was killed as often as asked, over as many outputs as
that takes; what is killed is brought back.
    denoise     actors that draw            commit    actors before, during and after a shard's PUT
    nodes       raylets with all on them,   notices   nodes that are told first, as spot ones are
                but for the driver's own
    drivers     the job; run again          two       two drivers on one output, one of them killed
    s3          the server; away for 8 s    storm     all of these together
Drawing takes a known time and costs no processor (stages/stand_ins); ledger, commit, storage and
flow are the job's own. Prints one JSON object. rework: pairs drawn more than once, as a share; a
killed actor takes up to two shards with it, so at most two are killed per 1,024 pairs. Exit 1
unless a reader finds every pair once and nothing else, and rework stays below a tenth.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
# On a busy machine Ray would take a worker that is slow to start for a dead one, and start more.
os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ["PYTHONPATH"] = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))

import psutil  # noqa: E402 - the path comes first
import yaml  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from s3_gate import MOMENTS, S3Gate  # noqa: E402
from s3_server import S3Server  # noqa: E402

from posedive.jobs.session import STARTS, TOO_SLOW  # noqa: E402
from posedive.jobs.stages.stand_ins import trust_references  # noqa: E402
from posedive.shards.verify import verify  # noqa: E402
from posedive.spec.generate import Generate  # noqa: E402
from posedive.storage import open_store  # noqa: E402

OUTAGE_S, NOTICE_S, STRIKE_PATIENCE_S = 8.0, 15.0, 60.0
MOST_STARTS = 30
IDENTITIES, SHARDS, BATCH = 32, 32, 8
KILLS: dict[str, dict[str, int]] = {
    "denoise": {"denoise": 20},
    "commit": dict.fromkeys(MOMENTS, 7),
    "nodes": {"node": 5},
    "notices": {"notice": 2},
    "drivers": {"driver": 5},
    "s3": {"s3": 5},
    "two": {"driver": 2},
    "storm": {"denoise": 4, "before": 1, "during": 1, "after": 1, "node": 2, "driver": 2, "s3": 2},
}
# Of one output; nodes are few, and one that goes takes a third of what is under way with it.
KILLS_PER_OUTPUT = {
    "denoise": 2,
    "commit": 7,
    "nodes": 1,
    "notices": 1,
    "drivers": 5,
    "s3": 5,
    "two": 2,
}
# The count dies with its driver.
REWORK_TOLD = ("denoise", "commit", "nodes", "notices", "s3")
DRIVERS = {"two": 2, "storm": 2}  # drivers of one output
MOST_REWORK = 0.1
WRONG = ("missing", "doubled", "corrupt", "foreign")


def started(start: Callable[[], Any]) -> Any:
    """Ray ends a node whose helpers are not up in 15 s, as on a busy machine: then once more."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except Exception as error:  # Ray raises no kind of its own here
            if TOO_SLOW not in str(error):
                raise
            print("a node was too slow to start; again", file=sys.stderr, flush=True)
    return start()


class World:
    """A cluster and a store, which outlive the jobs."""

    def __init__(self, server: S3Server, gate: S3Gate, nodes: int):
        self.server, self.gate = server, gate
        # The head does no work of a job, as in cluster/.
        head = {"num_cpus": 0, "include_dashboard": False}
        self.cluster: Cluster = started(lambda: Cluster(initialize_head=True, head_node_args=head))
        for _ in range(nodes):
            self.add_node()

    def add_node(self) -> None:
        started(lambda: self.cluster.add_node(num_cpus=2, num_gpus=1))

    def give_notice(self, node: Any) -> None:
        """As a cloud does of a machine that it will take back."""
        command = [
            str(Path(sys.executable).parent / "ray"),
            "drain-node",
            "--node-id",
            node.node_id,
        ]
        command += ["--address", str(self.cluster.address), "--reason-message", "spot"]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION"]
        command += ["--deadline-remaining-seconds", str(int(NOTICE_S))]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def workers(self, stage: str) -> list[psutil.Process]:
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


class Job:
    """The drivers of one output."""

    def __init__(self, world: World, uri: str, args: argparse.Namespace, drivers: int):
        self.world, self.uri = world, uri
        asked = job(uri, args.pairs, args.nodes)
        trust_references(Generate.model_validate(asked))
        self.path = Path(world.server.folder) / f"{uri.rpartition('/')[2]}.yaml"
        self.path.write_text(yaml.safe_dump(asked))
        self.batch_s = args.batch_s
        self.drawn_pairs = self.starts = 0
        self.drivers = [self._start() for _ in range(drivers)]

    def running(self) -> bool:
        """Whether work is left; drivers that were killed, or gave up, are started again."""
        for i, driver in enumerate(self.drivers):
            if driver.poll() is None:
                continue
            if driver.returncode == 0:
                self.drawn_pairs += json.loads(self._told(driver.pid).read_text())["drawn_pairs"]
                return False
            if self.starts > MOST_STARTS:
                raise RuntimeError(f"drivers keep failing; see {self.path.with_suffix('.log')}")
            self.drivers[i] = self._start()
        return True

    def kill(self, what: str, rng: random.Random) -> bool:
        """False where there is none to kill just now."""
        world = self.world
        if what in MOMENTS:
            return self._kill_at_a_put(what)
        if what == "driver":
            driver = rng.choice(self.drivers)
            driver.kill()
            return driver.wait() != 0
        if what == "s3":
            world.server.kill()
            time.sleep(OUTAGE_S)
            world.server.start()
            return True
        if what in ("node", "notice"):
            homes = {self._home(driver.pid) for driver in self.drivers}
            nodes = [n for n in world.cluster.worker_nodes if n.node_id not in homes]
            node = rng.choice(nodes)
            if what == "notice":
                world.give_notice(node)
                time.sleep(NOTICE_S)
            world.cluster.remove_node(node, allow_graceful=False)
            world.add_node()
            return True
        workers = world.workers("Waiting")
        if workers:
            rng.choice(workers).kill()
        return bool(workers)

    def end(self) -> None:
        for driver in self.drivers:
            driver.kill()
            driver.wait()

    def _kill_at_a_put(self, moment: str) -> bool:
        gate = self.world.gate
        before = gate.fired
        gate.arm(moment)
        give_up_at = time.monotonic() + STRIKE_PATIENCE_S
        while gate.fired == before and time.monotonic() < give_up_at:
            if all(driver.poll() is not None for driver in self.drivers):
                break
            time.sleep(0.05)
        gate.disarm()
        return gate.fired > before

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with open(self.path.with_suffix(".log"), "ab") as log:
            return subprocess.Popen(
                [sys.executable, __file__, "drive", str(self.path), str(self.batch_s)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"RAY_ADDRESS": str(self.world.cluster.address)},
            )

    def _told(self, pid: int) -> Path:
        return told_path(self.path, pid)

    def _home(self, pid: int) -> str:
        """The node that a driver is on, whose loss is the driver's: a scenario of its own."""
        home = home_path(self.path, pid)
        return home.read_text() if home.exists() else ""


def told_path(path: Path, pid: int) -> Path:
    return path.with_suffix(f".{pid}.json")


def home_path(path: Path, pid: int) -> Path:
    return path.with_suffix(f".{pid}.node")


def drive(path: Path, batch_s: float) -> int:
    """One driver: what `posedive generate` does, with drawing that waits. A process of its own."""
    import logging

    import ray

    from posedive.jobs.flow import Stages
    from posedive.jobs.generate import run
    from posedive.jobs.session import start_ray
    from posedive.jobs.stages.stand_ins import Blank, Passed
    from posedive.jobs.stages.waiting import waiting
    from posedive.spec import load_job

    logging.basicConfig(level=logging.INFO)
    spec = load_job(path, [])
    assert isinstance(spec, Generate)
    start_ray()
    home_path(path, os.getpid()).write_text(ray.get_runtime_context().get_node_id())
    told = run(spec, Stages(Blank, waiting(batch_s), Passed))
    told_path(path, os.getpid()).write_text(json.dumps(told))
    return int(any(told[k] for k in WRONG))


def job(uri: str, pairs: int, nodes: int) -> dict[str, Any]:
    return {
        "kind": "generate",
        "dataset": {"name": "embedded", "seed": 7, "identities": IDENTITIES},
        "generator": {"weights": "composite", "batch_size": BATCH},
        "images_per_identity": max(BATCH, pairs // IDENTITIES),
        "output": {"uri": uri, "min_shards": SHARDS},
        "resources": {
            "denoise_actors": [1, nodes],
            "num_gpus": 1,
            "denoise_cpus": 0.5,
            "render_cpus": 0.5,
        },
    }


def torture(name: str, args: argparse.Namespace, world: World, seed: int) -> dict[str, Any]:
    """One scenario, over as many outputs as it takes to kill so often."""
    rng = random.Random(seed)
    left = Counter({k: max(1, round(n * args.share)) for k, n in KILLS[name].items()})
    asked, outputs, begun = left.copy(), 0, time.monotonic()
    wrong: Counter[str] = Counter()
    drawn = pairs = 0
    while left.total() and outputs < args.outputs:
        uri = f"s3://people/{name}-{outputs}"
        outputs += 1
        running = Job(world, uri, args, DRIVERS.get(name, 1))
        try:
            _until_done(running, left, rng, KILLS_PER_OUTPUT.get(name, left.total()))
        finally:
            running.end()
        found = verify(open_store(uri)).to_json()
        wrong.update({k: found[k] for k in WRONG})
        pairs += found["pairs"]
        drawn += running.drawn_pairs
        print(f"{name} output={uri} left={dict(left)} found={found}", file=sys.stderr, flush=True)
    return {
        "kills": dict(asked - left),
        "outputs": outputs,
        "pairs": pairs,
        **{k: wrong[k] for k in WRONG},
        "rework": round(drawn / pairs - 1, 4) if name in REWORK_TOLD else None,
        "seconds": round(time.monotonic() - begun),
    }


def _until_done(running: Job, left: Counter[str], rng: random.Random, most: int) -> None:
    """Kills at most so often, when a random share of the shards is there."""
    kinds = rng.sample(sorted(left.elements()), min(most, left.total()))
    # Before the first shard there is nothing to lose: kills would only delay the start.
    dues = sorted(rng.uniform(1, 0.9 * SHARDS) for _ in kinds)
    store = open_store(running.uri)
    while running.running():
        time.sleep(0.2)
        if not kinds or len(store.list("shards/")) < dues[0]:
            continue
        if running.kill(kinds[0], rng):
            left[kinds[0]] -= 1
            print(f"killed {kinds[0]}, left={dict(left)}", file=sys.stderr, flush=True)
            kinds, dues = kinds[1:], dues[1:]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def main() -> int:
    if sys.argv[1:2] == ["drive"]:
        return drive(Path(sys.argv[2]), float(sys.argv[3]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=KILLS, action="append", help="may be repeated")
    parser.add_argument("--share", type=float, default=1.0, help="of each scenario's kills")
    parser.add_argument("--pairs", type=int, default=1024, help="of each output")
    parser.add_argument("--batch-s", type=float, default=0.4, help="seconds to draw a batch of 8")
    parser.add_argument("--outputs", type=int, default=20, help="of a scenario, at most")
    parser.add_argument("--nodes", type=int, default=3, help="beside the head")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        with S3Server(Path(folder)) as server, S3Gate(server.endpoint) as gate:
            server.create_bucket("people")
            with server.environment():
                os.environ["AWS_ENDPOINT_URL"] = gate.endpoint
                world = World(server, gate, args.nodes)
                try:
                    for name in args.only or KILLS:
                        told[name] = torture(name, args, world, args.seed)
                        print(json.dumps({name: told[name]}), file=sys.stderr, flush=True)
                finally:
                    world.cluster.shutdown()
    print(json.dumps(told, indent=1))
    wrong = any(scenario[k] for scenario in told.values() for k in WRONG)
    return int(wrong or any((each["rework"] or 0) > MOST_REWORK for each in told.values()))


if __name__ == "__main__":
    sys.exit(main())
