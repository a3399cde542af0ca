import numpy as np
import pytest

from posedive.errors import DatasetError
from posedive.reid.metrics import score


def ranked(gallery_pids: list[int], gallery_camids: list[int]):
    """Scores of one query, pid 1 of camera 1, whose gallery is given in the order it is ranked."""
    distances = np.arange(len(gallery_pids), dtype=np.float32)[None]
    return score(
        distances, np.array([1]), np.array([1]), np.array(gallery_pids), np.array(gallery_camids)
    )


def plainly(distances, query_pids, query_camids, gallery_pids, gallery_camids):
    """The protocol in words, image by image: (mAP, [cmc], mINP)."""
    precisions, curves, penalties = [], [], []
    for q in range(len(query_pids)):
        candidates = []
        for g in range(len(gallery_pids)):
            same_person = gallery_pids[g] == query_pids[q]
            if gallery_pids[g] == -1 or (same_person and gallery_camids[g] == query_camids[q]):
                continue
            candidates.append((float(distances[q, g]), g, bool(same_person)))
        candidates.sort()
        hits = [same for _, _, same in candidates]
        if True not in hits:
            continue
        at_hits = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
        precisions.append(sum(at_hits) / len(at_hits))
        curves.append([any(hits[: k + 1]) for k in range(10)])
        last = len(hits) - hits[::-1].index(True)
        penalties.append(sum(hits) / last)
    return np.mean(precisions), np.mean(curves, axis=0), np.mean(penalties)


def test_ap_is_the_mean_precision_at_the_hits():
    scores = ranked([1, 2, 1, 3, 1], [2, 2, 3, 2, 2])
    assert scores.mAP == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert scores.mINP == pytest.approx(3 / 5)
    assert scores.cmc(1) == 1


def test_the_same_person_by_the_same_camera_and_junk_leave_the_ranking():
    scores = ranked([1, -1, 1, 2], [1, 2, 2, 2])
    assert scores.mAP == scores.mINP == scores.cmc(1) == 1


def test_distractors_stay_in_the_ranking():
    scores = ranked([0, 0, 1], [1, 2, 2])
    assert scores.mAP == pytest.approx(1 / 3)
    assert [scores.cmc(k) for k in (1, 2, 3)] == [0, 0, 1]


def test_equal_distances_keep_the_order_of_the_gallery():
    flat = np.zeros((1, 40), np.float32)
    one, pids = np.array([1]), np.full(40, 2)
    pids[30] = 1
    scores = score(flat, one, one, pids, np.full(40, 2))
    assert scores.first_match.tolist() == [31]


def test_a_query_without_a_match_is_not_counted():
    distances = np.array([[0.1, 0.2], [0.1, 0.2]], np.float32)
    scores = score(
        distances, np.array([1, 7]), np.array([1, 1]), np.array([1, 2]), np.array([2, 2])
    )
    assert scores.mAP == 1 and len(scores.first_match) == 1


def test_no_query_with_a_match_is_an_error():
    with pytest.raises(DatasetError, match="1 queries and 2 gallery images"):
        ranked([1, 2], [1, 2])


@pytest.mark.parametrize("seed", range(5))
def test_random_rankings_agree_with_the_protocol_in_words(seed):
    rng = np.random.default_rng(seed)
    # Few values, so that there are ties; few people, junk and distractors among them.
    distances = rng.integers(0, 30, (40, 120)).astype(np.float32)
    query = rng.integers(1, 14, 40), rng.integers(1, 4, 40)
    gallery = rng.integers(-1, 12, 120), rng.integers(1, 4, 120)
    mean_ap, curve, mean_inp = plainly(distances, *query, *gallery)
    scores = score(distances, *query, *gallery)
    assert scores.mAP == pytest.approx(mean_ap, abs=1e-12)
    assert scores.mINP == pytest.approx(mean_inp, abs=1e-12)
    np.testing.assert_allclose([scores.cmc(k + 1) for k in range(10)], curve, atol=1e-12)
