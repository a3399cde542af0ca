"""posedive split on the embedded world: its file feeds any job."""

import numpy as np
import pytest
from PIL import Image

from posedive.datasets.biased import axis_deg
from posedive.errors import DatasetError, SpecError
from posedive.jobs.sources import images_of, open_spec_dataset, people_of
from posedive.jobs.split import run
from posedive.render.viewpoints import viewpoint_of
from posedive.spec import load_job
from posedive.spec.parts import Dataset
from posedive.spec.split import Split

SIZE = (64, 128)


def spec_of(tmp_path, **changes) -> Split:
    document = {
        "kind": "split",
        "dataset": {"name": "embedded", "split": "train_diverse", "identities": 40},
        "by": "viewpoint",
        "test_splits": ["query_diverse", "gallery_diverse"],
        "viewpoint": {"axis": "front_back", "whole_cameras": False},
        "output": f"{tmp_path}/splits/one.json",
    }
    return Split.model_validate(document | changes)


def front_to_back(images) -> np.ndarray:
    azimuth, elevation = np.array([viewpoint_of(image.fit) for image in images]).T
    return axis_deg(azimuth, elevation, "front_back")


def test_training_sees_fronts_and_the_test_shows_backs_of_others(tmp_path):
    spec = spec_of(tmp_path)
    told = run(spec)
    assert told["overlap"] == 0 < 0.5 < told["overlap_before"]
    assert told["without_fit"] == 0
    dataset = Dataset(name="embedded", split_file=spec.output)
    world = open_spec_dataset(dataset, SIZE)
    train = people_of(dataset, world)
    test = images_of(dataset, world, "query") + images_of(dataset, world, "gallery")
    assert (len(train), len(test)) == (told["train"], told["query"] + told["gallery"])
    assert not {image.pid for image in train} & {image.pid for image in test}
    seen, shown = (front_to_back(images) for images in (train, test))
    assert seen.max() < told["cut"] < shown.min() or shown.max() < told["cut"] < seen.min()
    with Image.open(told["figure"]) as figure:
        assert figure.format == "PNG"


def test_running_again_writes_the_same_split(tmp_path):
    spec = spec_of(tmp_path, by="pose", pose={"clusters": 6})
    assert run(spec)["overlap"] == 0
    first = (tmp_path / "splits" / "one.json").read_bytes()
    run(spec)
    assert (tmp_path / "splits" / "one.json").read_bytes() == first


def test_whole_cameras_of_the_biased_world_are_parted_and_people_by_the_seed(tmp_path):
    dataset = {"name": "embedded", "identities": 40}
    told = run(spec_of(tmp_path, dataset=dataset, test_splits=[], viewpoint={}, min_share=0.2))
    low, high = told["groups"]
    assert sorted([*low, *high]) == [1, 2, 3, 4, 5, 6]
    assert told["overlap"] < 0.05
    assert told["train_people"] > told["test_people"] > 0


def test_a_test_without_other_people_is_refused(tmp_path):
    spec = spec_of(tmp_path, dataset={"name": "embedded"}, test_splits=["train"])
    with pytest.raises(DatasetError, match="expected people other than the 100 of train,"):
        run(spec)


def test_a_split_of_a_split_and_auto_without_cameras_are_refused(tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text("kind: split\ndataset: {name: embedded}\nby: pose\noutput: a.json\n")
    assert isinstance(load_job(job), Split)
    for override, message in {
        "dataset.split_file=b.json": "a split is cut from the set itself",
        "viewpoint.whole_cameras=false": "without whole_cameras say elevation",
        "output=a.yaml": "ends in .json",
        "by=camera": "expected one of viewpoint, pose",
    }.items():
        with pytest.raises(SpecError, match=message):
            load_job(job, [override])
