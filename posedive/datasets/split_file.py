"""A split as a file, JSON: the keys of its images by split, and the set that they are of.

    {"format": 1, "of": {"name": "msmt17"}, "rule": {...},
     "splits": {"train": {"train": [key, ...]}, "query": {"query": [...], "gallery": [...]}, ...}}

Within a split, keys stand below the set's own split in which the image is.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from posedive.datasets import Dataset
from posedive.errors import DatasetError
from posedive.records import PersonImage
from posedive.storage import open_store

log = logging.getLogger(__name__)
FORMAT = 1


def write_split_file(
    uri: str,
    of: Mapping[str, Any],
    rule: Mapping[str, Any],
    splits: Mapping[str, Sequence[PersonImage]],
) -> None:
    """of: what tells the set from others; rule: how the split was made, for people."""
    keys: dict[str, dict[str, list[str]]] = {name: {} for name in splits}
    for name, images in splits.items():
        for image in images:
            keys[name].setdefault(image.split, []).append(image.key)
    document = {"format": FORMAT, "of": dict(of), "rule": dict(rule), "splits": keys}
    folder, name = folder_and_name(uri)
    open_store(folder).put(name, json.dumps(document, indent=1).encode())


def images_of_split(
    uri: str, of: Mapping[str, Any], dataset: Dataset, split: str
) -> list[PersonImage]:
    """The set's images that the file has in `split`, as the set itself gives them.

    Images that the file names and the set lacks are told in the log. DatasetError when the file is
    none, or of another set, or nothing of the split is there.
    """
    splits = _read(uri, of)
    if split not in splits:
        known = ", ".join(splits)
        raise DatasetError(f"{uri}: no split {split!r}; it has {known}")
    found: list[PersonImage] = []
    wanted = 0
    for source, keys in splits[split].items():
        there = {image.key: image for image in dataset.images(source)}
        missing = [key for key in keys if key not in there]
        if missing:
            text = "%s: %d of %d images of split %s are not in the set's %s, the first %s"
            log.warning(text, uri, len(missing), len(keys), split, source, missing[0])
        found += [there[key] for key in keys if key in there]
        wanted += len(keys)
    if not found:
        raise DatasetError(f"{uri}: none of the {wanted} images of split {split} are in the set")
    return found


def folder_and_name(uri: str) -> tuple[str, str]:
    folder, slash, name = uri.rpartition("/")
    return (folder or "/") if slash else ".", name


def _read(uri: str, of: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    folder, name = folder_and_name(uri)
    data = open_store(folder).get(name)
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}")
        splits = {
            str(split): {str(source): [str(key) for key in keys] for source, keys in by.items()}
            for split, by in document["splits"].items()
        }
        written_for = dict(document["of"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{uri}: expected a split file of format {FORMAT}, as posedive split writes it, got"
            f" something else ({type(error).__name__}: {error})"
        ) from error
    if written_for != dict(of):
        raise DatasetError(f"{uri}: the split is of {written_for}, the dataset is {dict(of)}")
    return splits
