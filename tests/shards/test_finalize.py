import hashlib
import io
import json
import os
import signal
import tarfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import boto3
import numpy as np
import pytest
import yaml
from PIL import Image

from posedive.errors import RequestError, ShardError, StorageError
from posedive.shards import takedown
from posedive.shards.card import FREE, RESEARCH, strictest
from posedive.shards.document import open_plan, plan_document
from posedive.shards.finalize import finalize, take_down
from posedive.shards.index import open_index
from posedive.shards.loaders import ShardStream
from posedive.shards.provenance import digital_source_type, with_provenance
from posedive.shards.tar import drop_pids, read_extras, read_shard
from posedive.shards.verify import verify
from posedive.storage import open_store
from tests.shards.people import WEIGHTS, fill, jpeg, small_plan, tar_of
from tests.shards.test_tar import repacked, with_manifest

PLAN = small_plan(num_pids=6)  # 3 shards of 2 pids of 4 pairs, the first pair of each rejected
SPEC = {
    "dataset": {"name": "embedded", "split": "train"},
    "generator": {"weights": "embedded"},
    "body": "embedded",
    "poses": "embedded-external",
}
DERIVED = {
    "README.md",
    "SHA256SUMS",
    "_SUCCESS",
    "_info.json",
    "contact_sheet.jpg",
    "index.parquet",
    "sizes.json",
}


@pytest.fixture(params=["file", "s3"])
def output(request: pytest.FixtureRequest, tmp_path):
    uri = str(tmp_path) if request.param == "file" else request.getfixturevalue("s3_uri")
    store = open_store(uri)
    fill(store, PLAN, SPEC)
    return store


@pytest.fixture
def folder(tmp_path):
    store = open_store(str(tmp_path))
    fill(store, PLAN, SPEC)
    return store


def objects(store):
    return {name: store.get(name) for name, _ in store.list()}


def test_the_index_says_where_each_picture_is(output):
    told = finalize(output)
    assert told == {"samples": 21, "identities": 6, "shards": 3, "taken_down": 0}
    index = open_index(output.uri)
    assert len(index) == 21
    samples = {
        s.key: s
        for i in range(3)
        for s in read_shard(output.get(PLAN.layout.name(i)), PLAN.layout.name(i))[1]
    }
    assert set(index.keys) == samples.keys()
    for row, key in enumerate(index.keys):
        held = index.objects[index.object[row]]
        read = held.store.get_range(held.name, int(index.offset[row]), int(index.size[row]))
        assert read == samples[key].jpeg
        assert index.sha256[row].tobytes() == hashlib.sha256(read).digest()
        record = samples[key].record
        assert (index.pids[row], index.camids[row]) == (record["pid"], record["camid"])


def test_identities_are_contiguous_and_in_one_shard(folder):
    finalize(folder)
    index = open_index(folder.uri)
    changes = np.count_nonzero(np.diff(index.pids))
    assert changes == len(set(index.pids)) - 1 == 5
    assert all(len(set(index.object[index.pids == pid])) == 1 for pid in set(index.pids))


def test_derived_files_are_there_and_checked_by_their_sums(output):
    finalize(output)
    names = {name for name, _ in output.list()} - {"plan.json"}
    assert {name for name in names if not name.startswith("shards/")} == DERIVED
    sums = dict(line.split("  ")[::-1] for line in output.get("SHA256SUMS").decode().splitlines())
    assert sums.keys() == names - {"SHA256SUMS", "_SUCCESS"}
    for name, digest in sums.items():
        assert hashlib.sha256(output.get(name)).hexdigest() == digest
    success = output.get("_SUCCESS").decode().strip()
    assert success == hashlib.sha256(output.get("SHA256SUMS")).hexdigest()


def test_sizes_and_info_count_the_samples(folder):
    finalize(folder)
    sizes = json.loads(folder.get("sizes.json"))
    assert sizes == {f"shard-{i:06d}.tar": 7 for i in range(3)}
    split = json.loads(folder.get("_info.json"))["splits"]["train"]
    assert split["num_samples"] == 21 and split["shard_lengths"] == [7, 7, 7]
    assert split["filenames"] == [PLAN.layout.name(i) for i in range(3)]


def test_derived_files_come_back_from_the_tars_alone(folder):
    finalize(folder)
    before = objects(folder)
    for name in DERIVED:
        folder.delete(name)
    folder.put("sizes.json", b"{}")
    finalize(folder)
    assert objects(folder) == before


def test_the_card_has_the_hubs_front_matter_licence_and_counts(folder):
    finalize(folder)
    _, front, text = folder.get("README.md").decode().split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["license"] == "apache-2.0" and told["size_categories"] == ["n<1K"]
    assert told["configs"][0]["data_files"] == [{"split": "train", "path": "index.parquet"}]
    for line in ("| pictures | 21 |", "| identities | 6 |", "| rejected: low_confidence | 3 |"):
        assert line in text
    assert PLAN.digest in text and WEIGHTS in text and "trainedAlgorithmicMedia" in text
    assert Image.open(io.BytesIO(folder.get("contact_sheet.jpg"))).width > 16


