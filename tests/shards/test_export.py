import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from posedive.datasets.embedded import EmbeddedWorld
from posedive.errors import DatasetError, RequestError
from posedive.shards import export as exporting
from posedive.shards.export import export, undo
from posedive.shards.finalize import finalize
from posedive.shards.index import Index, open_index
from posedive.shards.lint import lint
from posedive.storage import open_store
from tests.shards.people import fill, jpeg, small_plan
from tests.shards.trainers import TRAINERS

REAL = EmbeddedWorld(seed=7, identities=6).images("train")


def generated(folder: Path) -> Index:
    """Generated pictures of the embedded set's people."""
    store = open_store(str(folder))
    fill(store, small_plan(images=REAL, images_per_identity=5))
    finalize(store)
    return open_index(store.uri)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return generated(tmp_path_factory.mktemp("output"))


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def market1501(root: Path) -> None:
    for image in REAL:
        write(root / f"bounding_box_train/{image.key}.jpg", jpeg(image.pid))
        for folder in ("query", "bounding_box_test"):
            write(root / f"{folder}/{image.pid + 700:04d}{image.key[4:]}.jpg", jpeg(image.pid))
    write(root / "readme.txt", b"as published")


def msmt17(root: Path) -> None:
    lines = []
    for image in REAL:
        path = f"{image.pid:04d}/{image.pid:04d}_{image.key[-2:]}_{image.camid:02d}_0303morning.jpg"
        write(root / "train" / path, jpeg(image.pid))
        lines.append(f"{path} {image.pid - 1}\n")
    write(root / "list_train.txt", "".join(lines).encode())
    write(root / "test/0900/0900_00_01_0303morning.jpg", jpeg(0))


def cuhk03(root: Path) -> None:
    train = []
    for image in REAL:
        path = root / f"images_detected/{image.key}.png"
        write(path, jpeg(image.pid))
        train.append([str(path), image.pid - 1, image.camid - 1])
    told = {"train": train, "query": [], "gallery": [], "num_train_imgs": len(train)}
    for kind in ("detected", "labeled"):
        write(root / f"splits_new_{kind}.json", json.dumps([told]).encode())


def mars(root: Path) -> None:
    names, rows = [], []
    for image in REAL:
        name = f"{image.pid:04d}C{image.camid}T0001F{image.key[-2:]}.jpg"
        write(root / "bbox_train" / f"{image.pid:04d}" / name, jpeg(image.pid))
        names.append(name)
        rows.append([len(names), len(names), image.pid, image.camid])
    write(root / "info/train_name.txt", "".join(f"{name}\n" for name in names).encode())
    savemat(root / "info/tracks_train_info.mat", {"track_train_info": np.array(rows, np.uint16)})


SETS = {"market1501": market1501, "msmt17": msmt17, "cuhk03": cuhk03, "mars": mars}


@pytest.fixture(params=SETS)
def layout(request) -> str:
    return request.param


@pytest.fixture
def real(layout: str, tmp_path: Path) -> Path:
    SETS[layout](tmp_path / "real")
    return tmp_path / "real"


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder, _, files in os.walk(root, followlinks=True)
        for path in (Path(folder) / name for name in files)
        if exporting.OURS not in path.parts
    }


def pairs(read, offset: int = 0) -> list[tuple[str, int, int]]:
    return sorted((Path(path).stem, pid + offset, camid) for path, pid, camid in read)


@pytest.mark.parametrize("copy", [False, True])
def test_an_overlay_reads_as_the_real_set_and_what_the_index_says(
    real, layout, index, tmp_path, copy
):
    read = TRAINERS[layout]
    # MSMT17's own labels begin at 0, its folders at the pid.
    offset = 1 if layout == "msmt17" else 0
    before, own = content(real), pairs(read(real), offset)
    told = export(index, layout, tmp_path / "out", real, copy)
    assert told["pictures"] == len(index)
    merged = read(tmp_path / "out")
    expected = list(zip(index.keys, index.pids.tolist(), index.camids.tolist(), strict=True))
    assert pairs(merged, offset) == sorted(own + expected)
    assert all(Path(path).is_file() for path, *_ in merged)
    assert content(real) == before
    told = lint(tmp_path / "out")
    assert (told["layout"], told["traps"]) == (layout, [])


@pytest.mark.parametrize("copy", [False, True])
def test_undone_it_is_the_real_set_again(real, layout, index, tmp_path, copy):
    out = tmp_path / "out"
    export(index, layout, out, real, copy)
    told = undo(out)
    assert told["removed"] == len(index)
    assert content(out) == content(real)
    export(index, layout, out)  # and may be merged anew, in place
    undo(out)
    assert content(out) == content(real)


def test_a_copy_of_ones_own_is_merged_in_place(real, layout, index):
    before = content(real)
    export(index, layout, real)
    assert len(content(real)) > len(before)
    undo(real)
    assert content(real) == before and not (real / exporting.OURS).exists()


def test_an_empty_folder_gets_the_pictures_alone(layout, index, tmp_path):
    out = tmp_path / "out"
    export(index, layout, out)
    assert len([name for name in content(out) if name.endswith(".jpg")]) == len(index)
    undo(out)
    assert content(out) == {}


