"""Whether the machines can do what a spec asks, found out on one of them before any work."""

import ray
import torch
from ray.exceptions import RayError

from posedive.diffusion.backends import choose_backend, choose_dtype
from posedive.jobs.session import own_error
from posedive.spec.generate import CONTROLS, Generate, Generator


def check_hardware(spec: Generate) -> None:
    """Raises SpecError where a denoise actor's device can't do generator.precision or .attention.

    `auto` can be done everywhere. Waits for a machine as the denoise actors would.
    """
    asked = spec.generator
    if asked.weights in CONTROLS or (asked.precision, asked.attention) == ("auto", "auto"):
        return
    resources = spec.resources
    task = ray.remote(num_cpus=resources.denoise_cpus, num_gpus=resources.num_gpus)(_check)
    try:
        ray.get(task.remote(asked.model_dump_json()))
    except RayError as error:
        raise own_error(error) or error from None


def _check(generator_json: str) -> None:
    asked = Generator.model_validate_json(generator_json)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    choose_backend(asked.attention, device)
    choose_dtype(asked.precision, device)
