"""`posedive evaluate` of `what: reid`: arms x seeds of a Re-ID model -> a table with intervals.

    generate        one generate job per kind of images, in turn: shards at images/DIGEST
      -> train      one Re-ID model per arm and seed: real images + kept ones    (Ray tasks)
      -> evaluate   on the set's test splits                                     (the same tasks)
      -> cells/DIGEST.json, put if absent
    table           results.json, results.md and results.png at the output       (driver)
                    in all, and by what the queries show
Running again goes on: what has a shard or a cell is not done twice, in this table or in another
that shares its images and cells.
"""

import json
import logging
import time
from typing import Any

import ray
from tqdm import tqdm

from posedive.jobs.generate import run as generate
from posedive.jobs.reid_cells import (
    MORE,
    Training,
    images_job,
    read_people,
    read_tests,
    run_cell,
    trainings,
)
from posedive.jobs.reid_groups import by_group, groups_of_queries
from posedive.jobs.reid_groups import markdown as groups_markdown
from posedive.jobs.reid_results import markdown, plot, summary
from posedive.jobs.session import start_ray
from posedive.spec.reid_table import ReidTable
from posedive.storage import Store, open_store

log = logging.getLogger(__name__)


def run(spec: ReidTable) -> dict[str, Any]:
    """Returns {"arms": {name: {test: {"mAP": {mean, low, high, seeds}, "rank1": ...}}}}; of the
    first test, mAP and rank1 stand beside the tests too. Also of an arm, see reid_results.summary:
    kept, gain, share_of_oracle."""
    begun = time.monotonic()
    arms = {name: spec.arm(name) for name in spec.arms}
    jobs = {name: images_job(arm) for name, arm in arms.items()}
    table = {name: trainings(spec, arms, jobs, name) for name in arms}
    store, shared = open_store(spec.output), open_store(spec.shared or spec.output)
    store.probe_conditional_put()
    shared.probe_conditional_put()
    todo = {t.cell: t for of_arm in table.values() for t in of_arm if not shared.exists(t.cell)}
    wanted = {t.images for t in todo.values() if t.images is not None}
    for job in {job.output.uri: job for job in jobs.values() if job is not None}.values():
        if job.output.uri in wanted:
            told = generate(job)
            log.info("images=%s kept=%d of=%d", job.output.uri, told["kept"], told["pairs"])
    if todo:
        start_ray()
        names = {t.cell: name for name, of_arm in table.items() for t in of_arm}
        _train(spec, todo, names, shared)
    cells = {
        name: [json.loads(shared.get(training.cell)) for training in of_arm]
        for name, of_arm in table.items()
    }
    results = summary(arms, cells, spec.shown_tests)
    for name, job in jobs.items():
        if job is not None:
            results[name]["images"] = job.output.uri
    groups = {
        test: by_group(results, cells, test, groups_of_queries(spec, test))
        for test in spec.shown_tests
    }
    told = [markdown(results, spec.shown_tests)]
    told += [f"mAP by what the query shows, {t}:\n\n{groups_markdown(groups[t])}" for t in groups]
    store.put("results.json", json.dumps({"arms": results, "groups": groups}, indent=2).encode())
    store.put("results.md", "\n".join(told).encode())
    store.put("results.png", plot(results, spec.shown_tests))
    return {"arms": results, "seconds": round(time.monotonic() - begun, 1)}


def _train(spec: ReidTable, todo: dict[str, Training], names: dict[str, str], store: Store) -> None:
    """names: of cells, for the log."""
    read, cell = ray.remote(num_cpus=1)(read_people), ray.remote(run_cell)
    read_test = ray.remote(num_cpus=1)(read_tests)
    cell = cell.options(num_cpus=spec.num_cpus, num_gpus=spec.num_gpus, max_retries=2)
    dataset = spec.dataset.model_dump(mode="json")
    # Read once for all cells, which see the arrays without a copy.
    sizes = {training.size for training in todo.values()}
    real = {size: read.remote(dataset, size, None) for size in sizes}
    tests = {size: read_test.remote(dataset, size, spec.own_tests) for size in sizes}
    more: dict[tuple[int, int], Any] = {
        size: read.remote(dataset, size, MORE)
        for size in {training.size for training in todo.values() if training.real}
    }
    pending = {
        cell.remote(
            training,
            real[training.size],
            tests[training.size],
            more.get(training.size) if training.real else None,
            int(spec.num_cpus),
        ): name
        for name, training in todo.items()
    }
    with tqdm(total=len(pending), unit="cell", disable=None) as bar:
        while pending:
            (done,), _ = ray.wait(list(pending))
            name = pending.pop(done)
            told = ray.get(done) | {"training": vars(todo[name])}
            store.put_if_absent(name, json.dumps(told, default=list).encode())
            scores = " ".join(f"{test}_mAP={of['mAP']:.1f}" for test, of in told["scores"].items())
            log.info("arm=%s seed=%d %s", names[name], todo[name].seed, scores)
            bar.update()
