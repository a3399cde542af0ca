"""Which images of a person go together: training pairs, and the others that an appearance map
draws on beside its reference."""

from collections.abc import Iterator, Sequence

import numpy as np

from posedive.records import PersonImage
from posedive.render.viewpoints import viewpoint_of


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


def companions(
    images: Sequence[PersonImage], reference: PersonImage, count: int
) -> list[PersonImage]:
    """Up to `count` other images of the reference's person, each seen from as far from the ones
    before it as there is (in azimuth); only images with a fit. Deterministic."""
    others = [i for i in images if i.fit is not None and i.key != reference.key]
    if reference.fit is None or not others:
        return []
    azimuth = {i.key: viewpoint_of(i.fit)[0] for i in (reference, *others) if i.fit is not None}
    chosen: list[PersonImage] = []
    while others and len(chosen) < count:
        taken = [azimuth[image.key] for image in (reference, *chosen)]
        farthest = max(others, key=lambda i: (min(_arc(azimuth[i.key], a) for a in taken), i.key))
        chosen.append(farthest)
        others.remove(farthest)
    return chosen


def _arc(a_deg: float, b_deg: float) -> float:
    return abs((a_deg - b_deg + 180) % 360 - 180)
