"""A Ray to run on: the cluster that RAY_ADDRESS names, or this machine."""

import logging
import os

import ray


def start_ray() -> None:
    """Connects once; says nothing unless something is wrong."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not ray.is_initialized():
        ray.init(
            include_dashboard=False if "RAY_ADDRESS" not in os.environ else None,
            log_to_driver=True,
            logging_level=logging.WARNING,
        )
