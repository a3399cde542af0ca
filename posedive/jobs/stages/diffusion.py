"""The generator as a painter of rows, on the GPU where there is one."""

import numpy as np
import torch

from posedive.diffusion.backends import choose_backend, choose_dtype, place
from posedive.diffusion.carried import keep_carried
from posedive.diffusion.sampler import generate
from posedive.diffusion.weights import load_generator
from posedive.jobs.stages.rows import Rows, from_png, to_png
from posedive.spec.generate import Generator


class Diffusion:
    def __init__(self, asked: Generator):
        self.asked = asked
        device = "cuda" if torch.cuda.is_available() else "cpu"
        backend = choose_backend(asked.attention, device)
        dtype = choose_dtype(asked.precision, device)
        self.generator = place(load_generator(asked.weights, backend), device, dtype)

    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        def images(name: str) -> np.ndarray:
            return np.stack([from_png(rows[name][i]) for i in chosen])

        distinct = list(dict.fromkeys(rows["reference"][i] for i in chosen))
        maps = {name: images(name) for name in self.generator.config.conditions}
        composite = images("composite")
        pictures = generate(
            self.generator,
            references=np.stack([from_png(png) for png in distinct]),
            reference_index=[distinct.index(rows["reference"][i]) for i in chosen],
            maps=maps,
            composite=composite,
            seeds=[int(rows["seed"][i]) for i in chosen],
            steps=self.asked.steps,
            guidance_scale=self.asked.guidance_scale,
            guidance_interval=self.asked.guidance_interval,
            sampler=self.asked.sampler,
        )
        if self.asked.pixels == "carried" and "appearance" in maps:
            # Without a fit, nothing was carried, and no body is in the map.
            pictures = keep_carried(pictures, composite, maps["appearance"].max(axis=-1) > 0)
        return [to_png(picture) for picture in pictures]
