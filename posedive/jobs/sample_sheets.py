"""A sheet of samples while training: held-out examples as the generator draws them now.

    reference | normals | composite | generated | true        one strip for each example
Nothing of the training's state is read or moved: noise comes from seeds of its own.
"""

import numpy as np
import torch

from posedive.diffusion.config import CONDITION_CHANNELS
from posedive.diffusion.generator import Generator
from posedive.diffusion.sampler import generate, to_images
from posedive.render.contact_sheet import sheet, strip

SHOWN = ("normals", "skeleton", "depth")  # the first that the generator reads


def sample_sheet(
    generator: Generator, block: dict[str, np.ndarray], count: int, steps: int
) -> np.ndarray:
    """RGB uint8. block: training examples as jobs.make_blocks makes them; `count` of them are
    drawn, spread over the block and so over its people, each to the first of its targets. steps: of
    the sampler."""
    rows = np.unique(np.linspace(0, len(block["reference"]) - 1, count).round().astype(int))
    conditions = generator.config.conditions
    ends = np.cumsum([CONDITION_CHANNELS[c] for c in conditions])
    maps = dict(zip(conditions, np.split(block["maps"][rows, 0], ends[:-1], axis=-1), strict=True))
    reference, true = block["reference"][rows], block["target"][rows, 0]
    columns = {"reference": reference}
    columns |= {name: maps[name] for name in SHOWN if name in maps and len(columns) == 1}
    composite = np.zeros_like(reference)
    if generator.uses_appearance:
        columns["composite"] = composite = _decoded(generator, block["composite_latents"][rows, 0])
    columns["generated"] = generate(
        generator,
        reference,
        range(len(rows)),
        maps,
        composite,
        seeds=range(len(rows)),
        steps=steps,
        guidance_scale=1.0,
    )
    columns["true"] = true
    labels = [f"pid {pid}" for pid in block["pid"][rows]]
    return sheet(
        [strip({n: c[i] for n, c in columns.items()}, [label]) for i, label in enumerate(labels)]
    )


@torch.inference_mode()
def _decoded(generator: Generator, latents: np.ndarray) -> np.ndarray:
    like = generator.residual_std
    return to_images(generator.codec.decode(torch.from_numpy(latents).to(like)))
