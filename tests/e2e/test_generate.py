"""The main job on a real local Ray: complete, resumable, independent of batches and actors."""

import numpy as np
import pytest

from posedive.body.smpl import load_body
from posedive.errors import DatasetError, PlanMismatch, StorageError, WeightsError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import accept_generated
from posedive.jobs.generate import plan_summary, run
from posedive.jobs.planning import planned
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.records import Pair
from posedive.render.maps import condition_fit, render_maps
from posedive.shards.document import read_document
from posedive.shards.stream import decode, samples
from posedive.shards.verify import verify
from posedive.storage import open_store
from tests.e2e.conftest import Job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]


def pictures(uri: str) -> dict[str, np.ndarray]:
    return {s.key: np.asarray(decode(s), np.int16) for s in samples(open_store(uri))}


def test_every_planned_pair_is_there_and_a_second_run_does_nothing(job):
    spec = job.spec(filter__generated_threshold=0, filter__min_oks=0)
    told = run(spec)
    assert told["pairs"] == 16 == told["kept"] + told["rejected"]
    assert told["shards"] == 4 and told["resumed_pairs"] == 0
    assert not any(told[k] for k in ("missing", "doubled", "corrupt", "foreign"))
    before = {name: open_store(spec.output.uri).get(name) for name in names(spec.output.uri)}
    again = run(spec)
    assert again["resumed_pairs"] == 16 and again["kept"] == told["kept"]
    assert {name: open_store(spec.output.uri).get(name) for name in before} == before


def names(uri: str) -> list[str]:
    return [name for name, _ in open_store(uri).list("shards/")]


def test_records_tell_reference_pose_view_seed_scores_and_weights(job):
    spec = job.spec(filter__generated_threshold=0, filter__min_oks=0)
    run(spec)
    sample = next(iter(samples(open_store(spec.output.uri))))
    record = sample.record
    assert record["reference"].startswith(f"{record['pid']:04d}_c{record['camid']}s1_")
    assert sample.key.startswith(f"{record['pid']:04d}_c{record['camid']}s0_")
    assert set(record["scores"]) == {"confidence", "reference_confidence", "oks"}
    assert record["pose_source"].startswith("embedded/") and len(record["body_pose"]) == 69
    assert record["weights_digest"] == read_document(open_store(spec.output.uri))["weights"]
    assert decode(sample).size == (64, 128)


def test_batch_size_and_actors_change_neither_keys_nor_pictures(tmp_path, job):
    loose = {"filter__generated_threshold": 0, "filter__min_oks": 0}
    loose["filter__max_confidence_difference"] = 1
    run(job.spec(**loose))
    other = str(tmp_path / "other")
    run(
        job.spec(
            **loose,
            output__uri=other,
            generator__batch_size=3,
            resources__denoise_actors="[1, 2]",
            resources__denoise_cpus=0.5,
            resources__render_cpus=0.5,
        )
    )
    one, two = pictures(str(tmp_path / "out")), pictures(other)
    assert one.keys() == two.keys() and len(one) == 16
    assert max(np.abs(one[k] - two[k]).mean() for k in one) <= 2
    first, second = (read_document(open_store(u)) for u in (str(tmp_path / "out"), other))
    assert first["digest"] == second["digest"]


def test_another_plan_over_an_output_is_refused_by_what_differs(job):
    run(job.spec())
    with pytest.raises(PlanMismatch, match="seed was 0, now 1"):
        run(job.spec(seed=1))


def test_the_same_job_writes_to_s3(job, s3_uri):
    told = run(job.spec(output__uri=s3_uri))
    assert told["pairs"] == 16 and verify(open_store(s3_uri)).ok


@pytest.mark.parametrize(
    ("override", "error", "says"),
    [
        ({"generator__weights": "/nowhere"}, WeightsError, "no config.json in /nowhere"),
        ({"dataset__identities": 4000}, DatasetError, "at most the 100 pids"),
        ({"body": "/nowhere.pkl"}, Exception, "/nowhere.pkl"),
        ({"output__uri": "/proc/posedive"}, StorageError, "/proc/posedive"),
    ],
)
def test_a_wrong_request_ends_before_any_work(job, override, error, says, tmp_path):
    with pytest.raises(error, match=says):
        run(job.spec(**override))
    assert not (tmp_path / "out" / "shards").exists()


def test_plan_counts_without_doing(job, tmp_path):
    told = plan_summary(job.spec())
    assert (told["pairs"], told["shards"]) == (16, 4)
    assert not (tmp_path / "out").exists()


def test_a_picture_swapped_with_another_pairs_is_rejected(tmp_path):
    """The filter can say no: 95% of true renders under a wrong pair's condition are turned down."""
    spec = Job(tmp_path, str(tmp_path / "out")).spec(dataset__identities=20)
    world = open_spec_dataset(spec.dataset, spec.size)
    plan = planned(spec, people_of(spec.dataset, world), None)
    model, estimator = load_body(spec.body), PoseEstimator.load("embedded")
    pairs: list[Pair] = [p for i in range(plan.num_shards) for p in plan.shard(i).pairs]
    fits = [condition_fit(model, p.condition, spec.size) for p in pairs]
    maps = [render_maps(model, fit, spec.size) for fit in fits]
    truth = np.stack(
        [
            world.render(p.pid, p.camid, f, spec.size, p.seed)
            for p, f in zip(pairs, fits, strict=True)
        ]
    )
    found = estimator(truth)

    def kept(i: int, j: int) -> bool:
        """Picture i under pair j's condition."""
        rule = spec.filter
        return accept_generated(
            found[i],
            maps[j].keypoints,
            float(maps[j].mask.sum()),
            reference_confidence=rule.reference_threshold,
            threshold=rule.generated_threshold,
            max_confidence_difference=rule.max_confidence_difference,
            min_oks=rule.min_oks,
        ).kept

    n = len(pairs)
    swapped = [kept(i, (i + 1 + i % 7) % n) for i in range(n)]
    assert np.mean(swapped) <= 0.05
    assert np.mean([kept(i, i) for i in range(n)]) >= 0.9
