"""Does a picture show its person? Told by a Re-ID network that has seen real images alone.

real images that may be references   ->  reid.train, one Ray task
  -> people.pt at the output: the network, and the mean feature of each person, put if absent
Where a job sets `filter.min_identity`, Judge compares each picture with its person's mean.
"""

import io
import logging
from dataclasses import dataclass, replace

import numpy as np
import ray
import torch
from jaxtyping import Float, Int, UInt8

from posedive.errors import DatasetError
from posedive.jobs.references import read_references
from posedive.jobs.session import start_ray
from posedive.jobs.sources import open_spec_dataset, people_of, read_image
from posedive.reid.evaluate import features
from posedive.reid.model import ReidModel
from posedive.reid.train import Recipe, train
from posedive.spec.generate import Generate
from posedive.storage import Store, open_store

log = logging.getLogger(__name__)
NAME = "people.pt"
STEPS = 1000


@dataclass(frozen=True, eq=False)
class People:
    """means: (people, dim) of length 1, one of each of `pids`."""

    model: ReidModel
    pids: Int[np.ndarray, " people"]
    means: Float[np.ndarray, "people dim"]

    def cosines(
        self, pictures: UInt8[np.ndarray, "images height width 3"], pids: list[int]
    ) -> Float[np.ndarray, " images"]:
        """Of each picture's feature and the mean of its person."""
        found = features(self.model, pictures, np.zeros(len(pictures), int))
        return (found * self.means[np.searchsorted(self.pids, pids)]).sum(1)


def learn_people(spec: Generate, store: Store) -> None:
    """Trains the network where the job asks for it and it is not there yet."""
    if spec.filter.min_identity is None or store.exists(NAME):
        return
    start_ray()
    task = ray.remote(num_cpus=1, num_gpus=spec.resources.judge_gpus)(_learn)
    store.put_if_absent(NAME, ray.get(task.remote(spec.model_dump_json(exclude_unset=True))))
    log.info("learnt people steps=%d", STEPS)


def load_people(uri: str, device: str = "cpu") -> People:
    state = torch.load(io.BytesIO(open_store(uri).get(NAME)), weights_only=True)
    model = ReidModel(Recipe().backbone, len(state["pids"]), camera_wise=False)
    model.load_state_dict(state["model"])
    return People(model.to(device).eval(), state["pids"].numpy(), state["means"].numpy())


def _learn(spec_json: str) -> bytes:
    spec = Generate.model_validate_json(spec_json)
    dataset = open_spec_dataset(spec.dataset, spec.size)
    # What can't be read, or shows nobody clearly, is not among them.
    references = read_references(open_store(spec.output.uri))
    people = references.usable(people_of(spec.dataset, dataset), spec.filter.reference_threshold)
    known = np.unique([image.pid for image in people])
    if len(known) < 2:
        raise DatasetError(
            "filter.min_identity: expected at least 2 people with a usable image to tell apart, got"
            f" {len(known)}; set it to null"
        )
    images = np.stack([read_image(dataset, image, spec.size) for image in people])
    pids = np.array([image.pid for image in people])
    camids = np.array([image.camid for image in people])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    whole = Recipe(steps=STEPS, seed=spec.seed)
    recipe = replace(whole, identities_per_batch=min(whole.identities_per_batch, len(known)))
    model = train(images, pids, camids, recipe, device=device)
    found = features(model, images, camids)
    means = np.stack([found[pids == pid].mean(0) for pid in known])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    buffer = io.BytesIO()
    state = {"model": model.cpu().state_dict()}
    torch.save(state | {"pids": torch.from_numpy(known), "means": torch.from_numpy(means)}, buffer)
    return buffer.getvalue()
