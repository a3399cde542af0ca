import numpy as np

from posedive.reid.reranking import rerank


def unit_features(num_people: int, images_each: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    people = np.repeat(rng.normal(size=(num_people, 8)), images_each, axis=0)
    features = people + noise * rng.normal(size=people.shape)
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def plainly(query, gallery, k1, k2, original_weight):
    """The paper's equations with Python's sets."""
    features = np.concatenate([query, gallery])
    count = len(features)
    distance = ((features[:, None] - features[None]) ** 2).sum(-1)
    distance = distance / distance.max(1, keepdims=True)
    order = [sorted(range(count), key=lambda j, i=i: (distance[i, j], j)) for i in range(count)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    weights = np.zeros((count, count))
    for i in range(count):
        near = reciprocal(i, k1)
        expanded = set(near)
        for j in near:
            closest = reciprocal(j, round(k1 / 2))
            if 3 * len(near & closest) > 2 * len(closest):
                expanded |= closest
        for j in expanded:
            weights[i, j] = np.exp(-distance[i, j])
    weights /= weights.sum(1, keepdims=True)
    weights = np.stack([weights[order[i][:k2]].mean(0) for i in range(count)])
    out = np.empty((len(query), len(gallery)))
    for q in range(len(query)):
        for g in range(len(gallery)):
            one, other = weights[q], weights[len(query) + g]
            jaccard = 1 - np.minimum(one, other).sum() / np.maximum(one, other).sum()
            original = distance[q, len(query) + g]
            out[q, g] = (1 - original_weight) * jaccard + original_weight * original
    return out


def test_reranked_distances_agree_with_the_equations_set_by_set():
    features = unit_features(num_people=6, images_each=7, noise=0.6)
    query, gallery = features[::3], np.delete(features, np.s_[::3], axis=0)
    for k1, k2 in ((20, 6), (8, 3), (5, 1)):
        np.testing.assert_allclose(
            rerank(query, gallery, k1, k2, 0.3), plainly(query, gallery, k1, k2, 0.3), atol=2e-5
        )


def test_a_gallery_smaller_than_the_neighbourhood_is_ranked():
    features = unit_features(num_people=2, images_each=3, noise=0.1)
    distances = rerank(features[[0, 3]], features[[1, 2, 4, 5]])
    assert distances[0, :2].max() < distances[0, 2:].min()
    assert distances[1, 2:].max() < distances[1, :2].min()
