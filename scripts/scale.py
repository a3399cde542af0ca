"""What a pair costs when drawing costs nothing, by the job's size. One JSON object.

    .venv/bin/python scripts/scale.py 10000 100000 1000000
Each size is a job of its own, in a process and a Ray of its own, into a local folder: plan, flow,
commit, verify and finalize are the real ones, stand-ins do the rest (stages/stand_ins). Told of
each, beside its pairs and shards:
    planning_s             processor seconds from the spec to the plan's document
    flow_cpu_ms_per_pair   of driver, Ray and workers together, from the first shard to the last
    end_cpu_ms_per_pair    of verify and finalize
    flow_pairs_per_s       on the clock
    seconds                on the clock, the whole run
    driver_mb              the driver's memory at its highest
Processor seconds, since other work on the machine hardly changes them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
os.environ["PYTHONPATH"] = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")

PER_IDENTITY = 250
SAMPLE_EVERY_S = 0.5


def main() -> int:
    if sys.argv[1:2] == ["drive"]:
        return drive(int(sys.argv[2]), Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=int, nargs="+")
    told = {}
    for pairs in parser.parse_args().pairs:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "drive", str(pairs), folder]
            subprocess.run(command, check=True, stdout=sys.stderr)
            told[str(pairs)] = json.loads((Path(folder) / "told.json").read_text())
            print(json.dumps({pairs: told[str(pairs)]}), file=sys.stderr, flush=True)
    print(json.dumps(told, indent=1))
    return 0


def drive(pairs: int, folder: Path) -> int:
    """One size: a process of its own, whose memory and children are this job's alone."""
    from posedive.jobs.flow import Stages
    from posedive.jobs.generate import run
    from posedive.jobs.session import start_ray
    from posedive.jobs.stages.stand_ins import Blank, Passed, trust_references
    from posedive.jobs.stages.waiting import waiting

    spec = asked(pairs, str(folder / "out"))
    planning = planning_seconds(spec)
    trust_references(spec)
    start_ray()
    samples: list[tuple[int, float]] = []
    processor = Processor()
    watched = (folder / "out/shards", samples, processor)
    threading.Thread(target=sample, args=watched, daemon=True).start()
    told = run(spec, Stages(Blank, waiting(0), Passed))
    ended = processor.seconds()
    per_shard = told["pairs"] / told["shards"]
    first = next(each for each in samples if each[0])
    last = next(each for each in samples if each[0] == samples[-1][0])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (folder / "told.json").write_text(
        json.dumps(
            {
                "pairs": told["pairs"],
                "shards": told["shards"],
                "planning_s": round(planning, 2),
                "flow_cpu_ms_per_pair": round(
                    1000 * (last[1] - first[1]) / (last[0] - first[0]) / per_shard, 3
                ),
                "end_cpu_ms_per_pair": round(1000 * (ended - last[1]) / told["pairs"], 3),
                "flow_pairs_per_s": told["images_per_s"],
                "seconds": told["seconds"],
                "driver_mb": round(memory),
                "missing": told["missing"],
                "doubled": told["doubled"],
                "corrupt": told["corrupt"],
            }
        )
    )
    return 0


def asked(pairs: int, uri: str) -> Any:
    from posedive.spec.generate import Generate

    small = {f"{stage}_cpus": 0.25 for stage in ("render", "denoise", "judge", "commit")}
    return Generate.model_validate(
        {
            "kind": "generate",
            "dataset": {
                "name": "embedded",
                "wide": True,
                "seed": 7,
                "identities": max(1, pairs // PER_IDENTITY),
            },
            "generator": {"weights": "composite", "batch_size": 64},
            "images_per_identity": PER_IDENTITY,
            "output": {"uri": uri, "min_shards": 1},
            "resources": small,
        }
    )


def planning_seconds(spec: Any) -> float:
    from posedive.jobs.planning import planned
    from posedive.jobs.sources import open_spec_dataset, people_of
    from posedive.shards.document import plan_document

    begun = time.process_time()
    images = people_of(spec.dataset, open_spec_dataset(spec.dataset, spec.size))
    plan_document(planned(spec, images, None), "composite", spec.asked())
    return time.process_time() - begun


def sample(shards: Path, samples: list[tuple[int, float]], processor: "Processor") -> None:
    """(shards that are there, processor seconds spent), again and again."""
    while True:
        samples.append((len(list(shards.glob("*.tar"))), processor.seconds()))
        time.sleep(SAMPLE_EVERY_S)


class Processor:
    """Time of this process and all below it; keeps what those that have ended were last seen at."""

    def __init__(self) -> None:
        self._spent: dict[tuple[int, float], float] = {}

    def seconds(self) -> float:
        import psutil

        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                times, begun = process.cpu_times(), process.create_time()
            except psutil.Error:
                continue
            self._spent[process.pid, begun] = times.user + times.system
        return sum(self._spent.values())


if __name__ == "__main__":
    sys.exit(main())
