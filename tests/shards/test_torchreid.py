"""torchreid's own dataset classes read what `posedive export` leaves: where torchreid is installed.

It needs torchvision and more, which nothing else here does; in an environment of its own:
`pip install torchreid==0.2.5 torchvision gdown tensorboard opencv-python-headless`.
Elsewhere trainers.py stands in, which restates its rules as data.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from posedive.shards.export import export
from posedive.shards.index import Index
from tests.shards.test_export import REAL, SETS, generated, jpeg, write

data = pytest.importorskip("torchreid.reid.data")
FOLDERS = {
    "market1501": "market1501/Market-1501-v15.09.15",
    "msmt17": "msmt17/MSMT17_V2",
    "cuhk03": "cuhk03",
    "mars": "mars",
}
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return generated(tmp_path_factory.mktemp("output"))


def complete(layout: str, real: Path) -> None:
    """What torchreid looks for beyond a training set, or it doesn't begin."""
    if layout == "msmt17":
        (real / "train").rename(real / "mask_train_v2")
        (real / "test").rename(real / "mask_test_v2")
        for name in ("val", "query", "gallery"):
            write(real / f"list_{name}.txt", (real / "list_train.txt").read_bytes())
    if layout == "cuhk03":
        for name in (
            "cuhk03_release/cuhk-03.mat",
            "cuhk03_new_protocol_config_detected.mat",
            "cuhk03_new_protocol_config_labeled.mat",
            "images_labeled/none.txt",
            "splits_classic_detected.json",
            "splits_classic_labeled.json",
        ):
            write(real / name, b"")
        for path in real.glob("splits_new_*.json"):
            (split,) = json.loads(path.read_text())
            tested = [["nobody.png", 1400, 0]]
            path.write_text(json.dumps([split | {"query": tested, "gallery": tested}]))
    if layout == "mars":
        write(real / "info/test_name.txt", (real / "info/train_name.txt").read_bytes())
        write(real / "bbox_test/0001/0001C1T0001F00.jpg", jpeg(1))
        rows = np.array([[1, 1, 1, 1]] * 4, np.uint16)
        savemat(real / "info/tracks_test_info.mat", {"track_test_info": rows})
        savemat(real / "info/query_IDX.mat", {"query_IDX": np.array([[1, 2]])})


@pytest.mark.parametrize("layout", SETS)
def test_torchreid_itself_reads_the_index_out_of_an_overlay(layout, index, tmp_path):
    real, out = tmp_path / "real", tmp_path / "root" / FOLDERS[layout]
    SETS[layout](real)
    complete(layout, real)
    export(index, layout, out, real)
    make = (
        data.datasets.init_video_dataset if layout == "mars" else data.datasets.init_image_dataset
    )
    read = make(
        layout, root=str(tmp_path / "root"), mode="train", verbose=False, transform=bytes
    ).train
    labels = {
        (Path(path).stem, label, camid + 1)
        for paths, label, camid, *_ in read
        for path in ([paths] if isinstance(paths, str) else paths)
    }
    assert len(labels) == len(REAL) + len(index)
    generated = {name: (label, camid) for name, label, camid in labels if name in set(index.keys)}
    assert {name: camid for name, (_, camid) in generated.items()} == dict(
        zip(index.keys, index.camids.tolist(), strict=True)
    )
    # Labels are torchreid's own: one for each pid, the real images' and the generated ones'.
    pid_of = dict(zip(index.keys, index.pids.tolist(), strict=True)) | {
        name: int(name[:4]) for name, *_ in labels
    }
    pairs = {(pid_of[name], label) for name, label, _ in labels}
    assert len(pairs) == len({pid for pid, _ in pairs}) == len({label for _, label in pairs})


def test_torchreids_data_manager_makes_batches_of_the_merged_set(index, tmp_path):
    real, root = tmp_path / "real", tmp_path / "root"
    SETS["market1501"](real)
    export(index, "market1501", root / FOLDERS["market1501"], real)
    manager = data.ImageDataManager(
        root=str(root),
        sources="market1501",
        height=32,
        width=16,
        batch_size_train=16,
        batch_size_test=16,
        workers=0,
        use_gpu=False,
        train_sampler="RandomIdentitySampler",
    )
    assert manager.num_train_pids == len(set(index.pids))
    seen = [Path(path).stem for batch in manager.train_loader for path in batch["impath"]]
    assert set(index.keys) & set(seen)
    assert batch_shape(manager) == (16, 3, 32, 16)


def batch_shape(manager) -> tuple[int, ...]:
    return tuple(next(iter(manager.train_loader))["img"].shape)
