import dataclasses
import io
import json
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from posedive.errors import StorageError
from posedive.shards.commit import commit_shard, committed
from posedive.shards.document import open_plan, plan_document
from posedive.shards.stream import decode, samples
from posedive.shards.tar import MANIFEST, encode_shard, read_shard
from posedive.shards.verify import verify
from posedive.storage import open_store, s3
from tests.conftest import BUCKET
from tests.s3_server import S3Server
from tests.shards.people import WEIGHTS, fill, jpeg, samples_of, small_plan, tar_of
from tests.shards.test_tar import repacked

PLAN = small_plan(num_pids=6)  # 3 shards of 2 pids of 4 pairs
CLEAN = {
    "pairs": 24,
    "kept": 21,
    "rejected": 3,
    "reasons": {"low_confidence": 3},
    "shards": 3,
    "missing": 0,
    "doubled": 0,
    "corrupt": 0,
    "foreign": 0,
    "taken_down": 0,
    "problems": [],
}


@pytest.fixture(params=["file", "s3"])
def output(request: pytest.FixtureRequest, tmp_path):
    uri = str(tmp_path) if request.param == "file" else request.getfixturevalue("s3_uri")
    store = open_store(uri)
    fill(store, PLAN)
    return store


@pytest.fixture
def folder(tmp_path):
    store = open_store(str(tmp_path))
    fill(store, PLAN)
    return store


def counts(store, *names):
    found = dataclasses.asdict(verify(store))
    return [found[name] for name in names], " | ".join(found["problems"])


def test_a_whole_output_is_proved(output):
    found = verify(output)
    assert dataclasses.asdict(found) == CLEAN and found.ok


def test_a_missing_shard_counts_its_pairs(output):
    output.delete(PLAN.layout.name(1))
    found = verify(output)
    assert (found.missing, found.kept, found.rejected, found.ok) == (8, 14, 2, False)
    assert found.problems == [
        "missing: shards/shard-000001.tar with 8 pairs; run `posedive generate JOB.yaml` again"
    ]
    assert committed(output, PLAN) == {0, 2}


def test_an_output_before_its_first_shard_is_all_missing(tmp_path):
    store = open_store(str(tmp_path))
    open_plan(store, plan_document(PLAN, WEIGHTS, {}))
    found, told = counts(store, "missing", "kept", "corrupt")
    assert found == [24, 0, 0] and told.count("with 8 pairs") == 3


@pytest.mark.parametrize("length", [0, 700, 5000])
def test_a_truncated_shard_is_named(output, length):
    name = PLAN.layout.name(1)
    output.put(name, output.get(name)[:length])
    found, told = counts(output, "corrupt", "missing", "kept")
    assert found == [1, 0, 14] and "corrupt: shards/shard-000001.tar: " in told


def test_a_garbled_member_is_named(folder):
    name = PLAN.layout.name(2)
    victim = read_shard(folder.get(name))[1][0].key
    data = folder.get(name)
    at = data.index(samples_of(PLAN.shard(2))[1].jpeg)
    folder.put(name, data[: at + 40] + b"\0\1\2" + data[at + 43 :])
    found, told = counts(folder, "corrupt", "missing")
    assert found == [1, 0] and f"{name}: member '" in told and "sha256" in told and victim


def test_a_key_twice_in_a_shard_is_doubled(folder):
    name = PLAN.layout.name(0)
    victim = read_shard(folder.get(name))[1][0].key

    def edit(member, content):
        twice = member.startswith(victim)
        return [(tarfile.TarInfo(member), content)] * (2 if twice else 1)

    folder.put(name, repacked(folder.get(name), edit))
    found, told = counts(folder, "doubled", "corrupt", "missing", "kept")
    assert found == [1, 0, 0, 21] and victim in told


