"""What a job tells of its flow: by hand, with a clock of our own."""

import json
import logging
from collections import Counter

import pytest

from posedive.jobs.flow import busy_share, mean_and_spread
from posedive.jobs.progress import Progress
from posedive.submit.progress import last_progress


def test_busy_share_by_hand():
    # one actor drew 3 s of the 4 between its first and last shard; another all of its 4
    assert busy_share([[(0, 2, 2), (3, 4, 1)]]) == pytest.approx(0.75)
    assert busy_share([[(3, 4, 1), (0, 2, 2)], [(0, 3, 2.5), (1, 4, 1.5)]]) == pytest.approx(7 / 8)


def test_a_stage_that_takes_no_time_has_no_spread():
    assert mean_and_spread([0.0, 0.0]) == {"s_per_pair": 0.0, "cv": 0.0}
    assert mean_and_spread([1.0, 3.0]) == {"s_per_pair": 2.0, "cv": 0.5}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_counts_rate_eta_and_cost_by_hand(caplog):
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress(pairs=100, resumed=20, price_per_hour=lambda: 36.0, clock=clock)
    clock.now = 5.0
    progress.add(0, kept=7, rejected=Counter(low_oks=3), first=True, seconds=2.0)
    assert last_progress(caplog.text) is None  # told every ten seconds
    clock.now = 20.0
    progress.add(1, kept=10, rejected=Counter(), first=False, seconds=2.0)
    assert last_progress(caplog.text) == {
        "pairs": 100,
        "done": 40,
        "kept": 17,
        "rejected": {"low_oks": 3},
        "images_per_s": 1.0,  # 20 in 20 s
        "eta_s": 60,
        "cost": 0.2,  # 20 s of 36 an hour
    }


def test_the_last_shard_is_told_at_once(caplog):
    caplog.set_level(logging.INFO)
    progress = Progress(pairs=4, resumed=0, price_per_hour=lambda: 0.0)
    progress.add(0, kept=4, rejected=Counter(), first=True, seconds=1.0)
    told = last_progress(caplog.text)
    assert told is not None and told["done"] == 4


def test_a_garbled_line_of_progress_is_passed_over():
    whole = "12:00 progress=" + json.dumps({"done": 4})
    assert last_progress(f'{whole}\n12:01 progress={{"done": 8, oops}}\nmore') == {"done": 4}
