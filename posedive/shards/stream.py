"""Samples of an output, in the plan's order: the plainest way to read what was generated."""

from collections.abc import Iterator

from PIL import Image

from posedive.shards.indexed import decode_rgb
from posedive.shards.layout import PREFIX
from posedive.shards.tar import Sample, read_shard
from posedive.storage import Store


def samples(store: Store) -> Iterator[Sample]:
    """Every kept sample, one shard in memory at a time. Raises ShardError for a bad shard."""
    for name, _ in store.list(PREFIX):
        if name.endswith(".tar"):
            yield from read_shard(store.get(name), name)[1]


def decode(sample: Sample) -> Image.Image:
    """The sample's picture, RGB."""
    return decode_rgb(sample.jpeg)
