"""The network that the perceptual loss looks through: it learns to tell the job's own people apart,
by themselves and not by the places where they are seen.

training blocks (targets, maps, pid)  ->  reid.train, one Ray task
  -> identity_net.pt at the output: its backbone, put if absent
"""

import io
import logging

import cv2
import numpy as np
import ray
import torch
from einops import rearrange
from jaxtyping import Bool, UInt8
from torch import Tensor

from posedive.diffusion.perceptual import PerceptualLoss
from posedive.jobs.blocks import read_block
from posedive.reid.backbone import BACKBONES, ResNet
from posedive.reid.model import MEAN, STD
from posedive.reid.train import Recipe, train
from posedive.spec.train import Train
from posedive.storage import open_store

log = logging.getLogger(__name__)
NAME = "identity_net.pt"
MAX_BLOCKS = 64  # some thousand images of a thousand people are enough to learn from
BACKBONE = "resnet18-quarter"
STEPS = 2000
REACH = 0.02  # of the height: clothes and hair stand off the body


def make_identity_net(spec: Train, blocks_uri: str, indices: list[int]) -> None:
    store = open_store(spec.output)
    if store.exists(NAME):
        return
    task = ray.remote(num_cpus=1, num_gpus=spec.resources.num_gpus)(_train)
    store.put_if_absent(NAME, ray.get(task.remote(blocks_uri, indices[:MAX_BLOCKS], spec.seed)))
    log.info("trained the identity network examples=%d blocks", len(indices[:MAX_BLOCKS]))


def load_perceptual_loss(output: str) -> PerceptualLoss:
    network = BACKBONES[BACKBONE]()
    assert isinstance(network, ResNet)
    state = torch.load(io.BytesIO(open_store(output).get(NAME)), weights_only=True)
    network.load_state_dict(state)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))

    def maps(pixels: Tensor) -> list[Tensor]:
        return network.maps((pixels * 0.5 + 0.5 - mean.to(pixels)) / std.to(pixels))

    return PerceptualLoss(network, maps)


def _train(blocks_uri: str, indices: list[int], seed: int) -> bytes:
    images, people = [], []
    rng = np.random.default_rng((seed, 5))
    for index in indices:
        block = read_block(blocks_uri, index)
        targets, maps = (rearrange(block[n], "r k ... -> (r k) ...") for n in ("target", "maps"))
        images.append(elsewhere(targets, maps.max(-1) > 0, rng))
        people.append(np.repeat(block["pid"], block["target"].shape[1]))
    pids = np.concatenate(people)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe(backbone=BACKBONE, steps=STEPS, seed=seed)
    model = train(np.concatenate(images), pids, np.zeros_like(pids), recipe, device=device)
    buffer = io.BytesIO()
    torch.save(model.backbone.cpu().state_dict(), buffer)
    return buffer.getvalue()


def elsewhere(
    images: UInt8[np.ndarray, "images height width 3"],
    bodies: Bool[np.ndarray, "images height width"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "images height width 3"]:
    """Each person before what another image of the set shows, so that nobody is told by a place."""
    reach = 2 * round(REACH * images.shape[1]) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    near = np.stack([cv2.dilate(body.astype(np.uint8), kernel) for body in bodies])
    return np.where(near[..., None] > 0, images, images[rng.permutation(len(images))])
