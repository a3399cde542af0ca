"""k-reciprocal re-ranking: distances that know each image's neighbourhood (Zhong et al. 2017).

In: features of length 1, (queries, dim) and (gallery, dim). Out: distances (queries, gallery), a
blend of Jaccard's between neighbourhoods and of the original. k1 neighbours are asked for, k2
averaged; `original_weight` is the paper's lambda. Memory: 4 bytes per pair of images.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

Sparse = Any  # a csr_array: scipy's own annotations do not tell its attributes


def rerank(
    query: Float[np.ndarray, "queries dim"],
    gallery: Float[np.ndarray, "gallery dim"],
    k1: int = 20,
    k2: int = 6,
    original_weight: float = 0.3,
) -> Float[np.ndarray, "queries gallery"]:
    features = np.concatenate([query, gallery])
    distances = 2 - 2 * features @ features.T
    distances /= distances.max(1, keepdims=True)
    nearest = np.stack([np.argsort(row, kind="stable")[: k1 + 1] for row in distances])
    near = _expanded(_reciprocal(nearest), _reciprocal(nearest[:, : round(k1 / 2) + 1]))
    rows, columns = near.nonzero()
    gaussian = np.exp(-distances[rows, columns])  # Eq. 7
    sums = np.bincount(rows, gaussian)
    weights: Sparse = sparse.csr_array((gaussian / sums[rows], (rows, columns)), near.shape)
    closest = nearest[:, :k2]
    weights = _neighbours(closest) @ weights / closest.shape[1]  # Eq. 11
    original = distances[: len(query), len(query) :]
    jaccard = _jaccard(weights[: len(query)], weights[len(query) :])
    return (1 - original_weight) * jaccard + original_weight * original


def _neighbours(nearest: Int[np.ndarray, "images k"]) -> Sparse:
    """(images, images) with a 1 where the column is among the row's nearest."""
    images, k = nearest.shape
    starts = np.arange(0, images * k + 1, k)
    ones = np.ones(images * k, np.float32)
    return sparse.csr_array((ones, nearest.ravel(), starts), (images, images))


def _reciprocal(nearest: Int[np.ndarray, "images k"]) -> Sparse:
    """Eq. 2: neighbours that count the row among theirs."""
    neighbours = _neighbours(nearest)
    return neighbours.multiply(neighbours.T).tocsr()


def _expanded(reciprocal: Sparse, half: Sparse) -> Sparse:
    """Eq. 3: a neighbour's closest join, when two thirds of them are in the set already."""
    joining = reciprocal.multiply(reciprocal @ half.T).tocsr()
    joining.data = (3 * joining.data > 2 * half.sum(1)[joining.indices]).astype(np.float32)
    return (reciprocal + joining @ half).tocsr()


def _jaccard(query: Sparse, gallery: Sparse) -> np.ndarray:
    """1 - |min| / |max| (Eq. 10); both rows sum to 1, so |max| = 2 - |min|."""
    by_column = gallery.tocsc()
    distances = np.empty((query.shape[0], gallery.shape[0]), np.float32)
    for row in range(len(distances)):
        part = slice(query.indptr[row], query.indptr[row + 1])
        columns = by_column[:, query.indices[part]]
        least = np.minimum(columns.data, np.repeat(query.data[part], np.diff(columns.indptr)))
        overlap = np.bincount(columns.indices, least, minlength=len(gallery.indptr) - 1)
        distances[row] = 1 - overlap / (2 - overlap)
    return distances
