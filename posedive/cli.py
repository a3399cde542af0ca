"""The command line: parses, calls one of `commands`, prints its result.

stdout carries the result alone (one JSON object with --json), stderr all else. Exit codes: 0 done,
1 the data or the run fell short, 2 the request was wrong, 130 interrupted.
"""

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from posedive import __version__, commands
from posedive.errors import PosediveError
from posedive.submit.command_line import add_submission_commands

# Any of these, not zero, in a result: the run fell short, exit code 1.
SHORTFALLS = ("missing", "doubled", "corrupt", "foreign", "failed", "traps")
LAYOUTS = ("market1501", "msmt17", "cuhk03", "mars")
BENCHES = ("render", "generator", "pipeline", "stream")

DESCRIPTION = """\
Re-draws the people of a Re-ID training set in poses and from viewpoints it never had.

A job is a YAML file (see jobs/); a typical way through:
  posedive validate jobs/demo.yaml     is the file right? takes a moment, does nothing
  posedive plan jobs/demo.yaml         how many pairs, shards, bytes
  posedive generate jobs/demo.yaml     do it; run again to go on after a stop
  posedive verify out/demo      is every planned pair there, once, and whole?
  posedive report out/demo      one HTML page to look at
"""

EPILOG = """\
exit codes: 0 done · 1 the data or the run fell short · 2 the request was wrong, nothing was done
            130 interrupted
`posedive COMMAND --help` has an example of each.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="posedive",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"posedive {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable[..., Any], text: str, example: str):
        sub = subparsers.add_parser(
            run.__name__,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        return sub

    def job_command(run: Callable[..., Any], text: str, example: str):
        sub = command(run, text, example)
        sub.add_argument("job", metavar="JOB.yaml", help="the job file")
        sub.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="a.b=c",
            help="override a field of the job file; the value is YAML; may be repeated",
        )
        return sub

    job_command(
        commands.validate,
        "check a job file; nothing is done",
        "posedive validate jobs/demo.yaml --set generator.steps=4",
    )
    sub = job_command(
        commands.plan,
        "say what a generate job would do: pairs, shards, bytes, hours, money",
        "posedive plan jobs/generate_market1501.yaml --nodes 1,8,64 --times s3://bucket/trial",
    )
    sub.add_argument(
        "--nodes", default="", metavar="1,8,64", help="also the time on so many machines"
    )
    sub.add_argument("--times", metavar="URI", help="output of a run whose measured times to go by")
    job_command(
        commands.render,
        "draw a contact sheet of conditions",
        "posedive render jobs/render.yaml --set viewpoints.elevation_deg=[30,45]",
    )
    job_command(
        commands.fit,
        "fit SMPL to the images of a set that has no fits; run again to go on",
        "posedive fit jobs/fit.yaml --set output=/data/market1501_fits"
        " --set 'dataset={name: market1501, root: /data/Market-1501}'",
    )
    job_command(
        commands.split,
        "cut a set with SMPL fits so that the test shows views or poses that training never saw",
        "posedive split jobs/split_viewpoint.yaml --set viewpoint.axis=elevation",
    )
    job_command(
        commands.train,
        "train the generator, its VAE or the pose estimator; run again to go on",
        "posedive train jobs/generator_stage2.yaml --set steps=1000",
    )
    job_command(
        commands.generate,
        "generate images into shards; run again to go on",
        "posedive generate jobs/demo.yaml --set output.uri=s3://bucket/demo",
    )
    job_command(
        commands.evaluate,
        "measure a generator's pictures, or what they do to a Re-ID model; run again to go on",
        "posedive evaluate jobs/evaluate_generator.yaml --set generator.steps=4",
    )
    sub = command(
        commands.verify,
        "prove shards against their plan: every pair once, every byte right",
        "posedive verify out/demo --json",
    )
    sub.add_argument("uri", metavar="URI", help="a folder, or s3://bucket/prefix")
    sub = command(
        commands.report,
        "write one self-contained HTML page about a set of shards, or a Re-ID table's results",
        "posedive report out/demo --out /tmp/report.html",
    )
    sub.add_argument("uri", metavar="URI", help="a folder, or s3://bucket/prefix")
    sub.add_argument("--out", metavar="HTML", help="path of the page; default: beside the shards")
    sub = command(
        commands.finalize,
        "build index, card, sizes and checksums of an output anew from its shards",
        "posedive finalize s3://bucket/market1501",
    )
    sub.add_argument("uri", metavar="URI", help="a folder, or s3://bucket/prefix")
    sub = command(
        commands.takedown,
        "remove one person from an output for good; run again after a stop",
        "posedive takedown s3://bucket/market1501 --pid 7",
    )
    sub.add_argument("uri", metavar="URI", help="a folder, or s3://bucket/prefix")
    sub.add_argument("--pid", type=int, required=True, metavar="N", help="the person's number")
    sub = command(
        commands.export,
        "put an output's pictures into a real set's folder as trainers read it, or take them out",
        "posedive export out/demo --layout market1501 --real /data/Market-1501 --out /data/more",
    )
    sub.add_argument("uri", metavar="URI", nargs="?", help="a folder, or s3://bucket/prefix")
    sub.add_argument("--layout", choices=LAYOUTS, help="whose folder it is")
    sub.add_argument("--out", metavar="DIR", required=True, help="where the merged set is, or goes")
    sub.add_argument("--real", metavar="DIR", help="the set to link into --out first; not changed")
    sub.add_argument("--copy", action="store_true", help="copy the real set instead of linking it")
    sub.add_argument("--undo", action="store_true", help="take an export out of --out again")
    sub = command(
        commands.lint,
        "find what trainers would silently misread in a set's folder",
        "posedive lint /data/more",
    )
    sub.add_argument("dir", metavar="DIR", help="the set's folder")
    add_submission_commands(command, job_command)
    sub = command(commands.bench, "measure this machine", "posedive bench render --json")
    sub.add_argument("name", choices=BENCHES, help="what to measure")
    return parser


@contextlib.contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Sends to stderr what libraries print on stdout, be it from Python or from C."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _leave_ray() -> None:
    """While stdout is kept clean: Ray prints what its nodes log until it is left."""
    if "ray" in sys.modules:
        # An interrupt that came through need not come again (jobs/session).
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.modules["ray"].shutdown()


def _for_people(result: dict[str, Any], indent: str = "") -> str:
    width = max((len(key) for key in result), default=0)
    lines = []
    for key, value in result.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}", _for_people(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], str):
            lines += [f"{indent}{key}", *(f"{indent}  {item}" for item in value)]
        elif isinstance(value, float):
            lines.append(f"{indent}{key:<{width}}  {value:.6g}")
        else:
            lines.append(f"{indent}{key:<{width}}  {value}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    try:
        with _stdout_kept_clean():
            try:
                result = args.run(args)
            finally:
                _leave_ray()
    except PosediveError as error:
        print("error: " + str(error).replace("\n", "\n       "), file=sys.stderr)
        if args.json:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; what is committed stays, and the same command goes on", file=sys.stderr)
        return 130
    try:
        if args.json:
            print(json.dumps(result), flush=True)
        else:
            print(result if isinstance(result, str) else _for_people(result), flush=True)
    except BrokenPipeError:  # `| head` has read enough; point stdout away from the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(result, str):
        return 0
    return result.get("exit_code") or int(any(result.get(key) for key in SHORTFALLS))
