"""`posedive train`: a spec of kind train -> weights at its output, under Ray Train.

    make_blocks      Ray Data: images read, conditions drawn, VAE latents, kept as blocks
      -> identity    a Ray task: the network of the perceptual loss, where one is asked for
      -> train       Ray Train: workers read blocks by step, report checkpoints every few minutes
      -> publish     the averaged weights of the best checkpoint, at the output's `weights/`
Running again goes on from the newest checkpoint.
"""

import logging
import time
from pathlib import Path
from typing import Any

from ray.train import TrainingFailedError
from ray.train.torch import TorchTrainer

from posedive.errors import SpecError
from posedive.jobs.identity_net import make_identity_net
from posedive.jobs.loop import WEIGHTS
from posedive.jobs.make_blocks import make_blocks
from posedive.jobs.ray_run import (
    SCORE,
    QuietTrainer,
    best_of,
    explained,
    mend_snapshot,
    run_config,
    scaling_config,
)
from posedive.jobs.session import of_this_process, start_ray
from posedive.jobs.tracking import check_trackers
from posedive.jobs.training_loops import LOOPS
from posedive.spec.train import Train
from posedive.storage import open_store

log = logging.getLogger(__name__)


def run(spec: Train) -> dict[str, Any]:
    """Trains; returns {"output", "weights", "seconds", "published_step",
    "published_validation_loss"} and, of the newest checkpoint, {"step", "loss", "validation_loss",
    "skipped_steps"}."""
    begun = time.monotonic()
    spec = _anchored(spec)
    in_folder = spec.what in ("pose_estimator", "parser")
    if in_folder and spec.output.startswith("s3://"):
        name = spec.what.replace("_", " ")
        raise SpecError(f"output: the {name} is trained in a folder; got an s3:// URI")
    check_trackers(spec)
    open_store(spec.output).probe_conditional_put()
    start_ray()
    blocks_uri = f"{spec.output}/blocks"
    indices = [] if in_folder else make_blocks(spec, blocks_uri)
    log.info("examples ready blocks=%d seconds=%.0f", len(indices), time.monotonic() - begun)
    if spec.what == "generator" and spec.perceptual_weight:
        make_identity_net(spec, blocks_uri, indices)
    mend_snapshot(spec)
    trainer = (QuietTrainer if of_this_process() else TorchTrainer)(
        LOOPS[spec.what],
        train_loop_config={
            "spec": spec.model_dump_json(exclude_unset=True),
            "uri": blocks_uri,
            "blocks": indices,
        },
        scaling_config=scaling_config(spec),
        run_config=run_config(spec),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        raise explained(error, spec) from error
    best, of_best = best_of(result)
    with best.as_directory() as folder:
        publish(Path(folder) / WEIGHTS, f"{spec.output}/{WEIGHTS}")
    told = {"output": spec.output, "weights": f"{spec.output}/{WEIGHTS}"}
    told |= {"seconds": round(time.monotonic() - begun, 1)}
    metrics = result.metrics or {}
    told |= {k: metrics[k] for k in ("step", "loss", SCORE, "skipped_steps") if k in metrics}
    return told | {f"published_{k}": of_best[k] for k in ("step", SCORE) if k in of_best}


def _anchored(spec: Train) -> Train:
    """Ray Train's workers run in a folder of their own: a relative path is made absolute here."""

    def absolute(uri: str) -> str:
        return uri if "://" in uri or uri == "embedded" else str(Path(uri).absolute())

    places = {"output": spec.output} | ({"initial": spec.initial} if spec.initial else {})
    return spec.model_copy(update={name: absolute(uri) for name, uri in places.items()})


def publish(folder: Path, uri: str) -> None:
    """Copies a checkpoint's weights to their place; config.json last, as load_generator reads."""
    store = open_store(uri)
    for path in sorted(folder.iterdir(), key=lambda p: p.name == "config.json"):
        store.put(path.name, path.read_bytes())
