"""What a stage raises on purpose reaches the driver as it was raised, from a real local Ray."""

import os
import signal
import time

import pytest
import ray
from ray.exceptions import RayError

from posedive.errors import StorageError
from posedive.jobs import session
from posedive.jobs.session import own_error, start_ray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]
FULL = "s3://people/out: no space left in the bucket's quota"


class Full:
    def __call__(self, batch):
        raise StorageError(FULL)


def test_a_full_bucket_is_told_in_the_stores_own_words():
    start_ray()
    chain = ray.data.range(1).map_batches(Full, batch_size=1, num_cpus=0.5)
    with pytest.raises(RayError) as caught:
        chain.take_all()
    found = own_error(caught.value)
    assert isinstance(found, StorageError) and str(found) == FULL


def test_an_interrupt_that_got_lost_comes_again(monkeypatch):
    monkeypatch.setattr(session, "STOP_AGAIN_S", 0.05)
    start_ray()
    lost = 0
    with pytest.raises(KeyboardInterrupt):
        while lost < 2:
            try:
                os.kill(os.getpid(), signal.SIGTERM) if not lost else time.sleep(60)
            except KeyboardInterrupt:
                lost += 1
        time.sleep(60)
    signal.setitimer(signal.ITIMER_REAL, 0)


def test_what_others_raise_is_not_ours():
    assert own_error(RuntimeError("torch's")) is None and own_error(None) is None
