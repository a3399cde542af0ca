import numpy as np
import pytest

from posedive.quality.kid import kid


def test_two_pairs_by_hand():
    # dim 2; x: (2, 0), (0, 2); y: both (0, 0). Kernels off the diagonal: x with x (0/2 + 1)^3 = 1,
    # y with y 1, x with y 1: 1 + 1 - 2 = 0.
    x, y = np.array([[2.0, 0], [0, 2]]), np.zeros((2, 2))
    assert kid(x, y) == pytest.approx(0)
    # Both x at (2, 0): x with x (4/2 + 1)^3 = 27, the others 1: 27 + 1 - 2 = 26.
    assert kid(np.array([[2.0, 0], [2, 0]]), y) == pytest.approx(26)


def test_a_set_and_itself_are_no_distance_apart():
    x = np.random.default_rng(0).normal(size=(50, 8))
    assert kid(x, x) == 0


def test_the_mean_over_many_draws_of_one_kind_is_0_paired_or_not():
    rng = np.random.default_rng(0)

    def estimate(paired: bool) -> float:
        x, y = rng.normal(size=(2, 20, 4))
        return kid(x, x + 0.1 * y if paired else y)

    for paired in (False, True):
        values = [estimate(paired) for _ in range(400)]
        assert abs(np.mean(values)) < 3 * np.std(values) / 20 + 0.02


def test_sets_of_another_kind_are_far_apart():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 100, 4))
    assert kid(x, y + 1) > 1 > abs(kid(x, y))
