"""A stand-in for Denoise: waits so many seconds per batch; its ledger and times are real."""

import time

import numpy as np

from posedive.jobs.stages.denoise import Denoise
from posedive.jobs.stages.rows import Rows, to_png

PICTURE = to_png(np.full((16, 8, 3), 128, np.uint8))


def waiting(seconds: float) -> type[Denoise]:
    """The class whose batches take `seconds`."""

    class Waiting(Denoise):
        def __init__(self, spec_json: str, ledger: str | None = None):
            super().__init__(spec_json, ledger)
            self.painter = _Wait(seconds)

    return Waiting


class _Wait:
    def __init__(self, seconds: float):
        self.seconds = seconds

    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        time.sleep(self.seconds)
        return [PICTURE for _ in chosen]