@pytest.mark.parametrize(
    ("changed", "licence"),
    [
        ({}, "apache-2.0"),
        ({"generator": {"weights": "s3://bucket/stage2"}}, "unknown"),
        ({"dataset": {"name": "market1501"}}, "research-only"),
        ({"body": "/models/SMPL_NEUTRAL.pkl"}, "research-only"),
        ({"poses": "amass:/data/AMASS"}, "research-only"),
    ],
)
def test_the_strictest_licence_of_the_sources_is_carried_on(changed, licence, tmp_path):
    store = open_store(str(tmp_path))
    fill(store, PLAN, SPEC | changed)
    finalize(store)
    _, front, text = store.get("README.md").decode().split("---\n", 2)
    told = yaml.safe_load(front)
    assert told.get("license_name", told["license"]) == licence
    assert strictest({"spec": SPEC | changed}) == licence
    assert json.loads(store.get("_info.json"))["licence"] == licence
    assert "/models" not in text and "/data" not in text and "bucket" not in text


def test_an_output_that_is_not_whole_is_not_finalized(folder):
    finalize(folder)
    folder.delete(PLAN.layout.name(1))
    with pytest.raises(ShardError, match=r"shard-000001.tar; run `posedive generate JOB.yaml`"):
        finalize(folder)


def test_a_truncated_shard_is_not_finalized(folder):
    name = PLAN.layout.name(1)
    folder.put(name, folder.get(name)[:5000])
    with pytest.raises(ShardError, match=f"{name}: .*; delete it and run `posedive generate"):
        finalize(folder)
    assert not folder.exists("_SUCCESS")


def test_what_is_no_output_is_told(tmp_path):
    with pytest.raises(StorageError, match="no plan.json"):
        finalize(open_store(str(tmp_path)))


def test_verify_finds_an_index_that_disagrees_with_its_tar(folder):
    finalize(folder)
    assert verify(folder).ok
    stale = folder.get("index.parquet")
    name = PLAN.layout.name(1)
    victim = read_shard(folder.get(name), name)[1][0]

    def swap(member, content):
        other = with_provenance(victim.jpeg, digital_source_type("embedded"), FREE)
        return [(tarfile.TarInfo(member), other if member == f"{victim.key}.jpg" else content)]

    data = folder.get(name)
    manifest, _ = read_shard(data, name)
    other = hashlib.sha256(with_provenance(victim.jpeg, digital_source_type("embedded"), FREE))
    sums = manifest["sha256"] | {f"{victim.key}.jpg": other.hexdigest()}
    folder.put(name, with_manifest(repacked(data, swap), sha256=sums))
    found = verify(folder)
    assert (found.corrupt, found.missing) == (1, 0)
    assert f"index.parquet: disagrees with {name}, first at key {victim.key}" in found.problems[0]
    assert "run `posedive finalize URI`" in found.problems[0]
    finalize(folder)
    assert verify(folder).ok and folder.get("index.parquet") != stale


def test_a_picture_says_in_its_own_bytes_what_made_it_and_its_licence():
    source = digital_source_type("s3://bucket/stage2")
    marked = with_provenance(jpeg(7), source, RESEARCH)
    with Image.open(io.BytesIO(marked)) as picture:
        packet = ElementTree.fromstring(picture.info["xmp"])
        assert picture.tobytes() == Image.open(io.BytesIO(jpeg(7))).tobytes()
    told = [value for node in packet.iter() for value in node.attrib.values()]
    assert source in told and source.endswith("/trainedAlgorithmicMedia")
    assert RESEARCH in [node.text for node in packet.iter()]
    assert digital_source_type("composite").endswith("/compositeSynthetic")
    with pytest.raises(ShardError, match="expected a JPEG"):
        with_provenance(b"\x89PNG", source, FREE)


def test_a_person_taken_down_is_gone_and_everyone_else_is_intact(output):
    finalize(output)
    before = open_index(output.uri)
    victim = PLAN.layout.members(1)[0].pid
    data = output.get(PLAN.layout.name(1))
    order = take_down(output, victim)
    assert order["pictures"] == 4 and order["finalized"] and order["shard"] == PLAN.layout.name(1)
    after = open_index(output.uri)
    assert set(after.keys) == {key for key in before.keys if not key.startswith(f"{victim:04d}_")}
    for sample in read_shard(output.get(PLAN.layout.name(1)))[1]:
        assert sample in read_shard(data)[1]
    needle = f"{victim:04d}_c".encode()
    shards = [output.get(name) for name, _ in output.list("shards/")]
    assert not any(needle in shard for shard in shards)
    found = verify(output)
    assert found.ok and found.to_json()["taken_down"] == 4 and found.pairs == 20
    audit = [json.loads(line) for line in output.get("audit.jsonl").splitlines()]
    assert [line["pid"] for line in audit] == [victim]
    assert audit[0]["done"] >= audit[0]["asked"]
    assert audit[0]["sha256_before"] != audit[0]["sha256_after"]
    assert "| identities taken down | 1 |" in output.get("README.md").decode()


