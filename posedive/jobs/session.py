"""A Ray to run on: the cluster that RAY_ADDRESS names, or this machine."""

import logging
import os

import ray
from ray.data import DataContext


def start_ray() -> None:
    """Connects once; says nothing unless something is wrong."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not ray.is_initialized():
        # Without an address Ray would join whatever cluster somebody else started here.
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "local"),
            include_dashboard=False if "RAY_ADDRESS" not in os.environ else None,
            logging_level=logging.WARNING,
        )
    for name in ("ray", "ray.data", "ray.train"):  # each sets a level of its own when imported
        logging.getLogger(name).setLevel(logging.WARNING)
    DataContext.get_current().enable_progress_bars = False
