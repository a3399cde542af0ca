"""Ray's metrics of the stages, which Prometheus scrapes from every node; cluster/ has a dashboard.

    ray_posedive_pairs_total{stage}        pairs that left a stage
    ray_posedive_verdicts_total{reason}    pairs committed, by reason; reason "kept" is none
    ray_posedive_shard_bytes_total         bytes of tars put
    ray_posedive_batch_seconds{stage}      histogram: a batch; for render and commit, a shard
Pairs done twice, because a worker died under them, count twice here; the shards don't hold them so.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ray.util.metrics import Counter, Histogram

STAGES = ("render", "denoise", "judge", "commit")
SECONDS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]


class StageMeter:
    def __init__(self, stage: str):
        self._tags = {"stage": stage}
        self._pairs = Counter("posedive_pairs", "pairs that left a stage", tag_keys=("stage",))
        self._seconds = Histogram(
            "posedive_batch_seconds", "time of a batch", boundaries=SECONDS, tag_keys=("stage",)
        )

    @contextmanager
    def timed(self) -> Iterator["Lap"]:
        """`with meter.timed() as lap: ...; lap.pairs = n`; afterwards lap.seconds is set."""
        lap, begun = Lap(), time.perf_counter()
        yield lap
        lap.seconds = time.perf_counter() - begun
        self._seconds.observe(lap.seconds, self._tags)
        if lap.pairs:
            self._pairs.inc(lap.pairs, self._tags)


class Lap:
    pairs = 0
    seconds = 0.0


class CommitMeter(StageMeter):
    def __init__(self):
        super().__init__("commit")
        self._verdicts = Counter("posedive_verdicts", "pairs by reason", tag_keys=("reason",))
        self._bytes = Counter("posedive_shard_bytes", "bytes of tars put")

    def committed(self, verdicts: Mapping[str, int], num_bytes: int) -> None:
        """Of a shard that is now the output's; one that another attempt had put counts there."""
        for reason, count in verdicts.items():
            if count:
                self._verdicts.inc(count, {"reason": reason})
        self._bytes.inc(num_bytes)
