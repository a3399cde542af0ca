"""The part of the command line that talks to clusters: submit, status, logs, stop.

Imported by every command, so it imports nothing heavy itself.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posedive import __version__


def add_submission_commands(command: Callable[..., Any], job_command: Callable[..., Any]) -> None:
    """command(run, text, example) and job_command(...) each make a parser, as in `cli`."""
    address = {
        "metavar": "URL",
        "default": os.environ.get("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265"),
        "help": "the cluster's dashboard; default: RAY_API_SERVER_ADDRESS, or port 8265 here",
    }
    sub = job_command(
        submit,
        "run a job on a Ray cluster; submitted again, it is joined while it runs, else resumed",
        "posedive submit jobs/generate_market1501.yaml --address http://127.0.0.1:8265 --follow",
    )
    sub.add_argument("--address", **address)
    sub.add_argument("--follow", action="store_true", help="show its log; exit as the job does")
    sub.add_argument(
        "--install",
        metavar="CONSTRAINTS",
        help="bring this package and its dependencies, pinned by that file, to a cluster whose"
        " image lacks them",
    )
    sub.add_argument("--manifest", action="store_true", help="print a KubeRay RayJob instead")
    sub.add_argument("--image", default=f"posedive:{__version__}", help="of the manifest's pods")
    sub.add_argument(
        "--secret",
        default="posedive-s3",
        help="the Kubernetes secret with AWS_ACCESS_KEY_ID and kin; it need not exist",
    )
    sub.add_argument(
        "--volume", metavar="CLAIM:/PATH", help="a volume claim that the manifest's pods read there"
    )
    sub.add_argument(
        "--redis",
        metavar="HOST:PORT",
        help="where the manifest's GCS keeps its state",
    )
    for run, text in (
        (status, "say how far a submitted job is"),
        (logs, "print a submitted job's log"),
        (stop, "end a submitted job; what is committed stays, and submitting again resumes"),
    ):
        sub = command(run, text, f"posedive {run.__name__} posedive-generate-1f0c62d8a9b3")
        sub.add_argument("job", metavar="ID", help="as `posedive submit` has printed it")
        sub.add_argument("--address", **address)


def submit(args: argparse.Namespace) -> dict[str, Any] | str:
    from posedive.spec import load_job

    spec = load_job(args.job, args.set)
    if args.manifest:
        from posedive.submit.manifest import as_yaml, manifest

        told = manifest(spec, args.image, args.secret, args.redis, args.volume)
        return told if args.json else as_yaml(told["items"])
    from posedive.submit.client import submit

    write = (lambda text: print(text, end="", file=sys.stderr, flush=True)) if args.follow else None
    return submit(spec, args.address, Path(args.install) if args.install else None, write)


def status(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.submit.client import status

    return status(args.job, args.address)


def logs(args: argparse.Namespace) -> dict[str, Any] | str:
    from posedive.submit.client import logs

    text = logs(args.job, args.address)
    return {"job": args.job, "log": text} if args.json else text


def stop(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.submit.client import stop

    return stop(args.job, args.address)
