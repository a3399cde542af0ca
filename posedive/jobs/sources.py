"""The parts that a spec names, opened: dataset, viewpoints. For drivers and workers alike."""

from typing import Any

import cv2
import numpy as np

from posedive.datasets import Dataset, open_dataset
from posedive.datasets.split_file import images_of_split
from posedive.errors import DatasetError
from posedive.records import PersonImage
from posedive.render.viewpoints import NEAR_ORTHOGRAPHIC, PERSPECTIVE
from posedive.spec.parts import READER_FIELDS, Viewpoints
from posedive.spec.parts import Dataset as DatasetSpec

FOCALS = {"perspective": PERSPECTIVE, "near_orthographic": NEAR_ORTHOGRAPHIC}


def open_spec_dataset(spec: DatasetSpec, size: tuple[int, int]) -> Dataset:
    """Raises DatasetError when the root is missing or is not what it is said to be."""
    if spec.name == "embedded":
        # A wide world is as large as it is asked to be; the biased one has its people and splits.
        count = {"identities": spec.identities} if spec.wide and spec.identities else {}
        return open_dataset("embedded", seed=spec.seed, wide=spec.wide, size=size, **count)
    own = {key: getattr(spec, key) for key in READER_FIELDS if getattr(spec, key)}
    return open_dataset(spec.name, root=spec.root, fits=spec.fits, **own)


def what_set(spec: DatasetSpec) -> dict[str, Any]:
    """What tells the set from others that have the same keys."""
    if spec.name == "embedded":
        return {"name": spec.name, "seed": spec.seed, "wide": spec.wide}
    return {"name": spec.name} | ({"boxes": spec.boxes} if spec.boxes else {})


def images_of(spec: DatasetSpec, dataset: Dataset, split: str) -> list[PersonImage]:
    """A split of the set's own, or of the spec's split file."""
    if spec.split_file is None:
        return dataset.images(split)
    return images_of_split(spec.split_file, what_set(spec), dataset, split)


def people_of(spec: DatasetSpec, dataset: Dataset) -> list[PersonImage]:
    """The split's images of its first `identities` pids as shuffled by the seed; no junk (pid -1),
    no distractors (pid 0)."""
    images = [image for image in images_of(spec, dataset, spec.split) if image.pid > 0]
    pids = sorted({image.pid for image in images})
    # Of a wide world `identities` is the size, of which a split file has taken a part.
    if spec.identities is None or (spec.wide and spec.split_file):
        return images
    if spec.identities > len(pids):
        raise DatasetError(
            f"dataset.identities: expected at most the {len(pids)} pids of split {spec.split!r}, "
            f"got {spec.identities}"
        )
    order = np.random.default_rng((spec.seed, 0x1D)).permutation(len(pids))
    chosen = {pids[i] for i in order[: spec.identities]}
    return [image for image in images if image.pid in chosen]


def read_image(dataset: Dataset, image: PersonImage, size: tuple[int, int]) -> np.ndarray:
    """The image's pixels at the job's size; a fit's camera is in image heights, so it still fits.

    Raises DatasetError or OSError when it can't be read.
    """
    pixels = dataset.read(image)
    if pixels.shape[:2] == (size[1], size[0]):
        return pixels
    shrinks = pixels.shape[0] > size[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def focal_of(spec: Viewpoints) -> float:
    """In image heights."""
    return FOCALS[spec.focal] if isinstance(spec.focal, str) else spec.focal
