"""Retrieval: a trained network, queries and a gallery -> the scores that papers print."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from posedive.reid.batch_norm import adapted
from posedive.reid.metrics import JUNK_PID, Scores, score
from posedive.reid.model import ReidModel
from posedive.reid.reranking import rerank

BATCH = 128


@dataclass(frozen=True, eq=False)
class Split:
    """RGB images of one size, and who was seen by which camera; pids as Market-1501's."""

    images: UInt8[np.ndarray, "images height width 3"]
    pids: Int[np.ndarray, " images"]
    camids: Int[np.ndarray, " images"]


@torch.inference_mode()
def features(
    model: ReidModel,
    images: UInt8[np.ndarray, "images height width 3"],
    camids: Int[np.ndarray, " images"],
) -> Float[np.ndarray, "images feature_dim"]:
    """float32, each of length 1: their dot product is the cosine.

    A camera-wise network normalises each image by all images of its camera among these.
    """
    device = next(model.parameters()).device
    found = np.empty((len(images), model.backbone.feature_dim), np.float32)

    def pixels(rows: np.ndarray) -> torch.Tensor:
        return model.normalise(torch.from_numpy(images[rows]).to(device))

    together = camids if model.camera_wise else np.zeros_like(camids)
    for group in np.unique(together):
        # Shuffled: neighbours show one person, and a batch stands for its camera.
        rows = np.random.default_rng(0).permutation(np.flatnonzero(together == group))
        batches = np.array_split(rows, -(-len(rows) // BATCH))
        backbone = model.backbone
        if model.camera_wise:
            backbone = adapted(backbone, map(pixels, batches))
        for batch in batches:
            found[batch] = model.embed(backbone(pixels(batch))).cpu().numpy()
    return found


def search(model: ReidModel, query: Split, gallery: Split, reranked: bool = False) -> Scores:
    """reranked: by k-reciprocal neighbours, not by cosine.

    Raises DatasetError when no query has a match.
    """
    # Junk must not be a neighbour either.
    kept = gallery.pids != JUNK_PID
    gallery_pids, gallery_camids = gallery.pids[kept], gallery.camids[kept]
    images = np.concatenate([query.images, gallery.images[kept]])
    found = features(model, images, np.concatenate([query.camids, gallery_camids]))
    of_query, of_gallery = np.split(found, [len(query.pids)])
    distances = rerank(of_query, of_gallery) if reranked else 1 - of_query @ of_gallery.T
    return score(distances, query.pids, query.camids, gallery_pids, gallery_camids)


def percent(scores: Scores) -> dict[str, float]:
    """{mAP, rank1, rank5, mINP}, as papers print them."""
    return {
        "mAP": 100 * scores.mAP,
        "rank1": 100 * scores.cmc(1),
        "rank5": 100 * scores.cmc(5),
        "mINP": 100 * scores.mINP,
    }
