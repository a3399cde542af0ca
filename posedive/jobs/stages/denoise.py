"""Denoise: rows with maps -> the same rows with a picture. The GPU's stage."""

import logging
import time
from typing import Any

import cv2
import numpy as np
import ray

from posedive.jobs.ledger import KILLED, MAX_ATTEMPTS
from posedive.jobs.meters import StageMeter
from posedive.jobs.stages.painters import painter
from posedive.jobs.stages.rows import Rows, column
from posedive.spec.generate import Generate

log = logging.getLogger(__name__)
FAILED = "denoise_failed"
# What one bad pair raises, out of memory on the GPU among it (a RuntimeError of torch's).
PAIR_ERRORS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, cv2.error)


class Denoise:
    def __init__(self, spec_json: str, ledger: str | None = None):
        """ledger: the name of the job's `Ledger`; None where no worker can be killed."""
        self.painter = painter(Generate.model_validate_json(spec_json))
        self.actor = ray.get_runtime_context().get_actor_id() or "driver"
        self.meter = StageMeter("denoise")
        self.ledger = ray.get_actor(ledger) if ledger else None

    def __call__(self, rows: Rows) -> Rows:
        begun = time.time()
        keys, reasons = rows["key"].tolist(), rows["reason"].tolist()
        pictures = [b""] * len(keys)
        drawable = [i for i, reason in enumerate(reasons) if not reason]
        with self.meter.timed() as lap:
            drawn = self._draw(rows, drawable, reasons) if drawable else []
            lap.pairs = len(drawable)
        for i, picture in zip(drawable, drawn, strict=True):
            pictures[i] = picture
        return rows | {
            "picture": column(pictures),
            "reason": column(reasons),
            "actor": np.full(len(keys), self.actor),
            "begun": np.full(len(keys), begun),
            "ended": np.full(len(keys), time.time()),
            "denoise_s": np.full(len(keys), lap.seconds / len(keys)),
        }

    def _draw(self, rows: Rows, drawable: list[int], reasons: list[str]) -> list[bytes]:
        keys = [rows["key"][i] for i in drawable]
        batch = f"{keys[0]}+{len(keys)}"
        if self._enter(batch, len(keys)):
            log.warning("a worker died drawing keys=%s; one by one", keys)
            drawn = self._one_by_one(rows, drawable, reasons)
        else:
            try:
                drawn = self.painter.draw(rows, drawable)
            except PAIR_ERRORS as error:  # one bad pair must not take its batch with it
                log.warning("batch failed keys=%s error=%s; one by one", keys, error)
                drawn = self._one_by_one(rows, drawable, reasons)
        self._strike(batch)
        return drawn

    def _one_by_one(self, rows: Rows, drawable: list[int], reasons: list[str]) -> list[bytes]:
        out = []
        for i in drawable:
            key = rows["key"][i]
            if self._enter(key) >= MAX_ATTEMPTS:
                log.warning("pair rejected key=%s; its workers died %d times", key, MAX_ATTEMPTS)
                reasons[i] = KILLED
                out.append(b"")
                continue
            try:
                out += self.painter.draw(rows, [i])
            except PAIR_ERRORS as error:
                log.warning("pair failed key=%s error=%s", key, error)
                reasons[i] = FAILED
                out.append(b"")
            self._strike(key)
        return out

    def _enter(self, key: str, pairs: int = 0) -> int:
        if self.ledger is None:
            return 0
        before: Any = ray.get(self.ledger.enter.remote(key, pairs))
        return before

    def _strike(self, key: str) -> None:
        if self.ledger:
            ray.get(self.ledger.strike.remote(key))
