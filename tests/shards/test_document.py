import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from posedive.errors import PlanMismatch, ShardError, StorageError
from posedive.records import Body, Camera, Fit, PersonImage
from posedive.shards.document import layout_of, open_output, open_plan, plan_document, read_document
from posedive.storage import open_store
from tests.shards.people import WEIGHTS, Poses, fill, small_plan

SPEC = {"generator": {"steps": 8}, "size": [64, 128]}


def document(spec=SPEC, weights=WEIGHTS, **changed):
    return plan_document(small_plan(**changed), weights, spec)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def test_the_first_run_writes_the_plan_and_the_second_resumes(store):
    assert open_plan(store, document()) is True
    first = store.get("plan.json")
    assert open_plan(store, document()) is False
    assert store.get("plan.json") == first


def test_of_many_drivers_at_once_one_is_first(store):
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda _: open_plan(store, document()), range(8)))
    assert sum(first) == 1


def test_the_layout_comes_back_from_the_document(store):
    plan = small_plan(num_pids=9)
    open_plan(store, plan_document(plan, WEIGHTS, SPEC))
    layout = layout_of(read_document(store))
    assert layout == plan.layout
    for index in range(plan.num_shards):
        assert layout.keys(index) == [pair.key for pair in plan.shard(index).pairs]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "plan.seed was 0, now 1"),
        ({"images_per_identity": 5}, "plan.images_per_identity was 4, now 5"),
        ({"azimuth_deg": (0.0, 90.0)}, r"plan.azimuth_deg was \[0.0, 360.0\], now \[0.0, 90.0\]"),
        ({"spec": {"generator": {"steps": 4}}}, "spec.generator.steps was 8, now 4"),
        ({"spec": {"generator": {"steps": 8}}}, r"spec.size was \[64, 128\], now absent"),
        ({"weights": "ab" * 32}, 'weights was "0f0f.*, now "abab'),
        ({"poses": Poses(20, amplitude=0.2)}, "inputs.poses.mean was 0.95, now 1.9"),
        ({"num_pids": 6}, "plan.identities.count was 5, now 6"),
    ],
)
def test_another_plan_is_refused_by_the_field_that_differs(store, changed, said):
    open_plan(store, document())
    before = store.get("plan.json")
    with pytest.raises(PlanMismatch, match=said):
        open_plan(store, document(**changed))
    assert store.get("plan.json") == before


def test_fits_made_anew_are_another_plan_and_last_bits_are_not(store):
    def fitted(betas: float):
        body = Body(np.full(10, betas), np.zeros(69), np.zeros(3))
        fit = Fit(body, Camera(np.eye(3), np.zeros(3), 3.0))
        return [PersonImage(f"{pid}", pid, 1, "train", fit) for pid in (1, 2)]

    open_plan(store, document(images=fitted(0.5)))
    assert open_plan(store, document(images=fitted(np.nextafter(0.5, 1)))) is False
    with pytest.raises(PlanMismatch, match="inputs.fits.mean"):
        open_plan(store, document(images=fitted(0.6)))


def test_shards_without_their_plan_are_not_taken_over(store):
    fill(store, small_plan())
    store.delete("plan.json")
    with pytest.raises(PlanMismatch, match="holds shards/ but no plan.json"):
        open_plan(store, document())
    assert not store.exists("plan.json")


def test_somebody_elses_plan_json_is_refused(store):
    store.put("plan.json", b'{"floor": 3}')
    with pytest.raises(PlanMismatch, match="expected format 'posedive-plan/1'"):
        open_plan(store, document())


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d["plan"].update(seed=7), "its digest doesn't match"),
        (lambda d: d["identities"].pop(), "aren't those of its digest"),
        (lambda d: d["identities"].append("x"), "can't be read"),
        (lambda d: d.pop("identities"), "can't be read"),
    ],
)
def test_an_edited_plan_is_found_out(store, edit, said):
    edited = json.loads(json.dumps(document()))
    edit(edited)
    store.put("plan.json", json.dumps(edited).encode())
    with pytest.raises(ShardError, match=said):
        layout_of(read_document(store))


def test_an_output_without_a_plan_is_told(store):
    with pytest.raises(StorageError, match="no plan.json; is this the output of"):
        read_document(store)


def test_an_output_may_be_named_by_its_shards_folder(tmp_path):
    fill(open_store(str(tmp_path)), small_plan())
    for uri in (
        tmp_path,
        tmp_path / "shards",
        f"{tmp_path}/shards/",
        (tmp_path / "shards").as_uri(),
    ):
        assert open_output(os.fspath(uri)).exists("plan.json")
