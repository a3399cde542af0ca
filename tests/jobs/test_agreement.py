"""The network that knows the set's people, and the rule that it serves."""

import json

import numpy as np
import pytest

from posedive.errors import DatasetError
from posedive.jobs import agreement
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.judge import Judge
from posedive.jobs.stages.rows import column, to_png
from posedive.jobs.stages.stand_ins import trust_references
from posedive.spec.generate import Generate
from posedive.storage import open_store

KEEP_ALL = {"generated_threshold": 0, "max_confidence_difference": 1, "min_oks": 0}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    spec = Generate.model_validate(
        {
            "kind": "generate",
            "dataset": {"name": "embedded", "seed": 7, "identities": 16},
            "size": [64, 128],
            "filter": KEEP_ALL | {"min_identity": 0.5},
            "output": {"uri": str(tmp_path_factory.mktemp("out"))},
        }
    )
    trust_references(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "STEPS", 60)
        state = agreement._learn(spec.model_dump_json(exclude_unset=True))
    open_store(spec.output.uri).put(agreement.NAME, state)
    return spec


@pytest.fixture(scope="module")
def shown(job):
    """Pictures of the 16, one each, and whom they show."""
    world = open_spec_dataset(job.dataset, job.size)
    images = {image.pid: image for image in people_of(job.dataset, world)}
    return np.stack([world.read(image) for image in images.values()]), list(images)


def test_people_are_nearer_to_themselves_than_to_each_other(job, shown):
    pictures, pids = shown
    people = agreement.load_people(job.output.uri)
    np.testing.assert_allclose(np.linalg.norm(people.means, axis=1), 1, atol=1e-5)
    own = people.cosines(pictures, pids)
    others = people.cosines(pictures, pids[1:] + pids[:1])
    assert own.mean() > 0.7 and own.mean() > others.mean() + 0.3


def test_a_picture_of_somebody_else_is_rejected_with_its_score(job, shown):
    pictures, pids = shown
    said = [pids[0], pids[2]]  # of the first two pictures: the second shows somebody else
    reference = next(iter(read_references(open_store(job.output.uri)).confidence))
    records = [json.dumps({"pid": pid, "reference": reference}) for pid in said]
    judged = Judge(job.model_dump_json(exclude_unset=True))(
        {
            "key": column(["a", "b"]),
            "reason": column(["", ""]),
            "record": column(records),
            "picture": column([to_png(picture) for picture in pictures[:2]]),
            "keypoints": np.ones((2, 17, 3), np.float32),
            "area_px": np.full(2, 900.0),
        }
    )
    assert judged["reason"].tolist() == ["", "identity_disagrees"]
    scores = [json.loads(record)["scores"] for record in judged["record"]]
    assert scores[1]["identity"] < 0.5 <= scores[0]["identity"]
    assert {"confidence", "oks"} < set(scores[0])


def test_few_people_make_small_batches_and_one_alone_is_refused(job, monkeypatch):
    monkeypatch.setattr(agreement, "STEPS", 2)

    def learnt(identities: int) -> bytes:
        dataset = job.dataset.model_copy(update={"identities": identities})
        few = job.model_copy(update={"dataset": dataset})
        return agreement._learn(few.model_dump_json())

    assert learnt(2)
    with pytest.raises(DatasetError, match="filter.min_identity: expected at least 2 people"):
        learnt(1)
