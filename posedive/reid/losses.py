"""The two losses of a Re-ID baseline: who is it, and is anyone else closer?

features are (batch, dim) before the neck, logits (batch, identities), labels (batch,) int from 0.
Both are means over the batch.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

LABEL_SMOOTHING = 0.1


def id_loss(
    logits: Float[Tensor, "batch identities"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Cross-entropy against labels smoothed by 0.1 (Szegedy et al. 2016)."""
    return functional.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)


def triplet_loss(
    features: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"], margin: float | None
) -> Float[Tensor, ""]:
    """Batch hard (Hermans et al. 2017, Eq. 5): each anchor's farthest positive, nearest negative.

    margin: in Euclidean distance; None: the soft margin, log(1 + exp(positive - negative)).
    """
    distance = _distances(features.float())
    same = labels[:, None] == labels[None, :]
    positive = distance.masked_fill(~same, 0).amax(1)
    negative = distance.masked_fill(same, torch.inf).amin(1)
    if margin is None:
        return functional.softplus(positive - negative).mean()
    return functional.relu(positive - negative + margin).mean()


def _distances(features: Tensor) -> Tensor:
    squares = (features**2).sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * features @ features.T
    # The root's slope at 0, on the diagonal, is infinite.
    return squared.clamp(min=1e-12).sqrt()
