"""A set without SMPL fits: fitted, and then generated from, on a real local Ray."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from posedive.datasets import open_dataset
from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.export_folder import export_folder
from posedive.datasets.fit_files import ONE_FILE
from posedive.errors import PlanMismatch, RunError
from posedive.jobs.fit import run as fit
from posedive.jobs.generate import run as generate
from posedive.shards.verify import verify
from posedive.spec import Fit, load_job
from posedive.storage import open_store
from tests.e2e.conftest import Job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]


def spec_of(folder: Path, dataset: dict[str, Any], **fields: Any) -> Fit:
    document = {"kind": "fit", "dataset": dataset, "poses": "embedded-walking",
                "output": str(folder / "fits")}  # fmt: skip
    path = folder / "fit.yaml"
    path.write_text(yaml.safe_dump(document | fields))
    spec = load_job(path)
    assert isinstance(spec, Fit)
    return spec


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Market-1501 folder of 3 people, without fits, one image cut short."""
    root = tmp_path_factory.mktemp("market")
    export_folder(EmbeddedWorld(seed=7, identities=3), root)
    (root / ONE_FILE).unlink()
    train = sorted((root / "bounding_box_train").iterdir())
    train[0].write_bytes(train[0].read_bytes()[:300])
    return root


@pytest.fixture(scope="module")
def fitted(market, tmp_path_factory) -> tuple[Path, Fit, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("fitted")
    spec = spec_of(folder, {"name": "market1501", "root": str(market)})
    return folder, spec, fit(spec)


def test_every_image_that_can_be_read_has_a_fit_and_the_bad_one_is_counted(market, fitted):
    folder, _, told = fitted
    images = open_dataset("market1501", root=str(market)).images("train")
    assert told["images"] == told["fitted"] == len(images) and told["skipped_files"] == 1
    assert "figures" not in told  # there is nothing to compare with
    read = open_dataset("market1501", root=str(market), fits=str(folder / "fits"))
    assert all(image.fit is not None for image in read.images("train"))


def test_a_second_run_does_nothing(fitted):
    folder, spec, told = fitted
    before = (folder / "fits" / ONE_FILE).read_bytes()
    assert fit(spec)["resumed_images"] == told["images"]
    assert (folder / "fits" / ONE_FILE).read_bytes() == before


def test_another_request_over_the_same_output_is_refused(fitted):
    folder, spec, _ = fitted
    changed = spec_of(folder, spec.dataset.model_dump(exclude_unset=True), focal=5.0)
    with pytest.raises(PlanMismatch, match="spec.focal was 3, now 5"):
        fit(changed)


def test_what_was_fitted_can_be_generated_from(market, fitted, job: Job):
    folder, _, _ = fitted
    dataset = f"{{name: market1501, root: {market}, fits: {folder / 'fits'}}}"
    told = generate(
        job.spec(dataset=dataset, images_per_identity=2, filter__min_oks=0,
                 filter__generated_threshold=0, filter__max_confidence_difference=1)
    )  # fmt: skip
    assert told["pairs"] == told["kept"] == 6
    assert verify(open_store(str(job.spec().output.uri))).ok


def test_true_fits_are_compared_with_and_images_without_a_person_are_named(tmp_path):
    dataset = {"name": "embedded", "seed": 7, "identities": 2}
    told = fit(spec_of(tmp_path, dataset, min_confidence=0.97))
    assert sum(told["skipped_images"].values()) == told["images"] - told["fitted"] > 0
    figures = told["figures"]
    assert figures["compared"] == told["fitted"]
    assert figures["joint_error_mm"]["mean"] > figures["aligned_joint_error_mm"]["mean"] > 0
    with np.load(tmp_path / "fits" / ONE_FILE) as arrays:
        assert len(arrays["names"]) == told["fitted"]


def test_a_set_in_which_nobody_can_be_made_out_is_an_error(tmp_path):
    dataset = {"name": "embedded", "seed": 7, "identities": 1}
    with pytest.raises(RunError, match="none of 12 images could be fitted; .* less than"):
        fit(spec_of(tmp_path, dataset, min_confidence=1.0))
