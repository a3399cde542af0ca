"""The recipes of posedive/shards/README.md run as they are printed, but for the paths."""

import re
import shlex
from pathlib import Path

import pytest

from posedive.cli import main
from posedive.shards.finalize import finalize
from posedive.shards.index import open_index
from posedive.storage import open_store
from tests.shards.people import fill, jpeg, people, small_plan
from tests.shards.trainers import READERS, TRAINERS

README = Path(__file__).parents[2] / "posedive/shards/README.md"
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
# What CLIP-ReID and the others look for below the root that they are given.
FOLDERS = {
    "torchreid": "more/market1501/Market-1501-v15.09.15",
    "fast-reid": "fastreid/Market-1501-v15.09.15",
    "CLIP-ReID": "clipreid/Market-1501-v15.09.15",
    "TransReID": "transreid/market1501",
    "SOLIDER-REID": "solider/market1501",
}


def snippets(language: str) -> dict[str, list[str]]:
    """{section: its code blocks}."""
    parts = SECTION.split(README.read_text())
    blocks = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    found = {
        name: blocks.findall(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    return {name: code for name, code in found.items() if code}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """out/demo of 32 shards, and data/ with a Market-1501 of the same people."""
    root = tmp_path_factory.mktemp("world")
    store = open_store(str(root / "out/demo"))
    fill(store, small_plan(num_pids=32, images_per_identity=5, min_shards=32))
    finalize(store)
    market = root / "data/Market-1501-v15.09.15"
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        (market / folder).mkdir(parents=True)
    for image in people(32):
        if image.pid > 0:
            (market / "bounding_box_train" / image.key).write_bytes(jpeg(image.pid))
    return root


def placed(code: str, world: Path) -> str:
    return code.replace("out/demo", str(world / "out/demo")).replace("/data/", f"{world}/data/")


@pytest.mark.parametrize("name", snippets("python"))
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves files to be collected
def test_a_recipe_runs(name, world, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(world / "cache"))  # read on import
    for code in snippets("python")[name]:
        exec(compile(placed(code, world), name, "exec"), {"__name__": "recipe"})


@pytest.mark.parametrize("name", FOLDERS)
def test_an_exporting_recipe_leaves_what_its_trainer_reads(name, world):
    index = open_index(str(world / "out/demo"))
    commands = snippets("sh")[name]
    assert main(shlex.split(placed(commands[0], world))[1:]) == 0
    assert name in READERS["market1501"]
    out = world / "data" / FOLDERS[name]
    read = {Path(path).stem: (pid, camid) for path, pid, camid in TRAINERS["market1501"](out)}
    assert len(read) == 32 * 6 + len(index)
    for key, pid, camid in zip(index.keys, index.pids, index.camids, strict=True):
        assert read[key] == (pid, camid)
    assert main(["lint", str(out)]) == 0
    for command in commands[1:]:
        assert main(shlex.split(placed(command, world))[1:]) == 0
        assert len(TRAINERS["market1501"](out)) == 32 * 6


def test_every_trainer_has_its_recipe():
    names = {*snippets("python"), *snippets("sh")}
    assert names >= {*FOLDERS, "webdataset", "Hugging Face datasets"}
    assert any("P identities x K images" in name for name in names)