def test_no_version_of_a_bucket_keeps_who_was_taken_down(s3_server, s3_uri):
    store = open_store(s3_uri)
    bucket, prefix = s3_uri.removeprefix("s3://").split("/")
    client = boto3.client("s3", endpoint_url=s3_server.endpoint)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    try:
        fill(store, PLAN, SPEC)
        finalize(store)
        store.put("report.html", b"pictures of 0003_c")
        others = client.head_object(Bucket=bucket, Key=f"{prefix}/{PLAN.layout.name(0)}")
        take_down(store, 3)
        kept = client.list_object_versions(Bucket=bucket, Prefix=prefix)["Versions"]
        for one in kept:
            if not one["Key"].endswith("plan.json"):
                got = client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
                assert b"0003_c" not in got["Body"].read(), one["Key"]
        assert verify(store).ok
        assert others["CacheControl"] == "no-cache"
    finally:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_what_a_kill_left_half_written_goes_with_a_takedown(folder, tmp_path):
    finalize(folder)
    left = tmp_path / ".partial/shard-000000.tar.0123"
    left.write_bytes(folder.get(PLAN.layout.name(0)))
    os.utime(left, (0, 0))
    take_down(folder, 3)
    assert not left.exists()


def test_taking_down_twice_is_taking_down_once(folder):
    finalize(folder)
    take_down(folder, 3)
    before = objects(folder)
    take_down(folder, 3)
    assert objects(folder) == before


def test_nobody_is_taken_down_by_mistake(folder):
    finalize(folder)
    with pytest.raises(RequestError, match="expected a pid of the plan's 6 identities, got 60"):
        take_down(folder, 60)
    assert not folder.list("takedown/")


def test_dropping_a_pid_spares_the_pids_that_begin_like_it():
    plan = small_plan(num_pids=12, min_shards=1)
    data, dropped = drop_pids(tar_of(plan, 0, num_rejected=3), {1})
    assert {key.partition("_")[0] for key in dropped} == {"0001"} and len(dropped) == 4
    manifest, samples = read_shard(data)
    assert len(samples) + len(manifest["rejected"]) == 44
    assert {sample.record["pid"] for sample in samples} | {
        int(key[:4]) for key in manifest["rejected"]
    } == set(range(2, 13))
    assert not any("0001_c" in name for name in read_extras(data))


def test_an_order_that_is_not_carried_out_yet_is_told_by_verify(folder):
    finalize(folder)
    takedown.ask(folder, PLAN.layout, 3)
    found = verify(folder)
    assert not found.ok and found.foreign == 4
    assert "run `posedive takedown URI --pid 3`" in found.problems[0]
    finalize(folder)
    assert verify(folder).ok


def test_an_order_before_its_shard_is_made_is_kept(tmp_path):
    store = open_store(str(tmp_path))
    open_plan(store, plan_document(PLAN, WEIGHTS, SPEC))
    pid = PLAN.layout.members(2)[0].pid
    assert take_down(store, pid)["finalized"] is False
    fill(store, PLAN, SPEC)
    finalize(store)
    assert pid not in open_index(store.uri).pids and verify(store).ok


@pytest.mark.parametrize("moment", range(24))
def test_a_takedown_killed_at_any_moment_is_ended_by_the_next(moment, tmp_path):
    store = open_store(str(tmp_path))
    fill(store, PLAN, SPEC)
    finalize(store)
    victim = PLAN.layout.members(1)[1].pid
    others = {s.key: s for i in range(3) for s in read_shard(store.get(PLAN.layout.name(i)))[1]}
    others = {key: s for key, s in others.items() if s.record["pid"] != victim}
    child = os.fork()
    if not child:
        _kill_before_step(moment)
        take_down(store, victim)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    take_down(store, victim)
    assert verify(store).ok
    shards = [store.get(PLAN.layout.name(i)) for i in range(3)]
    assert {s.key: s for shard in shards for s in read_shard(shard)[1]} == others
    assert set(open_index(store.uri).keys) == others.keys()
    assert not any(f"{victim:04d}_c".encode() in shard for shard in shards)
    audit = [json.loads(line) for line in store.get("audit.jsonl").splitlines()]
    assert [(line["pid"], line["pictures"]) for line in audit] == [(victim, 4)]
    assert status == (signal.SIGKILL if moment < 22 else 0)  # all steps were tried


def _kill_before_step(number: int) -> None:
    """kill -9 before the n-th time that this process changes a name on the disk."""
    left = [number]

    def counted(change):
        def act(*names, **options):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*names, **options)

        return act

    os.replace, os.link, os.unlink = map(counted, (os.replace, os.link, os.unlink))


def test_two_people_of_one_shard_are_taken_down_at_once(folder):
    finalize(folder)
    pids = [one.pid for one in PLAN.layout.members(0)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pid: take_down(folder, pid), pids))
    assert verify(folder).ok
    assert not set(pids) & set(open_index(folder.uri).pids)
    assert sum(1 for _ in ShardStream(folder.uri)) == 14