def test_a_key_in_two_shards_is_doubled_and_its_place_is_missed(folder):
    # Shard 1 holds one of shard 0's samples in the place of one of its own.
    other, own = PLAN.shard(0), PLAN.shard(1)
    pairs = (other.pairs[0], *own.pairs[1:])
    swapped = dataclasses.replace(own, pairs=pairs)
    manifest = {"plan": PLAN.digest, "weights": WEIGHTS, "rejected": {}}
    folder.put(own.name, encode_shard(swapped, samples_of(swapped), manifest))
    found, told = counts(folder, "doubled", "missing", "foreign", "corrupt")
    assert found == [1, 1, 0, 0]
    assert f"doubled: {own.name}: 1 keys, {other.pairs[0].key}" in told
    assert f"missing: {own.name}: 1 keys, {own.pairs[0].key}" in told


def test_what_no_plan_knows_is_foreign(output):
    output.put("shards/shard-000007.tar", tar_of(PLAN, 0))
    output.put("shards/notes.txt", b"hello")
    output.put("report.html", b"derived files lie beside the shards")
    found, told = counts(output, "foreign", "corrupt", "kept")
    assert found == [2, 0, 21] and "shards/notes.txt" in told


def test_a_shard_of_another_plan_is_corrupt(folder):
    other = small_plan(num_pids=6, seed=1)
    folder.put(PLAN.layout.name(0), tar_of(other, 0))
    found, told = counts(folder, "corrupt")
    assert found == [1] and f"{MANIFEST}: plan is '{other.digest}'" in told


def test_a_shard_of_other_weights_is_corrupt(folder):
    shard = PLAN.shard(0)
    manifest = {"plan": PLAN.digest, "weights": "another", "rejected": {}}
    folder.put(shard.name, encode_shard(shard, samples_of(shard), manifest))
    assert "weights is 'another'" in counts(folder, "corrupt")[1]


def test_a_sample_of_another_seed_is_corrupt(folder):
    shard = PLAN.shard(0)
    made = samples_of(shard)
    made[3] = dataclasses.replace(made[3], record=made[3].record | {"seed": 5})
    manifest = {"plan": PLAN.digest, "weights": WEIGHTS, "rejected": {}}
    folder.put(shard.name, encode_shard(shard, made, manifest))
    assert f"member '{made[3].key}.json': its seed" in counts(folder, "corrupt")[1]


def test_what_is_no_output_is_told(tmp_path):
    with pytest.raises(StorageError, match="no plan.json"):
        verify(open_store(str(tmp_path / "nothing")))


def test_verification_is_one_json_object(folder):
    assert json.loads(json.dumps(dataclasses.asdict(verify(folder)))) == CLEAN


def test_of_many_attempts_at_a_shard_the_first_stands(output):
    name = "shards/contended.tar"
    attempts = [tar_of(PLAN, 0, num_rejected=count) for count in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda data: commit_shard(output, name, data), attempts))
    assert sum(won) == 1 and output.get(name) == attempts[won.index(True)]


def test_a_job_outlives_the_kills_of_its_server(tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "LONGEST_WAIT_S", 0.5)  # it is back within seconds
    plan = small_plan(num_pids=24, images_per_identity=4, min_shards=24)
    with S3Server(tmp_path) as server, server.environment():
        server.create_bucket(BUCKET)
        store = open_store(f"s3://{BUCKET}/out")
        open_plan(store, plan_document(plan, WEIGHTS, {}))
        outage = threading.Event()

        def write(index: int) -> bool:
            if index == 6:
                outage.set()
            return commit_shard(store, plan.layout.name(index), tar_of(plan, index))

        def interrupt():
            outage.wait()
            for _ in range(2):
                server.kill()
                server.start()

        chaos = threading.Thread(target=interrupt)
        chaos.start()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(plan.num_shards)))
        chaos.join()
        found = verify(store)
        assert found.ok and found.kept == 72 and committed(store, plan) == set(range(24))


def test_samples_stream_in_the_plans_order(output):
    read = list(samples(output))
    assert len(read) == 21
    expected = [
        sample
        for index in range(3)
        for sample in read_shard(tar_of(PLAN, index), PLAN.layout.name(index))[1]
    ]
    assert read == expected
    assert decode(read[0]).size == (16, 32) and decode(read[0]).mode == "RGB"
    assert io.BytesIO(jpeg(0)).read(2) == b"\xff\xd8"
