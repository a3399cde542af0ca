"""Networks of transformers' format: shipped with the package, in a folder, or on the hub.

In: a name, as a spec gives it. Out: the model with all of its weights, and its preprocessing's
config; or a folder of that format, of a model trained here. Weights are safetensors only, since a
pickle could run code.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import logging as transformers_logging
from transformers.image_processing_base import ImageProcessingMixin

from posedive.errors import WeightsError

P = TypeVar("P")


def load_pretrained(
    name: str,
    kind: Any,
    preprocess: Callable[[dict[str, Any]], P],
    shipped: Mapping[str, Path],
    what: str,
    example: str,
) -> tuple[Any, P]:
    """The model, and what `preprocess` makes of its preprocessor_config.json. kind: a class of
    transformers. what, example: for the error's text. Raises WeightsError."""
    source = _locate(name, shipped, what, example)
    transformers_logging.disable_progress_bar()  # of 100 small tensors, in each worker
    try:
        config, _ = ImageProcessingMixin.get_image_processor_dict(source)
        loaded: Any = kind.from_pretrained(source, output_loading_info=True, use_safetensors=True)
        model, loading = loaded
        prepared = preprocess(config)
    # What transformers raises for a folder or repository that is not there, not its kind, cut
    # short, or of other sizes; the original says which.
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"{what} {name!r}: expected {sorted(shipped)}, a folder with config.json,"
            " preprocessor_config.json and model.safetensors, or a hub repository such as"
            f" {example}; got {type(error).__name__}: {error}"
        ) from error
    absent = sorted(loading["missing_keys"]) + sorted(map(str, loading["mismatched_keys"]))
    if absent:
        raise WeightsError(
            f"{what} {name!r}: {len(absent)} tensors of its config.json are missing or of another"
            f" size, the first {absent[0]}; are the weights another model's?"
        )
    return model, prepared


def digest_of(model, preprocess) -> str:
    """sha256 of the weights and of the preprocessing's fields."""
    digest = hashlib.sha256(json.dumps(vars(preprocess), sort_keys=True).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def normalised(
    images: Float[Tensor, "batch 3 height width"],
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    rescale: float,
) -> Float[Tensor, "batch 3 input_height input_width"]:
    """Pictures with values 0..255 -> a network's input of that size (width, height)."""
    width, height = size
    if images.shape[2:] != (height, width):
        images = functional.interpolate(
            images, size=(height, width), mode="bilinear", antialias=True
        )
    means = torch.tensor(mean, device=images.device)[:, None, None]
    stds = torch.tensor(std, device=images.device)[:, None, None]
    return (images * rescale - means) / stds


def save_pretrained(model, folder: Path, preprocess, **also: Any) -> None:
    """config.json, preprocessor_config.json, model.safetensors in half precision. preprocess: has
    the input's size (width, height), mean, std and rescale; also: what else its config says."""
    # A copy: the caller's model stays in full precision.
    copy.deepcopy(model).half().save_pretrained(folder)
    preprocessor = also | {
        "do_normalize": True,
        "do_rescale": True,
        "rescale_factor": preprocess.rescale,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
        "size": {"width": preprocess.size[0], "height": preprocess.size[1]},
    }
    text = json.dumps(preprocessor, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text)


@torch.no_grad()
def follow(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """The average of weights, a step on; what isn't a weight, as a count of batches, is copied."""
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def _locate(name: str, shipped: Mapping[str, Path], what: str, example: str) -> str:
    """A folder's path or a hub repository's name, told apart before anything is downloaded."""
    path = shipped.get(name, Path(name).expanduser())
    if path.is_dir():
        return str(path)
    is_repository = name.count("/") == 1 and name[0] not in "/.~"
    if name in shipped or not is_repository:
        raise WeightsError(
            f"{what} {name!r}: no such folder; expected {sorted(shipped)}, a folder, or a hub"
            f" repository such as {example}"
        )
    return name
