"""Numbers of a training by step, for people: at the output, and where the spec asks for.

    loss.jsonl       one JSON object per line: step, loss, learning_rate, steps_per_s,
                     skipped_steps, and validation_loss where a checkpoint was made
    tensorboard/     the same as TensorBoard's event files
    W&B, MLflow      the same; where they are, and who may write, their own variables tell
A training that goes on from a checkpoint overwrites what was told beyond it.
"""

import hashlib
import importlib
import importlib.util
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard.writer import SummaryWriter

from posedive.errors import SpecError
from posedive.spec.train import Train
from posedive.storage import FileStore, open_store

LOSSES = "loss.jsonl"
PROJECT = "posedive"
PACKAGES = {"wandb": "wandb", "mlflow": "mlflow-skinny"}


def check_trackers(spec: Train) -> None:
    """Raises SpecError when one that is asked for is not installed, or not told where to write."""
    for name in spec.trackers:
        if importlib.util.find_spec(name) is None:
            raise SpecError(
                f"trackers: {name} is not installed here; pip install {PACKAGES[name]}, or take it"
                " out of the spec"
            )
    if "mlflow" in spec.trackers and "MLFLOW_TRACKING_URI" not in os.environ:
        raise SpecError("trackers: mlflow needs MLFLOW_TRACKING_URI, a server's or sqlite:///FILE")


class Tracking:
    def __init__(self, spec: Train, step: int):
        """`step`: that of the checkpoint training goes on from; 0: from the start."""
        self.store = open_store(spec.output)
        self._lines = _lines_up_to(self.store, step)
        self._temporary: tempfile.TemporaryDirectory | None = None
        if isinstance(self.store, FileStore):
            folder = self.store.root / "tensorboard"
        else:  # event files are appended to, which an object store can't: sent whole each time
            self._temporary = tempfile.TemporaryDirectory()
            folder = Path(self._temporary.name)
        self._folder = folder
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)
        self._trackers = [TRACKERS[name](spec) for name in spec.trackers]

    def write(self, numbers: Mapping[str, float]) -> None:
        """`numbers` by name, of the step numbers["step"]."""
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        self._lines.append(json.dumps(finite))
        self.store.put(LOSSES, "".join(f"{line}\n" for line in self._lines).encode())
        step = int(finite.pop("step"))
        for name, value in finite.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
        if self._temporary is not None:
            for path in self._folder.iterdir():
                self.store.put(f"tensorboard/{path.name}", path.read_bytes())
        for tell in self._trackers:
            tell(finite, step)

    def close(self) -> None:
        self._writer.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def _lines_up_to(store, step: int) -> list[str]:
    if not step or not store.exists(LOSSES):
        return []
    lines = store.get(LOSSES).decode().splitlines()
    return [line for line in lines if json.loads(line)["step"] <= step]


def _wandb(spec: Train) -> Callable[[dict[str, float], int], Any]:
    wandb = importlib.import_module("wandb")
    run = wandb.init(
        project=PROJECT,
        id=_run_id(spec),
        name=spec.output.rstrip("/").rpartition("/")[2],
        config=spec.document(),
        resume="allow",
    )
    return lambda numbers, step: run.log(numbers, step=step)


def _mlflow(spec: Train) -> Callable[[dict[str, float], int], Any]:
    mlflow = importlib.import_module("mlflow")
    client = mlflow.MlflowClient()
    known = client.get_experiment_by_name(PROJECT)
    experiment = known.experiment_id if known else client.create_experiment(PROJECT)
    runs = client.search_runs([experiment], f"tags.output_id = '{_run_id(spec)}'", max_results=1)
    if runs:
        run_id = runs[0].info.run_id
    else:
        name = spec.output.rstrip("/").rpartition("/")[2]
        tags = {"output_id": _run_id(spec), "output": spec.output}
        run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id

    def tell(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            client.log_metric(run_id, name, value, step=step)

    return tell


def _run_id(spec: Train) -> str:
    """One run for one output, however often training goes on."""
    return hashlib.sha256(spec.output.encode()).hexdigest()[:16]


TRACKERS = {"wandb": _wandb, "mlflow": _mlflow}
