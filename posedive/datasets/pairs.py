"""Training pairs: a reference and targets of the same person, never the same image."""

from collections.abc import Iterator, Sequence

import numpy as np

from posedive.records import PersonImage


def training_pairs(
    images: Sequence[PersonImage],
    rng: np.random.Generator,
    references: int,
    targets: int,
    same_camera_ratio: float,
    targets_from: Sequence[PersonImage] | None = None,
) -> Iterator[tuple[PersonImage, list[PersonImage]]]:
    """`references` images of one pid, each with `targets` others of the same pid.

    same_camera_ratio: the chance that a target comes from the reference's camera, where both kinds
    exist; a generated image keeps its reference's camera. With fewer images than asked for, they
    come again; one image alone makes no pair.
    targets_from: the images that may be targets, when those that may be references are others.
    """
    if len({image.pid for image in images}) > 1:
        raise ValueError("training pairs are of one pid")
    if not images:
        return
    order = rng.permutation(len(images))
    for i in np.resize(order, references):
        reference = images[int(i)]
        others = [image for image in targets_from or images if image.key != reference.key]
        if not others:
            continue
        same = [image for image in others if image.camid == reference.camid]
        cross = [image for image in others if image.camid != reference.camid]
        chosen: list[PersonImage] = []
        for _ in range(targets):
            pool = same if rng.random() < same_camera_ratio else cross
            pool = pool or same or cross
            fresh = [image for image in pool if image not in chosen] or pool
            chosen.append(fresh[int(rng.integers(len(fresh)))])
        yield reference, chosen