@pytest.mark.parametrize("moment", [0, 1, 7, 23, 30])
def test_an_export_cut_short_is_undone_whole(real, layout, index, moment, monkeypatch):
    before = content(real)
    left = [moment]
    put = os.replace

    def replace(source, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        put(source, target)

    monkeypatch.setattr(exporting.os, "replace", replace)
    try:
        export(index, layout, real)
    except KeyboardInterrupt:
        pass
    monkeypatch.undo()
    if (real / exporting.OURS / exporting.RECORD).exists():
        undo(real)
    left_over = [name for name in content(real) if name not in before]
    assert {k: v for k, v in content(real).items() if k in before} == before
    assert all(Path(name).name.startswith(".") for name in left_over)


@pytest.mark.parametrize("layout", ["market1501"])
def test_a_second_export_is_refused_until_the_first_is_undone(real, layout, index, tmp_path):
    export(index, layout, tmp_path / "out", real)
    with pytest.raises(RequestError, match="holds an export already; take it out with --undo"):
        export(index, layout, tmp_path / "out")


@pytest.mark.parametrize("layout", ["market1501"])
def test_wrong_requests_are_told_before_anything_is_written(real, layout, index, tmp_path):
    before = content(tmp_path)
    with pytest.raises(DatasetError, match="expected a set in the layout mars"):
        export(index, "mars", tmp_path / "out", real)
    with pytest.raises(RequestError, match="expected a folder apart from the real set"):
        export(index, layout, real / "more", real)
    with pytest.raises(RequestError, match="expected an export to undo, got none"):
        undo(real)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("keep")
    with pytest.raises(RequestError, match="expected an empty folder for the overlay"):
        export(index, layout, tmp_path / "full", real)
    assert content(tmp_path) == before | {"full/mine.txt": b"keep"}


def test_what_trainers_assert_against_is_refused(index, tmp_path):
    for what in ("pids", "camids"):
        wrong = Index(**{**index.__dict__, what: getattr(index, what) + 2000})
        with pytest.raises(RequestError, match=f"market1501: its trainers take a {what[:-1]} of 1"):
            export(wrong, "market1501", tmp_path / "out")


@pytest.mark.parametrize("layout", ["market1501"])
def test_a_taken_name_is_refused(real, layout, index):
    write(real / f"bounding_box_train/{index.keys[0]}.jpg", b"mine")
    with pytest.raises(RequestError, match=f"{index.keys[0]}.jpg: is there already"):
        export(index, layout, real)


@pytest.mark.parametrize("layout", ["market1501"])
def test_a_record_that_leads_elsewhere_is_refused(real, layout, index, tmp_path):
    export(index, layout, real)
    victim = tmp_path / "victim.txt"
    victim.write_text("keep")
    path = real / exporting.OURS / exporting.RECORD
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"pictures": ["../victim.txt"]}))
    with pytest.raises(RequestError, match="was it edited"):
        undo(real)
    assert victim.read_text() == "keep"


# Lint


def kinds(root: Path) -> list[str]:
    return [trap.partition(":")[0] for trap in lint(root)["traps"]]


@pytest.fixture
def market(tmp_path: Path) -> Path:
    market1501(tmp_path / "set")
    return tmp_path / "set"


def test_a_clean_set_has_no_traps(real, layout):
    told = lint(real)
    assert (told["layout"], told["num_traps"], told["traps"]) == (layout, 0, [])
    assert told["pictures"] >= len(REAL)


def test_a_path_that_looks_like_a_name_is_found(tmp_path):
    root = tmp_path / "run_12_c3/market"
    market1501(root)
    read = {(pid, camid) for _, pid, camid in TRAINERS["market1501"](root)}
    assert read == {(12, 3)}  # everybody is one person to a trainer
    assert kinds(root) == ["path"]
    dated = tmp_path / "2025-01_c1"
    (root).rename(dated)
    with pytest.raises(ValueError, match="invalid literal"):
        TRAINERS["market1501"](dated)
    assert kinds(dated) == ["path"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("0002_c1s0_000001_0007.png", "suffix"),
        ("0002_c1s0_000001_0007.JPG", "suffix"),
        ("0002_c1s0_000001_0007.jpeg", "suffix"),
        ("nested/0002_c1s0_000001_0007.jpg", "nested"),
        ("0002_c12s0_000012_0007.jpg", "bounds"),
        ("0002_c0s0_000000_0007.jpg", "bounds"),
        ("1502_c1s0_000001_0007.jpg", "bounds"),
        ("0002_c1s0.jpg", "name"),
        ("person 3.jpg", "name"),
    ],
)
def test_a_picture_that_is_misread_is_found(market, name, kind):
    write(market / "bounding_box_train" / name, jpeg(1))
    assert kinds(market) == [kind]


def test_one_name_twice_is_found(market):
    name = f"{REAL[0].key}.jpg"
    write(market / "query" / name, jpeg(1))
    write(market / "bounding_box_train" / f"{REAL[1].key.upper()}.JPG", jpeg(1))
    assert sorted(kinds(market)) == ["clash", "clash", "name", "suffix"]


def test_what_is_in_a_folder_by_custom_is_no_trap(market):
    write(market / "bounding_box_train/Thumbs.db", b"")
    assert kinds(market) == []


def test_a_link_to_nothing_is_found(market, index, tmp_path):
    export(index, "market1501", tmp_path / "out", market)
    market.rename(tmp_path / "moved")
    assert "list" in kinds(tmp_path / "out")


def test_gaps_and_lists_that_disagree_are_found(tmp_path):
    msmt17(tmp_path)
    path = tmp_path / "list_train.txt"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.endswith(" 2")]
    path.write_text("\n".join([*kept, kept[0], "0001/nothing_00_01.jpg 0", "what"]) + "\n")
    assert sorted(kinds(tmp_path)) == ["clash", "gap", "list", "list"]


def test_mars_rows_that_disagree_with_the_names_are_found(tmp_path):
    mars(tmp_path)
    rows = np.array([[1, 3000, 1, 1], [1, 1, 1, 9], [1, len(REAL), 1, 1]], np.int32)
    savemat(tmp_path / "info/tracks_train_info.mat", {"track_train_info": rows})
    assert kinds(tmp_path) == ["list", "bounds", "list"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        lint(tmp_path / "nothing")
