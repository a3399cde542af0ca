import json
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from posedive.errors import RequestError, ShardError, StorageError
from posedive.shards import loaders
from posedive.shards.finalize import finalize, take_down
from posedive.shards.index import merge, open_index, real_index
from posedive.shards.index_file import IndexWriter, read_table
from posedive.shards.loaders import (
    IndexedDataset,
    PkStream,
    ShardStream,
    StreamLoader,
    decode_array,
    decode_rgb,
)
from posedive.shards.stream import samples
from posedive.storage import open_reader, open_store, s3
from tests.conftest import BUCKET
from tests.s3_server import S3Server
from tests.shards.people import fill, jpeg, small_plan
from tests.web_server import web_server

# More workers than this machine has cores are no matter here.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

PLAN = small_plan(num_pids=16, images_per_identity=5, min_shards=4)  # 4 kept of each, 5 shards
SIZE = 76  # 80 less the first of each of 4 shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("output")
    store = open_store(str(root))
    fill(store, PLAN)
    finalize(store)
    return root


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    store = open_store(str(tmp_path / "own"))
    fill(store, PLAN)
    finalize(store)
    return tmp_path / "own"


@pytest.fixture
def real_images(tmp_path: Path) -> list[tuple[str, int, int, int]]:
    listed = []
    for pid in range(1, 17):
        for at in range(3):
            path = tmp_path / f"{pid:04d}_c{1 + at}s1_{at:06d}_00.jpg"
            path.write_bytes(jpeg(pid))
            listed.append((str(path), pid, 1 + at, 0))  # torchreid's have a fourth field
    return listed


def keys_of(batches) -> list[str]:
    return [key for batch in batches for key in batch["key"]]


def loader(stream, workers, **options):
    return StreamLoader(stream, workers, **options)


array_stream = partial(ShardStream, decode=decode_array)


def test_each_sample_comes_once_with_what_the_shard_says_of_it(folder):
    expected = {sample.key: sample for sample in samples(open_store(str(folder)))}
    read = list(ShardStream(str(folder)))
    assert len(read) == SIZE == len(ShardStream(str(folder)))
    assert {one["key"] for one in read} == expected.keys()
    for one in read:
        record = expected[one["key"]].record
        assert (one["pid"], one["camid"]) == (record["pid"], record["camid"])
        assert one["generated"] is True and one["image"].size == (16, 32)
        assert one["image"].tobytes() == decode_rgb(expected[one["key"]].jpeg).tobytes()


