"""Who draws a pair's picture: a generator, or one of the two controls of every experiment.

    draw(rows, chosen) -> PNG bytes of the chosen rows' pictures
`generator.weights` names it: "composite" is the appearance map on its background, no
network at all; "oracle" is the true render, which only the embedded world can give.
"""

import numpy as np
import torch

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.diffusion.backends import choose_backend, choose_dtype, place
from posedive.diffusion.sampler import generate
from posedive.diffusion.weights import load_generator, weights_digest
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, from_png, to_png
from posedive.render.maps import condition_fit
from posedive.spec.generate import CONTROLS, Generate
from posedive.spec.generate import Generator as GeneratorSpec
from posedive.storage import open_store


class Diffusion:
    """The generator, on the GPU where there is one."""

    def __init__(self, asked: GeneratorSpec):
        self.asked = asked
        device = "cuda" if torch.cuda.is_available() else "cpu"
        backend = choose_backend(asked.attention, device)
        dtype = choose_dtype(asked.precision, device)
        self.generator = place(load_generator(asked.weights, backend), device, dtype)

    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
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
            steps=self.asked.steps,
            guidance_scale=self.asked.guidance_scale,
            guidance_interval=self.asked.guidance_interval,
            sampler=self.asked.sampler,
        )
        return [to_png(picture) for picture in pictures]


class Composite:
    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        return [rows["composite"][i] for i in chosen]


class Oracle:
    """True renders of the same conditions, in the place of the reference's camera."""

    def __init__(self, spec: Generate):
        self.spec, self.body = spec, load_body(spec.body)
        dataset = open_spec_dataset(spec.dataset, spec.size)
        assert isinstance(dataset, EmbeddedWorld)  # the spec's own rule
        self.dataset = dataset
        references = read_references(open_store(spec.output.uri))
        self.plan = planned(spec, people_of(spec.dataset, dataset), references)

    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        pairs = {pair.key: pair for pair in self.plan.shard(int(rows["shard"][0])).pairs}
        return [self._draw(pairs[rows["key"][i]]) for i in chosen]

    def _draw(self, pair) -> bytes:
        fit = condition_fit(self.body, pair.condition, self.spec.size)
        return to_png(self.dataset.render(pair.pid, pair.camid, fit, self.spec.size, pair.seed))


def painter(spec: Generate) -> Diffusion | Composite | Oracle:
    match spec.generator.weights:
        case "composite":
            return Composite()
        case "oracle":
            return Oracle(spec)
        case _:
            return Diffusion(spec.generator)


def conditions_of(spec: Generate) -> tuple[str, ...]:
    """The maps that the painter reads. Raises WeightsError where there is no such generator."""
    if spec.generator.weights in CONTROLS:
        return ("depth", "normals", "skeleton", "appearance")
    return load_generator(spec.generator.weights).config.conditions


def digest_of(spec: Generate) -> str:
    """For provenance: of the weights, or the control's name."""
    name = spec.generator.weights
    return name if name in CONTROLS else weights_digest(name)
