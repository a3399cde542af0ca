"""Denoise: rows with maps -> the same rows with a picture. The GPU's stage."""

import logging
import time

import numpy as np
import ray

from posedive.jobs.stages.painters import painter
from posedive.jobs.stages.rows import Rows, column
from posedive.spec.generate import Generate

log = logging.getLogger(__name__)


class Denoise:
    def __init__(self, spec_json: str):
        self.painter = painter(Generate.model_validate_json(spec_json))
        self.actor = ray.get_runtime_context().get_actor_id() or "driver"

    def __call__(self, rows: Rows) -> Rows:
        begun = time.time()
        keys, reasons = rows["key"].tolist(), rows["reason"].tolist()
        pictures = [b""] * len(keys)
        drawable = [i for i, reason in enumerate(reasons) if not reason]
        try:
            drawn = self.painter.draw(rows, drawable) if drawable else []
        except RuntimeError as error:  # torch's; one bad pair must not take its batch with it
            log.warning("batch failed keys=%s error=%s; one by one", keys, error)
            drawn = self._one_by_one(rows, drawable, reasons)
        for i, picture in zip(drawable, drawn, strict=True):
            pictures[i] = picture
        return rows | {
            "picture": column(pictures),
            "reason": column(reasons),
            "actor": np.full(len(keys), self.actor),
            "begun": np.full(len(keys), begun),
            "ended": np.full(len(keys), time.time()),
        }

    def _one_by_one(self, rows: Rows, drawable: list[int], reasons: list[str]) -> list[bytes]:
        out = []
        for i in drawable:
            try:
                out += self.painter.draw(rows, [i])
            except RuntimeError as error:
                log.warning("pair failed key=%s error=%s", rows["key"][i], error)
                reasons[i] = "denoise_failed"
                out.append(b"")
        return out
