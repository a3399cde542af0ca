"""Draw: a cell's number -> a row per case, with what the generator reads, and with the truth."""

from typing import Any

import numpy as np
import torch

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.errors import DatasetError
from posedive.jobs.drawing import DrawnPair, PairDrawer, load_parser
from posedive.jobs.planning import planned_cases
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, column, to_png
from posedive.records import Pair
from posedive.spec.evaluate import Evaluate


class Draw:
    def __init__(self, spec_json: str, conditions: tuple[str, ...]):
        """conditions: those that the generator reads."""
        torch.set_num_threads(1)
        spec = Evaluate.model_validate_json(spec_json)
        world = open_spec_dataset(spec.dataset, spec.size)
        assert isinstance(world, EmbeddedWorld)  # the spec's own rule
        self.world, self.size = world, spec.size
        self.plan = planned_cases(spec, people_of(spec.dataset, world))
        # Normals are for people to look at.
        self.maps = {"normals", *conditions}
        asked = spec.generator
        self.draw = PairDrawer(
            load_body("embedded"),
            world,
            self.plan.images,
            self.size,
            asked.appearance_images,
            asked.background,
            load_parser(asked.parser if asked.appearance_images else None),
        )

    def __call__(self, batch: Rows) -> Rows:
        cell = self.plan.shard(int(batch["cell"][0]))
        drawn = zip(cell.pairs, self.draw(cell.pairs), strict=True)
        rows = [self._row(pair, drawn_pair) for pair, drawn_pair in drawn]
        return {name: column([row[name] for row in rows]) for name in rows[0]} | {
            "cell": np.full(len(rows), cell.index)
        }

    def _row(self, pair: Pair, drawn: DrawnPair | None) -> dict[str, Any]:
        if drawn is None:
            raise DatasetError(f"{pair.reference}: can't be read; the embedded world draws any")
        target = drawn.condition.target
        truth, foreground = self._photograph(pair, drawn, pair.seed)
        rows, columns = np.nonzero(target.mask)
        return {
            "key": pair.key,
            "seed": pair.seed,
            "reference": to_png(drawn.reference),
            "composite": to_png(drawn.condition.composite),
            "truth": to_png(truth),
            # What no picture can be nearer to the truth than: the camera's noise is another.
            "true": to_png(self._photograph(pair, drawn, pair.seed + 1)[0]),
            "foreground": foreground,
            "keypoints": target.keypoints,
            "area_px": float(target.mask.sum()),
            "body_px": float(1 + max(np.ptp(rows), np.ptp(columns))),
        } | {name: to_png(drawn.condition.maps[name]) for name in self.maps}

    def _photograph(self, pair: Pair, drawn: DrawnPair, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return self.world.foreground(pair.pid, pair.camid, drawn.fit, self.size, seed)
