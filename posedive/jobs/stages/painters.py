"""Who draws a pair's picture: a generator, or one of the two controls of every experiment.

    draw(rows, chosen) -> PNG bytes of the chosen rows' pictures
`generator.weights` names it: "composite" is the appearance map on its background, no
network at all; "oracle" is the true render, which only the embedded world can give. Neither loads
the generator's libraries, which take seconds to import.
"""

from typing import Protocol

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, to_png
from posedive.render.maps import condition_fit
from posedive.spec.generate import CONTROLS, Generate
from posedive.storage import open_store


class Painter(Protocol):
    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]: ...


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


def painter(spec: Generate) -> Painter:
    match spec.generator.weights:
        case "composite":
            return Composite()
        case "oracle":
            return Oracle(spec)
        case _:
            from posedive.jobs.stages.diffusion import Diffusion

            return Diffusion(spec.generator)


def conditions_of(spec: Generate) -> tuple[str, ...]:
    """The maps that the painter reads. Raises WeightsError where there is no such generator."""
    if spec.generator.weights in CONTROLS:
        return ("depth", "normals", "skeleton", "appearance")
    from posedive.diffusion.weights import load_generator

    return load_generator(spec.generator.weights).config.conditions


def digest_of(spec: Generate) -> str:
    """For provenance: of the weights, or the control's name."""
    name = spec.generator.weights
    if name in CONTROLS:
        return name
    from posedive.diffusion.weights import weights_digest

    return weights_digest(name)
