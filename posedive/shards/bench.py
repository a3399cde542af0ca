"""How fast the loaders are beside what people use now: `posedive bench stream`.

Out: shares, each of two rates (images/s, decoding included) that were measured in turns in this
run, with the same tars, workers, batches and decoder; the median of the rounds:
    stream_share    ShardStream over bare webdataset
    pk_share        PkStream over bare webdataset
    indexed_share   IndexedDataset in random order over the same JPEGs as files of a folder
A rate is timed from an epoch's first batch to its last, so that starting workers doesn't count.
"""

import io
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from webdataset.compat import WebDataset

from posedive.records import PersonImage
from posedive.shards.card import FREE
from posedive.shards.document import open_plan, plan_document
from posedive.shards.finalize import finalize
from posedive.shards.indexed import IndexedDataset, decode_array
from posedive.shards.loaders import PkStream, ShardStream, StreamLoader
from posedive.shards.plan import plan_shards
from posedive.shards.provenance import digital_source_type, with_provenance
from posedive.shards.tar import Sample, encode_shard, pair_record
from posedive.storage import open_store

SIZE = (64, 128)
NUM_PIDS, PER_PID = 256, 16
NUM_PICTURES = 64  # different ones
BATCH, IDENTITIES, IMAGES = 64, 16, 4
WORKERS = 2
WEIGHTS = "0" * 64


@dataclass(frozen=True)
class _Pose:
    body_pose: np.ndarray
    global_orient: np.ndarray
    name: str


class FolderDataset:
    """JPEGs of a folder by number, as any trainer's own dataset reads them."""

    def __init__(self, folder: Path):
        self.paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> dict[str, Any]:
        path = self.paths[row]
        pid, camera = path.name.split("_")[:2]
        image = decode_array(path.read_bytes())
        return {"image": image, "pid": int(pid), "camid": int(camera[1:-2]), "key": path.stem}


def measure(rounds: int = 5) -> dict[str, float]:
    """The shares, and the rates in images/s that they are of."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves files to be collected
        root = Path(folder)
        make_output(root)
        finalize(open_store(folder))
        readers = _readers(root)
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for number in range(rounds):
            for name, reader in readers.items():
                rates[name].append(_rate(reader(number)))
    shares = {
        "stream_share": _share(rates["stream"], rates["webdataset"]),
        "pk_share": _share(rates["pk"], rates["webdataset"]),
        "indexed_share": _share(rates["indexed"], rates["folder"]),
    }
    return shares | {
        f"{name}_images_per_s": round(statistics.median(of_name), 1)
        for name, of_name in rates.items()
    }


def make_output(root: Path, num_pids: int = NUM_PIDS, per_pid: int = PER_PID) -> None:
    """An output of pictures without meaning at `root`, and the JPEGs alone at root/files."""
    images = [PersonImage(f"{pid}", pid, 1 + pid % 6, "train") for pid in range(1, num_pids + 1)]
    plan = plan_shards(
        images,
        [_Pose(np.zeros(69, np.float32), np.zeros(3, np.float32), "none")],
        azimuth_deg=(0, 360),
        elevation_deg=(0, 45),
        focal=3.0,
        images_per_identity=per_pid,
        seed=0,
    )
    pictures = _pictures()
    store = open_store(str(root))
    (root / "files").mkdir(parents=True)
    open_plan(store, plan_document(plan, WEIGHTS, {}))
    for index in range(plan.num_shards):
        shard = plan.shard(index)
        samples = [
            Sample(pair.key, pictures[pair.seed % len(pictures)], pair_record(pair))
            for pair in shard.pairs
        ]
        manifest = {"plan": plan.digest, "weights": WEIGHTS, "rejected": {}}
        store.put(shard.name, encode_shard(shard, samples, manifest))
        for sample in samples:
            (root / "files" / f"{sample.key}.jpg").write_bytes(sample.jpeg)


def _pictures() -> list[bytes]:
    """JPEGs with as much detail as a crop of a person: smooth shapes and some grain."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(NUM_PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), np.uint8))
        smooth = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.float32)
        grainy = (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(grainy).save(out, "JPEG", quality=95, subsampling=0)
        made.append(with_provenance(out.getvalue(), digital_source_type("embedded"), FREE))
    return made


def _readers(root: Path) -> dict[str, Callable[[int], Iterable[dict[str, Any]]]]:
    urls = [str(path) for path in sorted((root / "shards").glob("*.tar"))]
    files, indexed = FolderDataset(root / "files"), IndexedDataset(str(root), decode=decode_array)

    def webdataset(epoch: int) -> Iterable[dict[str, Any]]:
        bare: Any = WebDataset(urls, shardshuffle=len(urls), seed=epoch).shuffle(1000)
        return DataLoader(bare.map(_decoded), BATCH, num_workers=WORKERS)

    def stream(epoch: int) -> Iterable[dict[str, Any]]:
        loader = StreamLoader(ShardStream(str(root), BATCH, decode=decode_array), WORKERS)
        loader.set_epoch(epoch)
        return loader

    def pk(epoch: int) -> Iterable[dict[str, Any]]:
        people = PkStream(str(root), IDENTITIES, IMAGES, decode=decode_array)
        loader = StreamLoader(people, WORKERS)
        loader.set_epoch(epoch)
        return loader

    def of(dataset: Any) -> Callable[[int], Iterable[dict[str, Any]]]:
        return lambda _: DataLoader(dataset, BATCH, shuffle=True, num_workers=WORKERS)

    return {
        "webdataset": webdataset,
        "stream": stream,
        "pk": pk,
        "folder": of(files),
        "indexed": of(indexed),
    }


def _decoded(sample: dict[str, Any]) -> dict[str, Any]:
    record = json.loads(sample["json"])
    image = decode_array(sample["jpg"])
    told = {"pid": record["pid"], "camid": record["camid"], "key": sample["__key__"]}
    return {"image": image} | told


def _rate(batches: Iterable[dict[str, Any]]) -> float:
    """Images per second after the first batch."""
    count, begun = -1, 0.0
    for batch in batches:
        if count < 0:
            count, begun = 0, time.perf_counter()
        else:
            count += len(batch["pid"])
    return count / (time.perf_counter() - begun)


def _share(ours: list[float], theirs: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)
