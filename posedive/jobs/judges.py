"""The networks that judge pictures: trained once, on renders of other people.

images of people whom no evaluated split has, before the same cameras    (driver)
  -> pictures and exact silhouettes               (tasks, one CPU each)
  -> identity net | silhouette net                (a task each, side by side)
  -> identity_net-*.pt, silhouette_net-*.pt       put if absent; the name says what it learnt from
"""

import io
import logging
from dataclasses import dataclass

import numpy as np
import ray
import torch
from torch import nn

from posedive.datasets.embedded import EmbeddedWorld
from posedive.quality.silhouette import SilhouetteNet, train_silhouette
from posedive.records import PersonImage
from posedive.reid.model import ReidModel
from posedive.reid.train import Recipe, train
from posedive.spec.evaluate import Evaluate
from posedive.storage import open_store

log = logging.getLogger(__name__)
# A world of the same seed has the same cameras; the test people of one so large come after pid 500.
PEOPLE = 500
SPLITS = ("query", "gallery", "query_diverse", "gallery_diverse")
IMAGES_PER_TASK = 300
SEED = 500  # of weights and batches: no generator's training begins there
Size = tuple[int, int]
Examples = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Judges:
    """Where the two networks lie: names of objects in the store at `uri`."""

    uri: str
    identities: int
    identity_net: str
    silhouette_net: str

    def identity(self) -> ReidModel:
        model = ReidModel(Recipe().backbone, self.identities, camera_wise=False)
        return _loaded(model, self.uri, self.identity_net)

    def silhouette(self) -> SilhouetteNet:
        return _loaded(SilhouetteNet(), self.uri, self.silhouette_net)


def judges_of(spec: Evaluate) -> Judges:
    asked, (width, height) = spec.judges, spec.size
    learnt_from = f"{width}x{height}-world{spec.dataset.seed}-{asked.identities}"
    return Judges(
        uri=asked.uri or spec.output,
        identities=asked.identities,
        identity_net=f"identity_net-{learnt_from}-{asked.identity_steps}.pt",
        silhouette_net=f"silhouette_net-{learnt_from}-{asked.silhouette_steps}.pt",
    )


def make_judges(spec: Evaluate) -> Judges:
    """Trains what is not kept yet."""
    judges = judges_of(spec)
    store = open_store(judges.uri)
    trainings = {
        judges.identity_net: (_train_identity, spec.judges.identity_steps),
        judges.silhouette_net: (_train_silhouette, spec.judges.silhouette_steps),
    }
    missing = {name: of for name, of in trainings.items() if not store.exists(name)}
    if missing:
        examples = ray.put(_examples(spec.dataset.seed, judges.identities, spec.size))
        remote = ray.remote(num_cpus=1, num_gpus=spec.resources.num_gpus)
        running = [remote(learn).remote(examples, steps) for learn, steps in missing.values()]
        for name, state in zip(missing, ray.get(running), strict=True):
            store.put_if_absent(name, state)
            log.info("trained judge=%s", name)
    return judges


def _examples(seed: int, identities: int, size: Size) -> Examples:
    """Pictures, silhouettes, pids and camids."""
    world = EmbeddedWorld(seed, PEOPLE, size)
    images = images_of_others(world, identities)
    parts = [images[i : i + IMAGES_PER_TASK] for i in range(0, len(images), IMAGES_PER_TASK)]
    draw = ray.remote(num_cpus=1)(_draw)
    drawn = ray.get([draw.remote(world, part) for part in parts])
    pictures, masks = (np.concatenate(column) for column in zip(*drawn, strict=True))
    return pictures, masks, np.array([i.pid for i in images]), np.array([i.camid for i in images])


def images_of_others(world: EmbeddedWorld, identities: int) -> list[PersonImage]:
    """A world of PEOPLE -> images of its test people, in common and in uncommon poses and views."""
    images = [i for split in SPLITS for i in world.images(split) if i.pid <= PEOPLE + identities]
    return sorted(images, key=lambda i: i.pid)  # the world keeps the last few people it dressed


def _draw(world: EmbeddedWorld, images: list[PersonImage]) -> tuple[np.ndarray, np.ndarray]:
    drawn = [
        world.foreground(image.pid, image.camid, image.fit, world.size, seed)
        for seed, image in enumerate(images)
        if image.fit is not None
    ]
    pictures, masks = zip(*drawn, strict=True)
    return np.stack(pictures), np.stack(masks)


def _train_identity(examples: Examples, steps: int) -> bytes:
    images, _, pids, camids = examples
    return _state(train(images, pids, camids, Recipe(steps=steps, seed=SEED), device=_device()))


def _train_silhouette(examples: Examples, steps: int) -> bytes:
    images, masks, _, _ = examples
    return _state(train_silhouette(images, masks, steps, SEED, device=_device()))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _state(model: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save(model.cpu().state_dict(), buffer)
    return buffer.getvalue()


def _loaded(model, uri: str, name: str):
    state = torch.load(io.BytesIO(open_store(uri).get(name)), weights_only=True)
    model.load_state_dict(state)
    return model.to(_device()).eval()
