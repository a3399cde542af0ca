"""What each command does: its arguments -> one job or one reader -> a result to print.

Whatever is heavy is imported by the command that needs it: `posedive validate` starts in a fraction
of a second. Errors are PosediveError's, each with its exit code.
"""

import argparse
from pathlib import Path
from typing import Any


def _load(args: argparse.Namespace, kind: str | None = None) -> Any:
    from posedive.errors import SpecError
    from posedive.spec import load_job

    spec = load_job(args.job, args.set)
    if kind is not None and spec.kind != kind:
        raise SpecError(
            f"{args.job}: expected kind: {kind}, got kind: {spec.kind};"
            f" try posedive {spec.kind} {args.job}"
        )
    return spec


def validate(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args)
    return {"job": args.job, "kind": spec.kind, "digest": spec.digest(), "spec": spec.document()}


def plan(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "generate")
    from posedive.jobs.forecast import node_counts, plan_summary

    return plan_summary(spec, node_counts(args.nodes), args.times)


def render(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "render")
    from posedive.jobs.render import run

    return run(spec)


def fit(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "fit")
    from posedive.jobs.fit import run

    return run(spec)


def split(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "split")
    from posedive.jobs.split import run

    return run(spec)


def train(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "train")
    from posedive.jobs.train import run

    return run(spec)


def generate(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "generate")
    from posedive.jobs.generate import run

    return run(spec)


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    spec = _load(args, "evaluate")
    if spec.what == "generator":
        from posedive.jobs.evaluate import run
    else:
        from posedive.jobs.reid_table import run

    return run(spec)


def verify(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.shards.document import open_output
    from posedive.shards.verify import verify

    return verify(open_output(args.uri)).to_json()


def report(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.report.page import write_report
    from posedive.report.results import RESULTS, write_results
    from posedive.shards.document import NAME, open_output

    store = open_output(args.uri)
    out = Path(args.out) if args.out else _beside(store.uri)
    if store.exists(RESULTS) and not store.exists(NAME):
        return write_results(store, out)
    return write_report(args.uri, out)


def bench(args: argparse.Namespace) -> dict[str, Any]:
    if args.name == "generator":
        from posedive.diffusion.bench import measure
    elif args.name == "stream":
        from posedive.shards.bench import measure
    elif args.name == "pipeline":
        from posedive.jobs.bench import measure
    else:
        from posedive.render.bench import measure

    return measure()


def finalize(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.shards.document import open_output
    from posedive.shards.finalize import finalize

    return finalize(open_output(args.uri))


def takedown(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.shards.document import open_output
    from posedive.shards.finalize import take_down

    return take_down(open_output(args.uri), args.pid)


def export(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.errors import RequestError
    from posedive.shards.document import open_output
    from posedive.shards.export import export, undo
    from posedive.shards.index import read_index

    out, real = Path(args.out), Path(args.real) if args.real else None
    if args.undo:
        return undo(out)
    if not args.uri or not args.layout:
        raise RequestError("export: expected URI and --layout, or --undo; got neither")
    return export(read_index(open_output(args.uri)), args.layout, out, real, args.copy)


def lint(args: argparse.Namespace) -> dict[str, Any]:
    from posedive.shards.lint import lint

    return lint(Path(args.dir))


def _beside(uri: str) -> Path:
    """report.html in a local output; in the working folder for a bucket's."""
    if uri.startswith("s3://"):
        return Path("report.html")
    return Path(uri.removeprefix("file://")) / "report.html"
