"""Keypoints found in a picture -> the body that explains them, by optimisation.

After SMPLify (Bogo et al. 2016): reprojection under a robust loss, a mixture prior on pose, a prior
on shape, from rough to fine in stages. Ours: first guesses (guessing.py) in several headings are
all optimised, and the best is kept; azimuth and elevation of the camera are unknowns of their own,
so that the body stands in a world with y up. Many pictures are fitted at once, each as it would be
alone, since the optimiser works number by number.

Keypoints are COCO's 17: x and y in image heights from the picture's middle, and a confidence.
Depth and stature can't be told apart in one picture: the priors on shape and the given focal
length decide.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from posedive.body.guessing import Unknowns, first_guesses, look_rotations
from posedive.body.keypoint_body import KeypointBody
from posedive.body.pose_prior import PosePrior
from posedive.records import Body, Camera, Fit

NOISE = 0.02  # of a keypoint that is found, image heights
OUTLIER = 0.1  # the error beyond which a keypoint counts less and less, image heights
ELEVATION_MEAN_DEG, ELEVATION_STD_DEG = 10.0, 15.0  # of surveillance cameras
LEARNING_RATE, LAST_LEARNING_RATE = 3e-2, 1.5e-3
NEAREST_M = 0.1


@dataclass(frozen=True)
class Stage:
    """How much the priors weigh against the keypoints; camera_only: the body stays as guessed."""

    steps: int
    pose: float
    betas: float
    camera_only: bool = False


# Weights and steps: of those tried on people of a world of its own (seed 11), where none of
# them moved the error by more than 5%.
STAGES = (
    Stage(steps=30, pose=0.0, betas=0.0, camera_only=True),
    Stage(steps=50, pose=0.5, betas=5.0),
    Stage(steps=50, pose=0.15, betas=1.0),
)


def centred(
    keypoints: Float[np.ndarray, "pictures 17 3"], size: tuple[int, int]
) -> Float[np.ndarray, "pictures 17 3"]:
    """x px, y px, confidence in a picture of (width, height) -> what fit_bodies takes."""
    width, height = size
    places = (keypoints[..., :2] - (width / 2, height / 2)) / height
    return np.concatenate([places, keypoints[..., 2:]], -1).astype(np.float32)


def fit_bodies(
    body: KeypointBody,
    prior: PosePrior,
    keypoints: Float[np.ndarray, "pictures 17 3"],
    focal: float,
    starts: int,
) -> list[Fit]:
    """The best fit of each picture, of as many as it is started from. focal in image heights."""
    if not len(keypoints):
        return []
    found = torch.from_numpy(keypoints.astype(np.float32))
    unknowns = first_guesses(body, prior, found, focal, starts)
    target = found.repeat_interleave(starts, 0)
    for stage in STAGES:
        _optimise(body, prior, unknowns, target, focal, stage)
    with torch.no_grad():
        energy = _energy(body, prior, unknowns, target, focal, STAGES[-1])
        best = energy.reshape(-1, starts).argmin(1) + starts * torch.arange(len(found))
        return _fits(body, Unknowns(*(each.detach()[best] for each in unknowns)), focal)


def _optimise(
    body: KeypointBody,
    prior: PosePrior,
    unknowns: Unknowns,
    target: Tensor,
    focal: float,
    stage: Stage,
) -> None:
    """Moves `unknowns` in place."""
    camera = [unknowns.azimuth, unknowns.elevation, unknowns.place]
    moving = camera if stage.camera_only else list(unknowns)
    for each in moving:
        each.requires_grad_()
    optimizer = torch.optim.Adam(moving, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, stage.steps, eta_min=LAST_LEARNING_RATE
    )
    for _ in range(stage.steps):
        optimizer.zero_grad()
        _energy(body, prior, unknowns, target, focal, stage).sum().backward()
        optimizer.step()
        schedule.step()


def _energy(
    body: KeypointBody,
    prior: PosePrior,
    unknowns: Unknowns,
    target: Float[Tensor, "starts 17 3"],
    focal: float,
    stage: Stage,
) -> Float[Tensor, " starts"]:
    """- log posterior of each start, but for constants."""
    joints, points = body(unknowns.betas, unknowns.pose)
    turned = (points - joints[:, :1]) @ look_rotations(unknowns.azimuth, unknowns.elevation).mT
    depth = unknowns.place[:, 2:].exp()
    z = (depth + turned[..., 2]).clamp_min(NEAREST_M)
    seen = (focal * turned[..., :2] + (unknowns.place[:, :2] * depth)[:, None]) / z[..., None]
    squared = (seen - target[..., :2]).square().sum(-1)
    robust = squared / (1 + squared / OUTLIER**2)  # Geman and McClure 1987
    error = (target[..., 2] * robust).sum(1) / (2 * NOISE**2)
    level = (unknowns.elevation - math.radians(ELEVATION_MEAN_DEG)) / math.radians(
        ELEVATION_STD_DEG
    )
    energy = error + level.square() / 2
    if stage.camera_only:
        return energy
    shape = unknowns.betas.square().sum(1) / 2
    return energy + stage.betas * shape + stage.pose * prior.energy(unknowns.pose)


def _fits(body: KeypointBody, unknowns: Unknowns, focal: float) -> list[Fit]:
    joints, _ = body(unknowns.betas, unknowns.pose)
    rotation = look_rotations(unknowns.azimuth, unknowns.elevation)
    depth = unknowns.place[:, 2:].exp()
    pelvis = torch.cat([unknowns.place[:, :2] * depth / focal, depth], 1)
    translation = pelvis - torch.einsum("bij,bj->bi", rotation, joints[:, 0])
    rows = zip(
        unknowns.betas.numpy(),
        unknowns.pose.numpy(),
        rotation.double().numpy(),
        translation.double().numpy(),
        strict=True,
    )
    return [
        Fit(Body(betas, pose[3:], pose[:3]), Camera(turn, shift, float(focal)))
        for betas, pose, turn, shift in rows
    ]
