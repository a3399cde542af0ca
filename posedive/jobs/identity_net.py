"""The network that the perceptual loss looks through: it learns to tell the job's own people apart.

training blocks (references and targets, pid)  ->  reid.train, one Ray task
  -> identity_net.pt at the output: its backbone, put if absent
"""

import io
import logging

import numpy as np
import ray
import torch
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
    images, pids = [], []
    for index in indices:
        block = read_block(blocks_uri, index)
        of_block = np.concatenate([block["reference"][:, None], block["target"]], 1)
        images.append(of_block.reshape(-1, *of_block.shape[2:]))
        pids.append(np.repeat(block["pid"], of_block.shape[1]))
    people = np.concatenate(pids)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe(backbone=BACKBONE, seed=seed)
    model = train(np.concatenate(images), people, np.zeros_like(people), recipe, device=device)
    buffer = io.BytesIO()
    torch.save(model.backbone.cpu().state_dict(), buffer)
    return buffer.getvalue()
