"""The simulation against sums by hand."""

import pytest

from posedive.errors import SpecError
from posedive.jobs.forecast import node_counts
from posedive.jobs.simulate import PUTS_PER_S, simulate

EVEN: dict[str, float] = dict.fromkeys(("render", "denoise", "judge", "commit"), 0.0)


def seconds(**stages: float) -> dict[str, float]:
    return dict.fromkeys(("render", "denoise", "judge", "commit"), 1e-6) | stages


def test_one_denoiser_that_is_fed_in_time_works_throughout():
    told = simulate(seconds(render=0.5, denoise=2.0), EVEN, 100, denoisers=1, cpus=1)
    assert told.seconds == pytest.approx(0.5 + 100 * 2.0, rel=1e-3)
    assert told.bottleneck == "denoise" and told.busy["denoise"] == pytest.approx(1, abs=0.01)


def test_denoisers_share_the_work_until_the_cpus_hold_them_up():
    four = simulate(seconds(render=0.5, denoise=2.0), EVEN, 400, denoisers=4, cpus=2)
    assert four.seconds == pytest.approx(400 * 2.0 / 4, rel=0.02)
    many = simulate(seconds(render=0.5, denoise=2.0), EVEN, 400, denoisers=40, cpus=2)
    assert many.seconds == pytest.approx(400 * 0.5 / 2, rel=0.05)
    assert many.bottleneck == "render" and many.busy["denoise"] < 0.5


def test_the_stores_published_limit_bounds_any_number_of_machines():
    told = simulate(seconds(), EVEN, 10**6, denoisers=10**4, cpus=10**4)
    assert told.bottleneck == "store"
    assert told.seconds == pytest.approx(10**6 / PUTS_PER_S, rel=0.2)


def test_what_is_extrapolated_agrees_with_what_is_simulated():
    times, spread = seconds(render=0.4, denoise=1.0, judge=0.2), EVEN | {"denoise": 0.5}
    whole = simulate(times, spread, 2000, denoisers=3, cpus=2)
    ten_times = simulate(times, spread, 20_000, denoisers=3, cpus=2)
    assert ten_times.seconds == pytest.approx(10 * whole.seconds, rel=0.03)


def test_a_shard_less_than_there_are_denoisers_takes_one_pass():
    told = simulate(seconds(render=1.0, denoise=3.0), EVEN, 3, denoisers=8, cpus=8, startup_s=10)
    assert told.seconds == pytest.approx(14.0, rel=0.01)


def test_node_counts_are_numbers_of_machines():
    assert node_counts("1,8,64") == [1, 8, 64] and node_counts("") == []
    for wrong in ("0", "a", "1,-2"):
        with pytest.raises(SpecError, match="--nodes: expected numbers"):
            node_counts(wrong)
