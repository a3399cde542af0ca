"""What the pipeline costs beside its generator alone: `posedive bench pipeline`.

    busy_share          of the time between a denoise actor's first and last batch, it drew
    busy_share_N        the same of N actors whose batches take a known time and no processor
    end_to_end_share    pictures a second of the whole job, over those of a bare loop that draws
                        the same batches with the same generator, one thread, without Ray; the loop
                        runs before the job and after it, for a machine that others use as well
    crowded_share       of the same loop while all other cores compute, over it alone: what the
                        machine itself takes from any job that uses all of it
    plan_s, job_s       what `posedive plan` says of a second job by the first one's times; what it
                        took. plan_error is the one over the other, less 1
The job is the embedded one, into a folder that goes again. Start-up counts for neither share.
STAGE_s are seconds per pair in one process, stage after stage: what `forecast` plans by.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posedive.jobs.flow import STAGES, Stages, flow_through
from posedive.jobs.forecast import SUMMARY, plan_summary
from posedive.jobs.planning import planned
from posedive.jobs.scoring import score_references
from posedive.jobs.session import start_ray
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.commit import Commit
from posedive.jobs.stages.denoise import Denoise
from posedive.jobs.stages.judge import Judge
from posedive.jobs.stages.painters import conditions_of, digest_of
from posedive.jobs.stages.render import Render
from posedive.jobs.stages.rows import Rows
from posedive.jobs.stages.stand_ins import Blank, Passed, trust_references
from posedive.jobs.stages.waiting import waiting
from posedive.shards.plan import Plan
from posedive.spec.generate import Generate
from posedive.storage import open_store

BARE_SHARDS = 6
ACTORS = (1, 2, 4)
BATCH, BATCH_S = 8, 0.2
BATCHES_PER_SHARD, SHARDS_PER_ACTOR = 4, 24


def measure(identities: int = 24, images: int = 15, steps: int = 4) -> dict[str, Any]:
    """identities: as many shards, of `images` pairs each, as job files ask for."""
    with tempfile.TemporaryDirectory() as folder:

        def asked(name: str, identities: int) -> Generate:
            generator = {"steps": steps, "batch_size": images}
            return _job(str(Path(folder) / name), identities, images, generator)

        start_ray()
        shares = {f"busy_share_{n}": waiting_flow(f"{folder}/{n}", n) for n in ACTORS}
        told = _compare(asked("first", identities))
        return (
            told | shares | _foretell(asked("first", identities), asked("second", 2 * identities))
        )


def waiting_flow(uri: str, actors: int) -> float:
    """Busy share of so many actors that wait BATCH_S for each batch."""
    each = BATCHES_PER_SHARD * BATCH
    asked = _job(uri, actors * SHARDS_PER_ACTOR, each, {"weights": "composite"}, actors, 0.1)
    trust_references(asked)
    stages = STAGES._replace(render=Blank, denoise=waiting(BATCH_S), judge=Passed)
    return _flow(asked, stages)["denoiser_busy"]


def _job(
    uri: str,
    identities: int,
    images: int,
    generator: dict[str, Any],
    actors: int = 1,
    cpus: float | None = None,
) -> Generate:
    """cpus: of each actor; None leaves what each stage asks for."""
    resources: dict[str, Any] = {"denoise_actors": [actors, actors]}
    resources |= {"cpu_node": {"cpus": os.cpu_count()}}
    if cpus is not None:
        resources |= {f"{s}_cpus": cpus for s in ("render", "denoise", "judge", "commit")}
        resources |= {"render_actors": [1, 1], "judge_actors": [1, 1]}
    return Generate.model_validate(
        {
            "kind": "generate",
            "dataset": {"name": "embedded", "seed": 7, "identities": identities},
            "generator": {"batch_size": BATCH} | generator,
            "images_per_identity": images,
            "output": {"uri": uri, "min_shards": identities},
            "resources": resources,
        }
    )


def _planned(asked: Generate) -> Plan:
    people = people_of(asked.dataset, open_spec_dataset(asked.dataset, asked.size))
    return planned(asked, people, score_references(asked, open_store(asked.output.uri)))


def _flow(asked: Generate, stages: Stages = STAGES, first: int = 0) -> dict[str, Any]:
    """Shards from `first` on."""
    plan, weights, conditions = _planned(asked), digest_of(asked), conditions_of(asked)
    return flow_through(
        asked, plan, weights, conditions, list(range(first, plan.num_shards)), stages
    )


def _compare(asked: Generate) -> dict[str, Any]:
    digest = _planned(asked).digest
    before = _bare(asked, digest)
    flow = _flow(asked, first=BARE_SHARDS)
    after = _bare(asked, digest)
    with _other_cores_busy():
        crowded = _bare(asked, digest)
    open_store(asked.output.uri).put(SUMMARY, json.dumps({"measured": flow["measured"]}).encode())
    bare = {name: (before[name] + after[name]) / 2 for name in before}
    return {
        "busy_share": flow["denoiser_busy"],
        "end_to_end_share": round(flow["images_per_s"] * bare["denoise_s"], 3),
        "crowded_share": round(bare["denoise_s"] / crowded["denoise_s"], 3),
        "images_per_s": flow["images_per_s"],
        "bare_images_per_s": round(1 / bare["denoise_s"], 2),
        "bare_before_images_per_s": round(1 / before["denoise_s"], 2),
        "bare_after_images_per_s": round(1 / after["denoise_s"], 2),
        "steps": asked.generator.steps,
    } | {name: round(seconds, 5) for name, seconds in bare.items()}


def _foretell(before: Generate, asked: Generate) -> dict[str, float]:
    """`plan` of a job by the times of another one, and the job."""
    predicted = plan_summary(asked, times_uri=before.output.uri)["seconds"]
    _planned(asked)  # scores the references, which a plan's seconds leave out
    begun = time.monotonic()
    _flow(asked)
    lasted = time.monotonic() - begun
    return {
        "plan_s": predicted,
        "job_s": round(lasted, 1),
        "plan_error": round(predicted / lasted - 1, 3),
    }


@contextmanager
def _other_cores_busy() -> Iterator[None]:
    spin = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in range((os.cpu_count() or 1) - 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _bare(asked: Generate, digest: str) -> dict[str, float]:
    """Seconds per pair of each stage; the first shard, which compiles and warms up, left out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec_json = asked.model_dump_json(exclude_unset=True)
    stages = {
        "render": Render(spec_json, conditions_of(asked)),
        "denoise": Denoise(spec_json),
        "judge": Judge(spec_json),
        "commit": Commit(spec_json, digest, digest_of(asked)),
    }
    spent: dict[str, list[float]] = {f"{name}_s": [] for name in stages}
    for shard in range(BARE_SHARDS):
        rows: Rows = {"shard": np.array([shard])}
        for name, stage in stages.items():
            begun = time.perf_counter()
            rows = stage(rows)
            if shard > 0:
                spent[f"{name}_s"].append((time.perf_counter() - begun) / asked.images_per_identity)
    torch.set_num_threads(threads)
    return {name: float(np.mean(seconds)) for name, seconds in spent.items()}
