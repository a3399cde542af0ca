"""The main job on a real local Ray: complete, resumable, independent of batches and actors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.export_folder import export_folder
from posedive.errors import (
    BodyError,
    DatasetError,
    PlanMismatch,
    SpecError,
    StorageError,
    WeightsError,
)
from posedive.jobs.forecast import plan_summary
from posedive.jobs.generate import run
from posedive.shards.document import read_document
from posedive.shards.index import open_index
from posedive.shards.stream import decode, samples
from posedive.shards.verify import verify
from posedive.spec.generate import Generate
from posedive.storage import open_store
from tests.e2e.conftest import Job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]
# Every picture is kept: these tests are of the pipeline, not of the weights.
KEEP_ALL = {
    "filter__generated_threshold": 0,
    "filter__min_oks": 0,
    "filter__max_confidence_difference": 1,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Generate, dict[str, Any]]:
    """A job that has run once: the job, its spec, and what the run told."""
    folder = tmp_path_factory.mktemp("done")
    job = Job(folder, str(folder / "out"))
    spec = job.spec(**KEEP_ALL)
    return job, spec, run(spec)


def shard_bytes(uri: str) -> dict[str, bytes]:
    store = open_store(uri)
    return {name: store.get(name) for name, _ in store.list("shards/")}


def pictures(uri: str) -> dict[str, np.ndarray]:
    return {s.key: np.asarray(decode(s), np.int16) for s in samples(open_store(uri))}


def test_every_planned_pair_is_there(done):
    _, spec, told = done
    assert told["pairs"] == 16 == told["kept"] and told["shards"] == 4
    assert told["resumed_pairs"] == 0 and told["images_per_s"] > 0
    assert 0 < told["denoiser_busy"] <= 1
    assert not any(told[k] for k in ("missing", "doubled", "corrupt", "foreign"))
    assert verify(open_store(spec.output.uri)).ok


def test_a_whole_output_is_finalized_and_its_jpegs_say_what_they_are(done):
    _, spec, _ = done
    store = open_store(spec.output.uri)
    assert store.exists("_SUCCESS") and len(open_index(store.uri)) == 16
    for sample in samples(store):
        assert b"digitalsourcetype/trainedAlgorithmicMedia" in sample.jpeg
        assert sample.record["digital_source_type"].endswith("/trainedAlgorithmicMedia")


def test_a_second_run_does_nothing(done):
    _, spec, told = done
    before = shard_bytes(spec.output.uri)
    again = run(spec)
    assert again["resumed_pairs"] == 16 and again["kept"] == told["kept"]
    assert shard_bytes(spec.output.uri) == before


def test_records_tell_reference_pose_view_seed_scores_and_weights(done):
    _, spec, _ = done
    store = open_store(spec.output.uri)
    sample = next(iter(samples(store)))
    record = sample.record
    assert record["reference"].startswith(f"{record['pid']:04d}_c{record['camid']}s1_")
    assert sample.key.startswith(f"{record['pid']:04d}_c{record['camid']}s0_")
    assert set(record["scores"]) == {"confidence", "reference_confidence", "oks"}
    assert record["pose_source"].startswith("embedded/") and len(record["body_pose"]) == 69
    assert record["weights_digest"] == read_document(store)["weights"]
    assert decode(sample).size == (64, 128)


def test_batch_size_and_actors_change_neither_keys_nor_pictures(done, tmp_path):
    job, spec, _ = done
    other = str(tmp_path / "other")
    run(
        job.spec(
            **KEEP_ALL,
            output__uri=other,
            generator__batch_size=3,
            resources__denoise_actors="[2, 2]",
            resources__denoise_cpus=0.5,
            resources__render_cpus=0.5,
        )
    )
    one, two = pictures(spec.output.uri), pictures(other)
    assert one.keys() == two.keys() and len(one) == 16
    assert max(np.abs(one[k] - two[k]).mean() for k in one) <= 2
    first, second = (read_document(open_store(uri)) for uri in (spec.output.uri, other))
    assert first["digest"] == second["digest"]


def test_another_plan_over_an_output_is_refused_by_what_differs(done):
    job, _, _ = done
    with pytest.raises(PlanMismatch, match="seed was 0, now 1"):
        run(job.spec(**KEEP_ALL, seed=1))


def test_a_market1501_folder_to_s3_with_bad_images_and_a_rule_that_nothing_meets(
    job, s3_uri, fresh_ray, tmp_path: Path
):
    """Bad files are counted, pairs that fail a rule are rejected with it; nothing is lost."""
    root = tmp_path / "market"
    export_folder(EmbeddedWorld(seed=7, identities=3), root)
    train = sorted((root / "bounding_box_train").iterdir())
    train[0].write_bytes(train[0].read_bytes()[:300])
    (root / "bounding_box_train" / "notes.txt").write_text("not a picture")
    market = f"{{name: market1501, root: {root}, fits: {root}}}"
    told = run(job.spec(dataset=market, output__uri=s3_uri, filter__min_oks=1))
    assert (told["pairs"], told["kept"], told["skipped_images"]) == (12, 0, 2)
    assert sum(told["reasons"].values()) == 12 and verify(open_store(s3_uri)).ok


@pytest.mark.parametrize(
    ("override", "error", "says"),
    [
        ({"generator__weights": "/nowhere"}, WeightsError, "no config.json in /nowhere"),
        ({"dataset__identities": 4000}, DatasetError, "at most the 100 pids"),
        ({"body": "/nowhere.pkl"}, BodyError, "/nowhere.pkl"),
        ({"output__uri": "/proc/posedive"}, StorageError, "/proc/posedive"),
    ],
)
def test_a_wrong_request_ends_before_any_work(job, override, error, says, tmp_path: Path):
    with pytest.raises(error, match=says):
        run(job.spec(**override))
    assert not (tmp_path / "out" / "shards").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"generator__precision": "fp16"}, "generator.precision: fp16 needs CUDA"),
        ({"generator__attention": "xformers"}, "generator.attention: xformers needs a CUDA device"),
    ],
)
def test_what_the_workers_cannot_do_is_told_in_one_line(job, override, says, tmp_path: Path):
    with pytest.raises(SpecError, match=says) as caught:
        run(job.spec(**override))
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "out" / "shards").exists()


def test_plan_counts_without_doing(job, tmp_path: Path):
    told = plan_summary(job.spec())
    assert (told["pairs"], told["shards"]) == (16, 4)
    assert not (tmp_path / "out").exists()


def test_plan_goes_by_the_times_of_a_run(done):
    _, spec, _ = done
    told = plan_summary(spec, [1, 8])
    assert told["measured_from"] == f"{spec.output.uri}/summary.json"
    assert told["bottleneck"] in ("render", "denoise", "judge", "commit")
    assert told["seconds"] > 0 and told["nodes"].keys() == {"1", "8"}
    with pytest.raises(SpecError, match="no summary.json with times"):
        plan_summary(spec, times_uri=f"{spec.output.uri}/nowhere")
