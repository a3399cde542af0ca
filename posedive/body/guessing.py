"""Where a fit starts: whole poses of the prior's source laid over the keypoints, from all sides.

For each pose, azimuth and elevation the shift and size that suit the keypoints best are known in
closed form, far from the camera. The best guess of each sector of azimuth is a candidate, and the
best sectors are the starts: a person seen from behind is often as well explained from the front.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from posedive.body.keypoint_body import KeypointBody
from posedive.body.pose_prior import PosePrior

HEADINGS, SECTORS = 24, 8
ELEVATIONS_DEG = (0.0, 15.0, 35.0)
CHUNK = 16  # pictures at a time: each is laid under some 7,000 guesses
SMALLEST = 1e-3  # image heights per metre


class Unknowns(NamedTuple):
    """What is solved for, a row per start: azimuth (N,) and elevation (N,) in rad; place (N, 3),
    the pelvis' x and y in image heights and the log of its depth in metres; pose (N, 72), of which
    the first 3 tilt the pelvis; betas (N, 10)."""

    azimuth: Tensor
    elevation: Tensor
    place: Tensor
    pose: Tensor
    betas: Tensor


def first_guesses(
    body: KeypointBody,
    prior: PosePrior,
    found: Float[Tensor, "pictures 17 3"],
    focal: float,
    starts: int,
) -> Unknowns:
    """`starts` rows for each picture, each from another sector of azimuth."""
    num = len(prior.guesses)
    joints, points = body(prior.guesses.new_zeros(num, 10), prior.guesses)
    azimuth = torch.arange(HEADINGS) * (2 * math.pi / HEADINGS)
    elevation = torch.deg2rad(torch.tensor(ELEVATIONS_DEG))
    turns = look_rotations(
        azimuth[:, None].expand(-1, len(elevation)).reshape(-1), elevation.repeat(HEADINGS)
    )
    # Laid flat: heading, elevation and pose run, the last fastest.
    flat = torch.einsum("tij,gkj->tgki", turns[:, :2], points - joints[:, :1])
    flat = flat.reshape(-1, 17, 2)
    parts = [_best_of_sectors(flat, part, starts) for part in torch.split(found, CHUNK)]
    chosen, size, shift = (torch.cat(column) for column in zip(*parts, strict=True))
    heading, rest = chosen // (len(elevation) * num), chosen % (len(elevation) * num)
    depth = torch.log(focal / size)
    return Unknowns(
        azimuth=azimuth[heading],
        elevation=elevation[rest // num],
        place=torch.cat([shift, depth[:, None]], 1),
        pose=prior.guesses[rest % num].clone(),
        betas=torch.zeros(len(chosen), 10),
    )


def _best_of_sectors(
    flat: Float[Tensor, "guesses 17 2"], found: Float[Tensor, "pictures 17 3"], starts: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each picture's starts, one after the other: the guess' number, the size it has in the
    picture (image heights per metre), and where its pelvis is."""
    weight = found[..., 2] / found[..., 2].sum(1, keepdim=True).clamp_min(1e-6)
    middle = torch.einsum("bk,bki->bi", weight, found[..., :2])
    flat_middle = torch.einsum("bk,nki->bni", weight, flat)
    offset = found[..., :2] - middle[:, None]
    # Weighted least squares of size * flat + shift against the keypoints.
    spread = torch.einsum("bk,nk->bn", weight, flat.square().sum(-1))
    spread = spread - flat_middle.square().sum(-1)
    size = torch.einsum("bk,bki,nki->bn", weight, offset, flat) / spread.clamp_min(1e-6)
    size = size.clamp_min(SMALLEST)
    # But for the keypoints' own spread, which is the same for all guesses.
    error = size**2 * spread - 2 * size * torch.einsum("bk,bki,nki->bn", weight, offset, flat)
    per_sector = error.reshape(len(found), SECTORS, -1)
    lowest, within = per_sector.min(2)
    sectors = lowest.argsort(1)[:, :starts]
    chosen = sectors * per_sector.shape[2] + within.gather(1, sectors)
    size = size.gather(1, chosen)
    at = flat_middle.gather(1, chosen[..., None].expand(-1, -1, 2))
    shift = middle[:, None] - size[..., None] * at
    return chosen.reshape(-1), size.reshape(-1), shift.reshape(-1, 2)


def look_rotations(
    azimuth: Float[Tensor, " batch"], elevation: Float[Tensor, " batch"]
) -> Float[Tensor, "batch 3 3"]:
    """World to camera, as render.camera.look_rotation has it; radians, differentiable."""
    sin_a, cos_a, sin_e, cos_e = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
    rows = [
        cos_a, torch.zeros_like(sin_a), -sin_a,
        sin_e * sin_a, -cos_e, sin_e * cos_a,
        -cos_e * sin_a, -sin_e, -cos_e * cos_a,
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)
