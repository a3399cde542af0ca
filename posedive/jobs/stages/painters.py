"""Who draws a pair's picture: a generator, or one of the two controls of every experiment.

    draw(rows, chosen) -> PNG bytes of the chosen rows' pictures
`generator.weights` names it: "composite" is the appearance map on its background, no
network at all; "oracle" is the true render, which only the embedded world can give. Each is
imported where it is asked for: a worker that is started anew, as after a kill, is soon at work.
"""

from typing import Protocol

from posedive.jobs.stages.rows import Rows
from posedive.spec.generate import CONTROLS, Generate


class Painter(Protocol):
    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]: ...


class Composite:
    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        return [rows["composite"][i] for i in chosen]


def painter(spec: Generate) -> Painter:
    match spec.generator.weights:
        case "composite":
            return Composite()
        case "oracle":
            from posedive.jobs.stages.oracle import Oracle

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
