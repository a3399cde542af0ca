import json

import numpy as np
import pytest

from posedive.errors import ShardError, StorageError
from posedive.report import gather as g
from posedive.storage import open_store


def test_counts_are_those_of_the_shards(tmp_path, write_output):
    store = open_store(write_output(tmp_path / "out", people=6, each=8, reject=2))
    found = g.gather(store)
    assert (found.shards, found.kept, found.rejected, found.missing) == (4, 40, 8, 0)
    assert found.reasons == {"low_confidence": 4, "position_disagreement": 4}
    assert found.views.sum() == 40
    assert found.poses.seen == 40
    assert sorted(found.scores) == ["confidence", "in_frame", "oks"]
    assert not found.unreadable


def test_shards_that_are_not_there_are_missing(tmp_path, write_output):
    found = g.gather(open_store(write_output(tmp_path / "out", leave_out=(0, 2))))
    assert found.shards == 2
    assert found.missing == 48 - found.kept - found.rejected > 0


def test_a_truncated_shard_is_named_and_the_others_are_counted(tmp_path, write_output):
    write_output(tmp_path / "out")
    shard = tmp_path / "out" / "shards" / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:-5000])
    found = g.gather(open_store(str(tmp_path / "out")))
    assert found.shards == 3
    assert found.num_unreadable == 1
    assert "shard-000001.tar" in found.unreadable[0]


def test_a_shard_of_another_plan_is_named(tmp_path, write_output):
    write_output(tmp_path / "out")
    write_output(tmp_path / "other", each=9)
    stranger = (tmp_path / "other" / "shards" / "shard-000002.tar").read_bytes()
    (tmp_path / "out" / "shards" / "shard-000002.tar").write_bytes(stranger)
    found = g.gather(open_store(str(tmp_path / "out")))
    assert found.shards == 3
    assert "another plan" in found.unreadable[0]


@pytest.mark.parametrize("angle", ["<b>", None, True, 10**400, [1]])
def test_a_record_without_a_viewpoint_is_named(tmp_path, write_output, angle):
    write_output(tmp_path / "out", changes={"azimuth_deg": angle})
    found = g.gather(open_store(str(tmp_path / "out")))
    assert found.num_unreadable == found.kept == 40
    assert len(found.unreadable) == g.MAX_NAMES
    assert found.views.sum() == 0


def test_what_is_remembered_does_not_grow_with_the_store(tmp_path, write_output):
    write_output(
        tmp_path / "out",
        people=20,
        changes={"scores": {f"score{i}": 0.5 for i in range(100)}},
        reject=7,
        reasons=tuple(f"reason{i}" for i in range(7)),
    )
    found = g.gather(open_store(str(tmp_path / "out")))
    assert len(found.scores) == g.MAX_NAMES
    assert len(found.rejected_shown) <= g.MAX_REJECTED
    assert len(found.people) <= g.MAX_IDENTITIES
    assert max(map(len, found.people.values())) <= g.MAX_PAIRS


def test_people_come_from_every_shard(tmp_path, write_output):
    found = g.gather(open_store(write_output(tmp_path / "out", people=40)))
    shard_of = {i.pid: at for at in range(4) for i in found.layout.members(at)}
    assert {shard_of[pid] for pid in found.people} == {0, 1, 2, 3}


def test_a_reservoir_is_a_uniform_sample():
    reservoir = g.Reservoir(np.random.default_rng(0))
    for value in range(20_000):
        reservoir.add(value)
    assert len(reservoir.values) == g.MAX_SAMPLED
    assert np.mean(reservoir.values) == pytest.approx(10_000, rel=0.05)


def test_a_sample_weighs_as_much_as_its_set():
    told = {"azimuth_deg": [1, 2], "elevation_deg": [3, 4], "body_pose": [[0] * 69, None]}
    views, poses = g.before({"dataset_distribution": {**told, "num_images": 10}})
    assert views is not None and views.sum() == 10
    assert poses is not None and poses.shape == (1, 69)


def test_a_set_without_fits_has_no_distribution():
    assert g.before({"dataset_distribution": None}) == g.before({}) == (None, None)


def test_a_garbled_distribution_is_an_error_that_names_it():
    with pytest.raises(ShardError, match="dataset_distribution"):
        g.before({"dataset_distribution": {"azimuth_deg": ["north"], "elevation_deg": [1]}})


def test_progress_of_a_run_under_way_gives_the_throughput(tmp_path, write_output):
    uri = write_output(tmp_path / "out")
    open_store(uri).put("_progress.json", json.dumps({"images_per_s": 2.5}).encode())
    assert g.gather(open_store(uri)).run == {"images_per_s": 2.5}


def test_a_folder_without_a_plan_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"plan\.json"):
        g.gather(open_store(str(tmp_path)))
