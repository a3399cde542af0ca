"""Paint: rows with maps -> the same rows with the generator's picture; Keep: a cell's rows -> one
block of pictures, put if absent."""

import numpy as np

from posedive.jobs.blocks import write_block
from posedive.jobs.stages.diffusion import Diffusion
from posedive.jobs.stages.rows import Rows, column, from_png
from posedive.spec.generate import Generator

PICTURES = ("reference", "normals", "composite", "generated", "true", "truth")
NUMBERS = ("key", "foreground", "keypoints", "area_px", "body_px")


class Paint:
    def __init__(self, generator_json: str):
        self.painter = Diffusion(Generator.model_validate_json(generator_json))

    def __call__(self, rows: Rows) -> Rows:
        return rows | {"generated": column(self.painter.draw(rows, list(range(len(rows["key"])))))}


class Keep:
    """A block holds PICTURES as (N, H, W, 3) uint8, and NUMBERS."""

    def __init__(self, uri: str):
        self.uri = uri

    def __call__(self, rows: Rows) -> Rows:
        pictures = {name: np.stack([from_png(png) for png in rows[name]]) for name in PICTURES}
        told = {name: column(rows[name].tolist()) for name in NUMBERS}
        write_block(self.uri, int(rows["cell"][0]), pictures | told)
        return {"cell": rows["cell"][:1]}
