"""Denoise: rows with maps -> the same rows with a picture. The GPU's stage."""

import logging
import time

import numpy as np
import ray
import torch

from posedive.diffusion.backends import choose_backend, choose_dtype
from posedive.diffusion.sampler import generate
from posedive.diffusion.weights import load_generator
from posedive.jobs.stages.rows import Rows, column, from_png, to_png
from posedive.spec.generate import Generate

log = logging.getLogger(__name__)


class Denoise:
    def __init__(self, spec_json: str):
        self.spec = spec = Generate.model_validate_json(spec_json)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        backend = choose_backend(spec.generator.attention, self.device)
        dtype = choose_dtype(spec.generator.precision, self.device)
        generator = load_generator(spec.generator.weights, backend)
        self.generator = generator.to(self.device, dtype)
        self.actor = ray.get_runtime_context().get_actor_id() or "driver"

    def __call__(self, rows: Rows) -> Rows:
        begun = time.time()
        keys, reasons = rows["key"].tolist(), rows["reason"].tolist()
        pictures = [b""] * len(keys)
        drawable = [i for i, reason in enumerate(reasons) if not reason]
        try:
            drawn = self._draw(rows, drawable)
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
                out += self._draw(rows, [i])
            except RuntimeError as error:
                log.warning("pair failed key=%s error=%s", rows["key"][i], error)
                reasons[i] = "denoise_failed"
                out.append(b"")
        return out

    def _draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        if not chosen:
            return []
        distinct = list(dict.fromkeys(rows["reference"][i] for i in chosen))
        pictures = generate(
            self.generator,
            references=np.stack([from_png(png) for png in distinct]),
            reference_index=[distinct.index(rows["reference"][i]) for i in chosen],
            maps={
                name: np.stack([from_png(rows[name][i]) for i in chosen])
                for name in self.generator.config.conditions
            },
            composite=np.stack([from_png(rows["composite"][i]) for i in chosen]),
            seeds=[int(rows["seed"][i]) for i in chosen],
            steps=self.spec.generator.steps,
            guidance_scale=self.spec.generator.guidance_scale,
        )
        return [to_png(picture) for picture in pictures]
