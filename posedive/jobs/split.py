"""`posedive split`: a set with SMPL fits -> a split file whose test shows what training never saw.

    images with fits -> halves, by viewpoint or pose -> train | query, gallery -> split file, figure
One process, no Ray: fits are read, pixels are not. Running again writes the same.
"""

import io
import logging
from typing import Any

import numpy as np

from posedive.datasets import Dataset
from posedive.datasets.biased import (
    Halves,
    biased_split,
    halves_by_camera,
    halves_by_pose,
    halves_by_viewpoint,
    overlap,
    part_people,
)
from posedive.datasets.split_file import folder_and_name, write_split_file
from posedive.errors import DatasetError
from posedive.jobs.sources import open_spec_dataset, people_of, what_set
from posedive.jobs.split_figure import Told, draw
from posedive.records import PersonImage
from posedive.render.viewpoints import viewpoint_of
from posedive.spec.split import Split
from posedive.storage import open_store

log = logging.getLogger(__name__)
SIZE = (64, 128)  # of the embedded world's images, which are not drawn


def run(spec: Split) -> dict[str, Any]:
    """Returns counts, and the overlap along the cut before and after."""
    dataset = open_spec_dataset(spec.dataset, SIZE)
    images, of_test, without_fit = _people(spec, dataset)
    for name, reason in dataset.skipped:
        log.warning("skipped image=%s reason=%s", name, reason)
    told = _tell(images, of_test)
    halves = _halves(spec, images, told)
    splits = biased_split(images, of_test, halves, spec.seed)
    write_split_file(spec.output, what_set(spec.dataset), spec.asked(), splits)

    row = {image.key: i for i, image in enumerate(images)}
    train = np.array([row[i.key] for i in splits["train"]])
    test = np.array([row[i.key] for i in (*splits["query"], *splits["gallery"])])
    along = halves.coordinate
    before = overlap(along[~of_test], along[of_test])
    after = overlap(along[train], along[test])
    figure = spec.output.removesuffix(".json") + ".png"
    folder, name = folder_and_name(figure)
    stream = io.BytesIO()
    draw(told, halves, train, test).save(stream, "PNG")
    open_store(folder).put(name, stream.getvalue())
    return {
        "train": len(splits["train"]),
        "train_people": len({image.pid for image in splits["train"]}),
        "query": len(splits["query"]),
        "gallery": len(splits["gallery"]),
        "test_people": len({image.pid for image in splits["gallery"]}),
        "left_out": len(images) - len(train) - len(test),
        "without_fit": without_fit,
        "axis": halves.axis,
        "cut": round(halves.cut, 3),
        "groups": [list(group) for group in halves.groups],
        "overlap_before": round(before, 4),
        "overlap": round(after, 4),
        "output": spec.output,
        "figure": figure,
    }


def _people(spec: Split, dataset: Dataset) -> tuple[list[PersonImage], np.ndarray, int]:
    """Images with fits, of people alone; which are of people for the test; how many had no fit."""
    first = people_of(spec.dataset, dataset)
    trained = {image.pid for image in first}
    second = [
        image
        for name in spec.test_splits
        for image in dataset.images(name)
        if image.pid > 0 and image.pid not in trained
    ]
    everyone = [*first, *second]
    images = [image for image in everyone if image.fit is not None]
    if not images:
        raise DatasetError(
            f"dataset {spec.dataset.name}: none of {len(everyone)} images has an SMPL fit, which a"
            " split goes by; set dataset.fits"
        )
    if spec.test_splits:
        asked = {image.pid for image in second}
    else:
        asked = part_people([image.pid for image in images], spec.test_share, spec.seed)
    of_test = np.array([image.pid in asked for image in images])
    if of_test.all() or not of_test.any():
        raise DatasetError(
            f"test_splits {list(spec.test_splits)}: expected people other than the {len(trained)}"
            f" of {spec.dataset.split}, found none with SMPL fits"
        )
    return images, of_test, len(everyone) - len(images)


def _tell(images: list[PersonImage], of_test: np.ndarray) -> Told:
    fits = [image.fit for image in images if image.fit is not None]
    views = np.array([viewpoint_of(fit) for fit in fits])
    poses = np.stack([fit.body.body_pose for fit in fits])
    return Told(views[:, 0], views[:, 1], poses, of_test)


def _halves(spec: Split, images: list[PersonImage], told: Told) -> Halves:
    if spec.by == "pose":
        clusters = spec.pose.clusters
        return halves_by_pose(told.body_pose, clusters, spec.min_share, spec.gap_share, spec.seed)
    axis = spec.viewpoint.axis
    if not spec.viewpoint.whole_cameras:
        return halves_by_viewpoint(told.azimuth_deg, told.elevation_deg, axis, spec.gap_share)
    camids = np.array([image.camid for image in images])
    return halves_by_camera(told.azimuth_deg, told.elevation_deg, camids, axis, spec.min_share)
