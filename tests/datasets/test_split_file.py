import json
from dataclasses import replace

import pytest

from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.split_file import images_of_split, write_split_file
from posedive.errors import DatasetError

OF = {"name": "embedded", "seed": 0, "wide": False}


@pytest.fixture(scope="module")
def world():
    return EmbeddedWorld(identities=2)


def written(uri, world, name="train", source="train_diverse"):
    images = world.images(source)[1:4]
    write_split_file(uri, OF, {"by": "pose"}, {name: images, "query": world.images("query")[:1]})
    return images


def test_a_split_reads_back_as_the_sets_own_images(world, tmp_path):
    uri = f"{tmp_path}/splits/pose.json"
    images = written(uri, world)
    read = images_of_split(uri, OF, world, "train")
    assert [image.key for image in read] == [image.key for image in images]
    assert {image.split for image in read} == {"train_diverse"}
    assert world.read(read[0]).shape == (128, 64, 3)


def test_a_split_file_may_lie_in_a_bucket(world, s3_uri):
    written(f"{s3_uri}/pose.json", world)
    assert len(images_of_split(f"{s3_uri}/pose.json", OF, world, "train")) == 3


def test_a_split_of_another_set_is_refused(world, tmp_path):
    written(f"{tmp_path}/a.json", world)
    with pytest.raises(DatasetError, match="the split is of .*: 0.*the dataset is .*: 7"):
        images_of_split(f"{tmp_path}/a.json", OF | {"seed": 7}, world, "train")


def test_images_that_the_set_lacks_are_told(world, tmp_path, caplog):
    uri = f"{tmp_path}/a.json"
    there = world.images("train")[:2]
    gone = replace(there[0], key="0009_c1s1_000001_00")
    write_split_file(uri, OF, {}, {"train": [*there, gone], "query": [gone]})
    assert len(images_of_split(uri, OF, world, "train")) == 2
    assert "1 of 3 images of split train are not in the set's train" in caplog.text
    with pytest.raises(DatasetError, match="none of the 1 images of split query"):
        images_of_split(uri, OF, world, "query")


def test_a_split_that_the_file_has_not_and_a_file_that_is_none_are_refused(world, tmp_path):
    uri = f"{tmp_path}/a.json"
    written(uri, world)
    with pytest.raises(DatasetError, match="no split 'gallery'; it has train, query"):
        images_of_split(uri, OF, world, "gallery")
    for text in ("{", "[]", json.dumps({"format": 2}), json.dumps({"format": 1, "splits": []})):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(DatasetError, match="expected a split file of format 1"):
            images_of_split(uri, OF, world, "train")
