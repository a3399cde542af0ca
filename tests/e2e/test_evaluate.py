"""The evaluation of a generator on a real local Ray, with judges that have learnt next to nothing:
complete, resumable, refused over another's output."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from posedive.errors import PlanMismatch
from posedive.jobs.blocks import existing_blocks, read_block
from posedive.jobs.evaluate import run
from posedive.spec import Evaluate, load_job
from posedive.storage import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own; ours are errors in all other tests
]
SMALL: dict[str, Any] = {
    "kind": "evaluate",
    "what": "generator",
    "dataset": {"name": "embedded", "seed": 7, "identities": 4},
    "generator": {"steps": 1, "batch_size": 2},
    "cases_per_identity": 2,
    "judges": {"identities": 16, "identity_steps": 2, "silhouette_steps": 2},
}
FIGURES = (
    *("oks", "pck", "iou", "psnr_foreground", "ssim_foreground"),
    *("identity_rank1", "identity_mAP", "identity_cosine", "kid"),
)


def asked(folder: Path, *overrides: str) -> Evaluate:
    path = folder / "evaluate.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"output": str(folder / "out")}))
    spec = load_job(path, overrides)
    assert isinstance(spec, Evaluate)
    return spec


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An evaluation that has run once: its folder, and what it told."""
    folder = tmp_path_factory.mktemp("done")
    return folder, run(asked(folder))


def test_every_arm_has_every_figure_in_all_and_by_elevation(done):
    _, told = done
    names = {f"{arm}{name}" for arm in ("", "composite_", "true_") for name in FIGURES}
    assert names < told.keys() and told["cases"] == 8
    assert told["by_pose"].keys() and told["by_elevation"].keys() <= {"0..15", "15..30", "30..45"}
    for table in (told["by_pose"], told["by_elevation"]):
        assert sum(of["cases"] for of in table.values()) == 8
        assert all(names - of.keys() <= {n for n in names if "kid" in n} for of in table.values())
    assert -1 < told["real_identity_cosine"] <= 1


def test_the_truth_photographed_again_is_nearest_to_the_truth(done):
    _, told = done
    for name in ("psnr_foreground", "ssim_foreground"):
        assert told[f"true_{name}"] > max(told[f"composite_{name}"], told[name])
    assert told["true_oks"] > 0.5


def test_a_block_holds_what_was_asked_drawn_and_true(done):
    folder, _ = done
    uri = str(folder / "out/pictures")
    assert existing_blocks(uri) == {0, 1, 2, 3}
    block = read_block(uri, 0)
    assert block["generated"].shape == block["truth"].shape == (2, 128, 64, 3)
    assert block["foreground"].shape == (2, 128, 64)
    # Joints are on the person.
    for foreground, keypoints in zip(block["foreground"], block["keypoints"], strict=True):
        x, y = np.floor(keypoints[5:, :2]).astype(int).T
        assert foreground[y.clip(0, 127), x.clip(0, 63)].mean() > 0.8


def test_contact_sheets_are_pictures(done):
    folder, _ = done
    store = open_store(str(folder / "out"))
    for name in ("best", "median", "worst", "random"):
        sheet = Image.open(io.BytesIO(store.get(f"{name}.png")))
        assert sheet.width >= 5 * 64 and sheet.height >= 128


def test_a_second_run_draws_and_trains_nothing_and_tells_the_same(done):
    folder, told = done
    kept = [p for p in sorted((folder / "out").rglob("*")) if p.suffix in (".npz", ".pt")]
    assert len(kept) == 4 + 2
    before = [path.stat().st_mtime_ns for path in kept]
    (folder / "out/pictures/block-00002.npz").unlink()
    again = run(asked(folder))
    assert again | {"seconds": 0} == told | {"seconds": 0}
    changed = [p.name for p, at in zip(kept, before, strict=True) if p.stat().st_mtime_ns != at]
    assert changed == ["block-00002.npz"]


def test_another_evaluation_over_the_same_output_is_refused(done):
    folder, _ = done
    with pytest.raises(PlanMismatch, match="spec.generator.steps was 1, now 2"):
        run(asked(folder, "generator.steps=2"))
