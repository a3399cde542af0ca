"""A Ray to run on: the cluster that RAY_ADDRESS names, or this machine."""

import logging
import os
import signal
import threading

import ray
from ray.data import DataContext
from ray.exceptions import RayError

from posedive.errors import PosediveError

log = logging.getLogger(__name__)
LOCAL = "local"
# A busy machine takes minutes to start a worker, and a process that waits for its turn looks dead
# to Ray: by its own measure it kills what is slow to start, and then the node, and so the job.
PATIENCE = {
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_failure_threshold": "100",
}
# A node whose helpers are not up in 15 s ends, whatever is set: then it is started again.
STARTS, TOO_SLOW = 4, "node timed out during startup"
STOP_AGAIN_S = 5.0
# Ray Data writes advice about its own retries below the message of what a stage has raised.
RAYS_NOTE = "\nFailed to apply UDF transform"


def start_ray() -> None:
    """Connects once; says nothing unless something is wrong."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not ray.is_initialized():
        if of_this_process():
            for name, value in PATIENCE.items():
                os.environ.setdefault(name, value)
        _init(_address())
    for name in ("ray", "ray.data", "ray.train"):  # each sets a level of its own when imported
        logging.getLogger(name).setLevel(logging.WARNING)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # for own_error
    if threading.current_thread() is threading.main_thread():
        # As Ctrl-C: what is committed stays, what is under way is dropped, workers are let go.
        # Ray sets a handler of its own at each init, which would end the driver on the spot.
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGALRM, _stop)


def of_this_process() -> bool:
    """Whether Ray begins and ends with this process, and so has no dashboard."""
    return _address() == LOCAL


def _address() -> str:
    # Without an address Ray would join whatever cluster somebody else started here.
    return os.environ.get("RAY_ADDRESS", LOCAL)


def _stop(*_: object) -> None:
    """Raised in a callback or a destructor, an interrupt is dropped: then it comes again. Whoever
    was reached sets the timer back (cli)."""
    signal.setitimer(signal.ITIMER_REAL, STOP_AGAIN_S)
    raise KeyboardInterrupt


def _init(address: str) -> None:
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(
                address=address,
                include_dashboard=False if address == LOCAL else None,
                logging_level=logging.WARNING,
            )
            return
        except Exception as error:  # Ray raises no kind of its own here
            if TOO_SLOW not in str(error) or attempt == STARTS:
                raise
            log.warning("Ray's node took too long to start; trying again attempt=%d", attempt + 1)
            ray.shutdown()


def own_error(error: BaseException | None) -> PosediveError | None:
    """What a stage raised on purpose, below what Ray has wrapped around it."""
    found = None
    while error is not None:
        # Ray's wrapper is also of the class that it wraps, and its text is the whole traceback.
        if isinstance(error, PosediveError) and not isinstance(error, RayError):
            found = error
        error = getattr(error, "cause", None) or error.__cause__
    return type(found)(str(found).partition(RAYS_NOTE)[0]) if found else None
