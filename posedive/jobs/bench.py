"""What the pipeline costs beside its generator alone: `posedive bench pipeline`.

    busy_share          of the time between a denoise actor's first and last batch, it drew
    end_to_end_share    pictures a second of the whole job, over those of a bare loop that draws
                        the same batches with the same generator, one thread, without Ray
The job is the embedded one, into a folder that goes again. Start-up counts for neither. STAGE_s are
seconds per pair in one process, stage after stage: what `forecast` plans by.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posedive.jobs.flow import flow_through
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
from posedive.spec.generate import Generate
from posedive.storage import open_store

BARE_SHARDS = 6


def measure(identities: int = 24, images: int = 8, steps: int = 4) -> dict[str, Any]:
    """identities: as many shards, of `images` pairs each."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Generate.model_validate(
            {
                "kind": "generate",
                "dataset": {"name": "embedded", "seed": 7, "identities": identities},
                "generator": {"steps": steps, "batch_size": images},
                "images_per_identity": images,
                "output": {"uri": str(Path(folder) / "out"), "min_shards": identities},
            }
        )
        return _compare(asked)


def _compare(asked: Generate) -> dict[str, Any]:
    start_ray()
    people = people_of(asked.dataset, open_spec_dataset(asked.dataset, asked.size))
    references = score_references(asked, open_store(asked.output.uri))
    plan = planned(asked, people, references)
    conditions, weights = conditions_of(asked), digest_of(asked)
    bare = _bare(asked, plan.digest, weights, conditions)
    todo = list(range(BARE_SHARDS, plan.num_shards))
    flow = flow_through(asked, plan, weights, conditions, todo)
    return {
        "busy_share": flow["denoiser_busy"],
        "end_to_end_share": round(flow["images_per_s"] * bare["denoise_s"], 3),
        "images_per_s": flow["images_per_s"],
        "bare_images_per_s": round(1 / bare["denoise_s"], 2),
        "steps": asked.generator.steps,
    } | {name: round(seconds, 5) for name, seconds in bare.items()}


def _bare(
    asked: Generate, digest: str, weights: str, conditions: tuple[str, ...]
) -> dict[str, float]:
    """Seconds per pair of each stage; the first shard, which compiles and warms up, left out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec_json = asked.model_dump_json(exclude_unset=True)
    stages = {
        "render": Render(spec_json, conditions),
        "denoise": Denoise(spec_json),
        "judge": Judge(spec_json),
        "commit": Commit(spec_json, digest, weights),
    }
    spent: dict[str, list[float]] = {f"{name}_s": [] for name in stages}
    for shard in range(BARE_SHARDS):
        rows: Rows = {"shard": np.array([shard])}
        pairs = asked.images_per_identity
        for name, stage in stages.items():
            begun = time.perf_counter()
            rows = stage(rows)
            if shard > 0:
                spent[f"{name}_s"].append((time.perf_counter() - begun) / pairs)
    torch.set_num_threads(threads)
    return {name: float(np.mean(seconds)) for name, seconds in spent.items()}
