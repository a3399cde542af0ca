"""`posedive train`: a spec of kind train -> weights at its output, under Ray Train.

    make_blocks      Ray Data: images read, conditions drawn, VAE latents, kept as blocks
      -> identity    a Ray task: the network of the perceptual loss, where one is asked for
      -> train       Ray Train: workers read blocks by step, report checkpoints every few minutes
      -> publish     the averaged weights of the last checkpoint, at the output's `weights/`
Running again goes on from the last checkpoint.
"""

import logging
import time
from pathlib import Path
from typing import Any

from ray.train import (
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
)
from ray.train.torch import TorchTrainer

from posedive.errors import RunError, SpecError
from posedive.jobs.identity_net import make_identity_net
from posedive.jobs.make_blocks import make_blocks
from posedive.jobs.session import start_ray
from posedive.jobs.training_loops import LOOPS
from posedive.spec.train import Train
from posedive.storage import open_store

log = logging.getLogger(__name__)
WEIGHTS = "weights"


def run(spec: Train) -> dict[str, Any]:
    """Trains; returns {"output", "weights", "seconds", "loss", "validation_loss", "step"}."""
    begun = time.monotonic()
    spec = _anchored(spec)
    if spec.what == "pose_estimator" and spec.output.startswith("s3://"):
        raise SpecError("output: the pose estimator is trained in a folder; got an s3:// URI")
    open_store(spec.output).probe_conditional_put()
    start_ray()
    blocks_uri = f"{spec.output}/blocks"
    indices = [] if spec.what == "pose_estimator" else make_blocks(spec, blocks_uri)
    log.info("examples ready blocks=%d seconds=%.0f", len(indices), time.monotonic() - begun)
    if spec.what == "generator" and spec.perceptual_weight:
        make_identity_net(spec, blocks_uri, indices)
    trainer = TorchTrainer(
        LOOPS[spec.what],
        train_loop_config={
            "spec": spec.model_dump_json(exclude_unset=True),
            "uri": blocks_uri,
            "blocks": indices,
        },
        scaling_config=ScalingConfig(
            num_workers=spec.resources.num_workers,
            use_gpu=spec.resources.num_gpus > 0,
            resources_per_worker={"CPU": spec.resources.num_cpus}
            | ({"GPU": spec.resources.num_gpus} if spec.resources.num_gpus else {}),
        ),
        run_config=run_config(spec),
    )
    result = trainer.fit()
    if result.error is not None or result.checkpoint is None:
        raise RunError(f"training stopped short: {result.error}; run it again to go on")
    with result.checkpoint.as_directory() as folder:
        publish(Path(folder) / WEIGHTS, f"{spec.output}/{WEIGHTS}")
    metrics = result.metrics or {}
    return {
        "output": spec.output,
        "weights": f"{spec.output}/{WEIGHTS}",
        "seconds": round(time.monotonic() - begun, 1),
    } | {k: metrics[k] for k in ("step", "loss", "validation_loss") if k in metrics}


def _anchored(spec: Train) -> Train:
    """Ray Train's workers run in a folder of their own: a relative path is made absolute here."""

    def absolute(uri: str) -> str:
        return uri if "://" in uri or uri == "embedded" else str(Path(uri).absolute())

    places = {"output": spec.output} | ({"initial": spec.initial} if spec.initial else {})
    return spec.model_copy(update={name: absolute(uri) for name, uri in places.items()})


def run_config(spec: Train) -> RunConfig:
    """Checkpoints at the output's `run/`; s3:// by way of pyarrow, whose endpoint is ours."""
    kept = CheckpointConfig(num_to_keep=spec.checkpoint.keep)
    failures = FailureConfig(max_failures=8)
    if not spec.output.startswith("s3://"):
        path = spec.output.removeprefix("file://")
        return RunConfig(
            name="run",
            storage_path=str(Path(path).absolute()),
            checkpoint_config=kept,
            failure_config=failures,
        )
    import os

    from pyarrow.fs import S3FileSystem

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return RunConfig(
        name="run",
        storage_path=spec.output.removeprefix("s3://"),
        storage_filesystem=S3FileSystem(endpoint_override=endpoint) if endpoint else S3FileSystem(),
        checkpoint_config=kept,
        failure_config=failures,
    )


def publish(folder: Path, uri: str) -> None:
    """Copies a checkpoint's weights to their place; config.json last, as load_generator reads."""
    store = open_store(uri)
    for path in sorted(folder.iterdir(), key=lambda p: p.name == "config.json"):
        store.put(path.name, path.read_bytes())
