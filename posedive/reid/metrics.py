"""Scores of a ranking by Market-1501's published protocol (Zheng et al. 2015).

In: distances (queries, gallery), pids and camids of both. For each query, gallery images of the
same person by the same camera are left out, as is junk (pid -1); distractors (pid 0) stay; a query
that has no match left is not counted. Equal distances keep the gallery's order.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from posedive.errors import DatasetError

JUNK_PID = -1


@dataclass(frozen=True, eq=False)
class Scores:
    """Means over the queries that count, in [0, 1]; first_match has each one's rank, from 1.

    mAP: of average_precision, the mean precision at a query's matches, nan where it has none.
    mINP: of the number of matches over the rank of the last one (Ye et al. 2021, Eq. 3).
    """

    mAP: float  # noqa: N815 - the field's name
    mINP: float  # noqa: N815
    first_match: Int[np.ndarray, " counted"]
    average_precision: Float[np.ndarray, " queries"]

    def cmc(self, k: int) -> float:
        """Share of queries with a match among the first k."""
        return float((self.first_match <= k).mean())


def score(
    distances: Float[np.ndarray, "queries gallery"],
    query_pids: Int[np.ndarray, " queries"],
    query_camids: Int[np.ndarray, " queries"],
    gallery_pids: Int[np.ndarray, " gallery"],
    gallery_camids: Int[np.ndarray, " gallery"],
) -> Scores:
    """Raises DatasetError when no query has a match."""
    average_precision = np.full(len(query_pids), np.nan)
    inverse_penalties, first_match = [], []
    for query, (row, pid, camid) in enumerate(
        zip(distances, query_pids, query_camids, strict=True)
    ):
        left_out = (gallery_pids == pid) & (gallery_camids == camid) | (gallery_pids == JUNK_PID)
        order = np.argsort(row, kind="stable")
        order = order[~left_out[order]]
        ranks = 1 + np.flatnonzero(gallery_pids[order] == pid)
        if len(ranks) == 0:
            continue
        average_precision[query] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
        inverse_penalties.append(len(ranks) / ranks[-1])
        first_match.append(ranks[0])
    if not first_match:
        raise DatasetError(
            f"retrieval: expected people seen by two cameras, one of them in the gallery; got"
            f" {len(query_pids)} queries and {len(gallery_pids)} gallery images without a match;"
            " are they of one set?"
        )
    return Scores(
        float(np.nanmean(average_precision)),
        float(np.mean(inverse_penalties)),
        np.array(first_match),
        average_precision,
    )
