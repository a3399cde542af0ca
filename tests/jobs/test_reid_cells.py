"""What a cell depends on, and which images it trains on."""

from collections import Counter

import numpy as np
import pytest

from posedive.datasets.embedded import EmbeddedWorld
from posedive.errors import DatasetError
from posedive.jobs.planning import own_poses, own_views
from posedive.jobs.reid_cells import (
    images_job,
    number_of,
    pictures,
    read_people,
    read_tests,
    run_cell,
    taken,
    trainings,
)
from posedive.reid.evaluate import Split
from posedive.render.viewpoints import viewpoint_of
from posedive.shards.tar import Sample, encode_shard, pair_record
from posedive.spec.reid_table import ReidTable, Take
from posedive.storage import open_store
from tests.shards.people import WEIGHTS, jpeg, small_plan

ARMS = {
    "baseline": None,
    "again": {"generate": None, "yardstick.generated_per_identity": 2},
    "composite": {"generator.weights": "composite"},
    "composite_osnet": {"generator.weights": "composite", "yardstick.backbone": "osnet"},
    "few": {"generator.weights": "composite", "take.first": 2},
    "real": {"real_images": "composite"},
}


@pytest.fixture
def table(tmp_path):
    def cells(**changes) -> dict[str, list]:
        document = {
            "kind": "evaluate",
            "what": "reid",
            "dataset": {"name": "embedded", "seed": 7, "identities": 16},
            "arms": ARMS,
            "seeds": 2,
            "output": str(tmp_path),
        }
        spec = ReidTable.model_validate(document | changes)
        arms = {name: spec.arm(name) for name in spec.arms}
        jobs = {name: images_job(arm) for name, arm in arms.items()}
        return {name: trainings(spec, arms, jobs, name) for name in arms}

    return cells


def test_equal_trainings_share_a_cell_and_equal_jobs_share_images(table):
    cells = table()
    names = {name: [t.cell for t in of_arm] for name, of_arm in cells.items()}
    assert names["baseline"] == names["again"]
    assert len({cell for of_arm in names.values() for cell in of_arm}) == 2 * (len(ARMS) - 1)
    assert cells["composite"][0].images == cells["composite_osnet"][0].images
    assert cells["composite"][0].images == cells["real"][0].images


def test_a_cell_depends_on_what_is_asked_and_not_on_where_it_is_kept(table, tmp_path):
    before = table()["composite"][0].cell
    assert table(shared=str(tmp_path / "shared"))["composite"][0].cell == before
    assert table(tests=["actions"])["composite"][0].cell == before
    assert table(yardstick={"steps": 3})["composite"][0].cell != before
    assert table(generate={"seed": 3})["composite"][0].cell != before


@pytest.fixture
def output(tmp_path) -> str:
    """Three images of pid 1 and two of pid 2, with confidences that fall."""
    plan = small_plan(num_pids=2, images_per_identity=3, min_shards=1)
    shard, kept, rejected = plan.shard(0), [], {}
    for pair in shard.pairs:
        seq = number_of(pair.key)
        if (pair.pid, seq) == (2, 2):
            rejected[pair.key] = "low_confidence"
            continue
        record = pair_record(pair) | {"scores": {"confidence": 0.9 - 0.2 * seq}}
        kept.append(Sample(pair.key, jpeg(40 * seq), record))
    manifest = {"plan": plan.digest, "weights": WEIGHTS, "rejected": rejected}
    data = encode_shard(shard, kept, manifest)
    open_store(str(tmp_path)).put(plan.layout.name(0), data)
    return str(tmp_path)


def test_an_arm_takes_the_first_or_the_confident_images(output):
    assert len(taken(output, Take())) == 5
    for take in (Take(first=2), Take(min_confidence=0.6)):
        numbers = [number_of(sample.key) for sample in taken(output, take)]
        assert sorted(numbers) == [0, 0, 1, 1]
    assert not taken(output, Take(min_confidence=0.95))


def test_pictures_come_at_the_size_that_is_asked(output):
    assert pictures(taken(output, Take()), (16, 32)).images.shape == (5, 32, 16, 3)
    assert pictures(taken(output, Take()), (8, 16)).images.shape == (5, 16, 8, 3)
    assert pictures([], (8, 16)).images.shape == (0, 16, 8, 3)


def test_as_many_more_real_images_of_each_person_train_as_were_generated(table, output):
    training = table(yardstick={"steps": 1, "identities_per_batch": 2})["real"][0]
    training = type(training)(**(vars(training) | {"images": output, "size": (16, 32)}))

    def split(counts) -> Split:
        pids = np.repeat([1, 2], counts)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 255, (len(pids), 32, 16, 3), np.uint8)
        return Split(images, pids, np.arange(len(pids)) % 3)

    tests = {"standard": (split((1, 1)), split((4, 4)))}
    told = run_cell(training, split((4, 4)), tests, split((3, 2)), 1)
    assert told["added"] == 5 and told["images"] == 13
    with pytest.raises(DatasetError, match="expected 2 more real images of pid 2, the set has 1"):
        run_cell(training, split((4, 4)), tests, split((3, 1)), 1)


def test_more_real_images_are_of_the_same_people():
    dataset = {"name": "embedded", "seed": 7, "identities": 2}
    size = (16, 32)
    people, more = (read_people(dataset, size, split) for split in (None, "train_more"))
    assert set(more.pids) == set(people.pids)
    assert min(Counter(more.pids.tolist()).values()) >= 30
    assert set(more.camids) == set(people.camids)


def test_tests_show_others():
    dataset = {"name": "embedded", "seed": 7, "identities": 2}
    (query, gallery) = read_tests(dataset, (8, 16), ("actions",))["actions"]
    assert set(query.pids) == set(gallery.pids) and min(query.pids) > 100


def test_a_sets_own_poses_and_views_are_those_of_its_fits():
    images = EmbeddedWorld(seed=7, identities=2).images("train")
    poses, views = own_poses(images), own_views(images)
    assert len(poses) == len(views) == len(images)
    first = min(images, key=lambda i: i.key)
    assert first.fit is not None
    np.testing.assert_array_equal(poses[0].body_pose, first.fit.body.body_pose)
    assert views[0] == pytest.approx(viewpoint_of(first.fit), abs=0.06)
    assert poses[0].name == f"set/own:{first.key}"
    with pytest.raises(DatasetError, match=r"own_poses: none of 0 images"):
        own_poses([])
