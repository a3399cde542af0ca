"""kill -9 at random moments, then the same command again: is the output whole?

    .venv/bin/python scripts/kill_matrix.py                  into a folder
    .venv/bin/python scripts/kill_matrix.py --s3             into a local S3 server, killed too
Runs jobs/demo.yaml, kills its driver at a random moment of the run, and runs it again, `--kills`
times; the last run may end. With --s3 the server is also killed, and restarted on its data, while
the last run is under way. Prints one JSON object; exit 1 unless `verify` finds nothing wrong.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from posedive.shards.verify import verify  # noqa: E402 - the path comes first
from posedive.storage import open_store  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--within", type=float, default=60, help="seconds; the latest moment")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--s3", action="store_true")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        if not args.s3:
            told = torture(args, rng, str(Path(folder) / "out"), None)
        else:
            from s3_server import S3Server

            with S3Server(Path(folder)) as server, server.environment():
                server.create_bucket("people")
                told = torture(args, rng, "s3://people/out", server)
    print(json.dumps(told, indent=1))
    return int(any(told[k] for k in ("missing", "doubled", "corrupt", "foreign")))


def torture(args: argparse.Namespace, rng: random.Random, uri: str, server) -> dict:
    kills = []
    for _ in range(args.kills):
        moment = rng.uniform(2, args.within)
        driver = start(uri)
        try:
            driver.wait(moment)
            kills.append(f"ended before {moment:.0f} s")
        except subprocess.TimeoutExpired:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            there = len(open_store(uri).list("shards/"))
            kills.append(f"killed at {moment:.0f} s with {there} shards committed")
        print(kills[-1], file=sys.stderr, flush=True)
    last = start(uri)
    if server is not None:
        outage(server, rng.uniform(5, 25), kills)
    code = last.wait()
    return verify(open_store(uri)).to_json() | {"kills": kills, "last_exit_code": code}


def outage(server, delay_s: float, kills: list[str]) -> None:
    def act() -> None:
        time.sleep(delay_s)
        server.kill()
        time.sleep(8)
        server.start()
        kills.append(f"S3 server killed at {delay_s:.0f} s of the last run, away for 8 s")
        print(kills[-1], file=sys.stderr, flush=True)

    threading.Thread(target=act).start()


def start(uri: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "posedive", "generate", "jobs/demo.yaml"]
    return subprocess.Popen(
        [*command, "--set", f"output.uri={uri}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )


if __name__ == "__main__":
    sys.exit(main())