@pytest.mark.parametrize("workers", [1, 2, 4, 9])
def test_ranks_and_workers_share_an_epoch_even_more_workers_than_shards(folder, workers):
    seen = []
    for rank in range(2):
        stream = ShardStream(str(folder), 8, rank=rank, world_size=2)
        parts = [stream.rows(worker, workers).tolist() for worker in range(workers)]
        assert sum(map(len, parts)) == len(stream) == SIZE // 2
        assert sum(-(-len(part) // 8) for part in parts) == stream.num_batches
        seen += sum(parts, [])
    assert sorted(seen) == list(range(SIZE))


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_of_an_epoch_are_as_many_as_told(folder, workers):
    batches = loader(array_stream(str(folder), 8), workers)
    read = list(batches)
    assert len(read) == len(batches) == 10
    assert sorted(len(batch["pid"]) for batch in read) == [4] + [8] * 9
    assert len(set(keys_of(read))) == SIZE
    assert read[0]["image"].shape == (8, 32, 16, 3)


def test_the_order_follows_from_seed_and_epoch(folder):
    def keys(**arguments):
        return [one["key"] for one in ShardStream(str(folder), **arguments)]

    assert keys() == keys(seed=0) != keys(seed=1)
    batches = loader(array_stream(str(folder), 8, seed=3), 0)
    first, second = keys_of(batches), keys_of(batches)
    assert first != second and sorted(first) == sorted(second)
    batches.set_epoch(0)
    assert keys_of(batches) == first
    listed = [s.key for s in samples(open_store(str(folder)))]
    assert keys(shuffle=0) == listed


def test_an_epoch_reaches_workers_that_live_on(folder):
    stream = array_stream(str(folder), 8)
    batches = DataLoader(stream, batch_size=8, num_workers=2, persistent_workers=True)
    read = []
    for epoch in (0, 1, 0):
        stream.set_epoch(epoch)
        read.append(keys_of(batches))
    assert read[0] == read[2] != read[1] and sorted(read[0]) == sorted(read[1])


@pytest.mark.parametrize("make", ["shards", "pk", "mixed"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_stopped_and_gone_on_an_epoch_is_the_uninterrupted_one(folder, real_images, workers, make):
    def ranks():
        for rank in range(2):
            place = {"rank": rank, "world_size": 2, "decode": decode_array}
            if make == "pk":
                yield PkStream(str(folder), 4, 2, **place)
            elif make == "mixed":
                index = merge(real_index(real_images), open_index(str(folder)))
                yield ShardStream(index, 8, generated_per_batch=4, **place)
            else:
                yield ShardStream(str(folder), 8, **place)

    whole, pieces = [], []
    for stream, again, resumed in zip(ranks(), ranks(), ranks(), strict=True):
        whole += keys_of(loader(stream, 0))
        first = loader(again, workers)
        for count, batch in enumerate(first, 1):
            pieces += batch["key"]
            if count == 3:
                break
        state = json.loads(json.dumps(first.state_dict()))
        second = loader(resumed, 3 - workers if workers < 3 else workers)
        second.load_state_dict(state)
        pieces += keys_of(second)
        assert second.state_dict()["epoch"] == 1 and second.state_dict()["history"] == []
    assert Counter(pieces) == Counter(whole)


def test_a_state_of_another_set_is_refused(folder):
    state = loader(ShardStream(str(folder), 8), 0).state_dict()
    with pytest.raises(RequestError, match="expected batch_size 8, where it was saved, got 16"):
        loader(ShardStream(str(folder), 16), 0).load_state_dict(state)


def test_a_stream_without_a_loader_knows_its_own_place(folder):
    whole = [one["key"] for one in ShardStream(str(folder))]
    stream = ShardStream(str(folder))
    reading = iter(stream)
    first = [next(reading)["key"] for _ in range(30)]
    again = ShardStream(str(folder))
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert first + [one["key"] for one in again] == whole


def test_pk_batches_hold_p_people_with_k_images(folder):
    batches = loader(PkStream(str(folder), 4, 2, decode=decode_array), 2)
    seen = Counter()
    for _ in range(2):
        expected, read = len(batches), list(batches)
        assert len(read) == expected
        for batch in read:
            pids = batch["pid"].numpy().reshape(4, 2)
            assert len(set(pids[:, 0])) == 4 and (pids[:, 0] == pids[:, 1]).all()
            assert len(set(batch["key"])) == 8
        seen.update(keys_of(read))
    assert seen.keys() == set(open_index(str(folder)).keys) and seen.total() == 2 * SIZE


def test_ranks_get_equally_many_pk_batches_with_drop_last(folder):
    streams = [
        PkStream(str(folder), 4, 2, rank=r, world_size=3, drop_last=True, decode=decode_array)
        for r in range(3)
    ]
    assert len({stream.num_batches for stream in streams}) == 1
    seen = sum((stream.rows().tolist() for stream in streams), [])
    assert len(seen) % 24 == 0


def test_real_and_generated_images_are_one_set_by_pid(folder, real_images):
    index = merge(real_index(real_images), open_index(str(folder)))
    stream = PkStream(index, 4, 4, generated_per_identity=1, decode=decode_array)
    batches = list(loader(stream, 0))
    for batch in batches:
        assert batch["generated"].reshape(4, 4).sum(1).tolist() == [1] * 4
        assert len(set(batch["pid"].tolist())) == 4
    assert {path for path, *_ in real_images} <= set(keys_of(batches))


def test_any_sample_by_its_number(folder):
    # Any: torch's DataLoader takes whatever has a length and items, but its stub wants a Dataset.
    dataset: Any = IndexedDataset(str(folder), decode=decode_array)
    expected = {
        sample.key: decode_array(sample.jpeg) for sample in samples(open_store(str(folder)))
    }
    assert len(dataset) == SIZE == len(dataset.pids)
    for row in (0, SIZE - 1, 17):
        one = dataset[row]
        assert one["key"] == dataset.keys[row] and one["pid"] == dataset.pids[row]
        np.testing.assert_array_equal(one["image"], expected[one["key"]])
    order = [5, 3, 60, 3]
    read = next(iter(DataLoader(dataset, batch_size=4, sampler=order, num_workers=1)))
    assert read["key"] == [dataset.keys[row] for row in order]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_web_server_is_read_with_its_passing_failures(folder, ranges):
    with web_server(folder, ranges) as server:
        dataset = IndexedDataset(server.url, decode=decode_array)
        server.faults = [503, "cut", 500]
        assert dataset[7]["key"] == dataset.keys[7]
        assert not server.faults
        read = [one["key"] for one in ShardStream(server.url)]
        assert sorted(read) == sorted(dataset.keys)
        with pytest.raises(StorageError, match="there is no such object"):
            dataset.index.objects[0].store.get("nothing")


def test_a_web_server_that_stays_away_is_told(folder):
    with web_server(folder) as server:
        reader = open_reader(server.url, patience_s=0.3)
        server.faults = [503] * 50
        with pytest.raises(StorageError, match="HTTP 503 for 0 s; is the server up"):
            reader.get("index.parquet")


@pytest.mark.parametrize("uri", ["http://user:secret@host/a", "https://host/a?token=secret"])
def test_a_web_address_with_a_secret_is_refused_and_not_repeated(uri):
    with pytest.raises(StorageError) as caught:
        ShardStream(uri)
    assert "secret" not in str(caught.value)


def test_a_cache_fetches_a_shard_once_and_serves_it_from_then_on(folder, tmp_path):
    cache = str(tmp_path / "cache")
    with web_server(folder) as server:
        dataset = IndexedDataset(server.url, decode=decode_array, cache=cache)
        read = [dataset[row]["key"] for row in range(SIZE)]
        assert read == list(dataset.keys)
        assert Counter(server.asked)[f"/{PLAN.layout.name(0)}"] == 1
        begun = len(server.asked)
        assert len(list(ShardStream(dataset.index, cache=cache))) == SIZE
        assert len(server.asked) == begun


def test_who_is_taken_down_leaves_caches_too(own_folder, tmp_path):
    cache = tmp_path / "cache"
    with web_server(own_folder) as server:
        running = IndexedDataset(server.url, cache=str(cache))
        mine = int(np.flatnonzero(running.pids == 3)[0])
        for row in range(SIZE):
            assert running[row]["pid"] == running.pids[row]
        held = running.index.objects[running.index.object[mine]]
        take_down(open_store(str(own_folder)), 3)
        fresh = IndexedDataset(server.url, cache=str(cache))
        assert (
            3 not in fresh.pids and len(list(cache.glob("*.tar"))) == len(fresh.index.objects) - 1
        )
        assert not any(b"0003_c" in path.read_bytes() for path in cache.iterdir())
        with pytest.raises(ShardError, match="open the index again if somebody was taken down"):
            running[mine]
        assert [fresh[row]["key"] for row in range(len(fresh))] == list(fresh.keys)
        assert (
            {path.stem[-64:] for path in cache.iterdir()}
            == {one.sha256 for one in fresh.index.objects}
            != {held.sha256}
        )


@pytest.mark.slow
def test_s3_is_streamed_and_an_epoch_outlives_the_kill_of_its_server(tmp_path, monkeypatch):
    monkeypatch.setattr(loaders, "READ_ROWS", 50)  # or all would have come before the kill
    monkeypatch.setattr(s3, "LONGEST_WAIT_S", 0.5)
    plan = small_plan(num_pids=24, images_per_identity=20, min_shards=6)
    with S3Server(tmp_path) as server, server.environment():
        server.create_bucket(BUCKET)
        store = open_store(f"s3://{BUCKET}/out")
        fill(store, plan)
        finalize(store)
        read = []
        for at, one in enumerate(ShardStream(store.uri, shuffle=100)):
            read.append(one["key"])
            if at == 100:
                server.kill()
                threading.Timer(1.0, server.start).start()
        assert sorted(read) == sorted(open_index(store.uri).keys) and len(read) == 474


# Bad input


def test_no_index_is_told(own_folder):
    (own_folder / "index.parquet").unlink()
    with pytest.raises(ShardError, match=r"index.parquet: there is none; run `posedive finalize"):
        ShardStream(str(own_folder))


@pytest.mark.parametrize("make", [ShardStream, IndexedDataset])
def test_a_missing_shard_is_named(own_folder, make):
    dataset = make(str(own_folder))
    (own_folder / PLAN.layout.name(1)).unlink()
    with pytest.raises(ShardError, match=r"shard-000001.tar: missing; run `posedive verify file:"):
        [dataset[row] for row in range(SIZE)] if make is IndexedDataset else list(dataset)


@pytest.mark.parametrize("length", [0, 700, 5000])
def test_a_truncated_shard_is_named(own_folder, length):
    path = own_folder / PLAN.layout.name(1)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ShardError, match=r"shard-000001.tar: truncated: .*run `posedive verify"):
        list(ShardStream(str(own_folder)))


def test_a_shard_that_changed_under_its_index_is_named_and_finalize_mends_it(own_folder):
    stale = (own_folder / "index.parquet").read_bytes()
    take_down(open_store(str(own_folder)), 3)
    fresh = (own_folder / "index.parquet").read_bytes()
    (own_folder / "index.parquet").write_bytes(stale)
    with pytest.raises(ShardError, match="(truncated|that the index was made of).*posedive verify"):
        list(ShardStream(str(own_folder)))
    finalize(open_store(str(own_folder)))
    assert (own_folder / "index.parquet").read_bytes() == fresh
    assert 3 not in {one["pid"] for one in ShardStream(str(own_folder))}


def test_a_doubled_key_is_named(own_folder):
    path = own_folder / "index.parquet"
    table, told = read_table(path.read_bytes(), "index")
    doubled = IndexWriter()
    doubled.add(table)
    doubled.add(table.slice(4, 1))
    path.write_bytes(doubled.close(told["plan"], told["shards"]))
    key = table.column("key")[4].as_py()
    with pytest.raises(ShardError, match=f"key '{key}' is there twice.*posedive finalize URI"):
        IndexedDataset(str(own_folder))


@pytest.mark.parametrize("data", [b"", b"PAR1 and what not", None])
def test_what_is_no_index_is_told(own_folder, data):
    path = own_folder / "index.parquet"
    path.write_bytes(path.read_bytes()[:-9] if data is None else data)
    with pytest.raises(ShardError, match="no offset index .*; run `posedive finalize URI`"):
        open_index(str(own_folder))


def test_a_lost_real_image_is_named(folder, real_images):
    Path(real_images[4][0]).unlink()
    with pytest.raises(StorageError, match="0002_c2s1_000001_00.jpg: No such file"):
        list(ShardStream(merge(real_index(real_images), open_index(str(folder)))))
