"""Shards -> the files that a trainer, a hub and an auditor read beside them, all derived.

    index.parquet       where each picture's bytes are (see index_file)
    sizes.json          {tar: samples}, as webdataset's users keep it
    _info.json          splits, tars, samples in each, as timm's reader takes it, and the plan
    contact_sheet.jpg   some pictures, for people
    README.md           the dataset card (see card)
    audit.jsonl         who was taken down, and when
    SHA256SUMS          of the shards and all of these: `sha256sum -c SHA256SUMS`
    _SUCCESS            last: the sha256 of SHA256SUMS
They depend on the tars, plan.json and takedown/ alone; the same gives the same bytes. Orders of
takedown that were cut short are carried out first.
"""

import hashlib
import io
import json
import logging
from collections import Counter
from typing import Any

from PIL import Image

from posedive.errors import ShardError
from posedive.shards.card import Facts, strictest, write_card
from posedive.shards.document import layout_of, read_document
from posedive.shards.index_file import NAME as INDEX
from posedive.shards.index_file import IndexWriter, shard_rows, table_of
from posedive.shards.layout import PREFIX, Layout
from posedive.shards.takedown import SUCCESS, ask, remove_people, taken_down
from posedive.storage import Store

log = logging.getLogger(__name__)

SUMS = "SHA256SUMS"
SHEET = "contact_sheet.jpg"
SHEET_COLUMNS, SHEET_ROWS, SHEET_GAP = 8, 4, 4


def finalize(store: Store) -> dict[str, Any]:
    """Writes the derived files. Returns {"samples", "identities", "shards", "taken_down"}.

    Raises StorageError without a plan.json; ShardError for an output that isn't whole, naming the
    shard and what to run.
    """
    document = read_document(store)
    layout = layout_of(document)
    there = {name for name, _ in store.list(PREFIX)}
    absent = [n for n in map(layout.name, range(layout.num_shards)) if n not in there]
    if absent:
        raise ShardError(
            f"{store.uri}: expected {layout.num_shards} shards, {len(absent)} are missing, the"
            f" first {absent[0]}; run `posedive generate JOB.yaml` again to make them"
        )
    orders = remove_people(store, layout)
    told = _write_all(store, layout, document, orders)
    # Somebody else's takedown may have changed a shard after it was read here.
    return told if taken_down(store) == orders else finalize(store)


def _write_all(
    store: Store, layout: Layout, document: dict[str, Any], orders: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    facts, index, shards, pictures = _read(store, layout, document)
    files = {
        INDEX: index,
        "sizes.json": _json({_base(name): told["samples"] for name, told in shards.items()}),
        "_info.json": _info(document, shards, facts),
        SHEET: _sheet(pictures),
        "README.md": write_card(document, facts, num_taken_down=len(orders)).encode(),
    }
    if orders:
        lines = (json.dumps(order, sort_keys=True) for order in orders.values())
        files["audit.jsonl"] = "".join(f"{line}\n" for line in lines).encode()
    files = {name: data for name, data in files.items() if data}
    store.delete(SUCCESS)
    for name, data in files.items():
        store.put(name, data)
    sums = {name: told["sha256"] for name, told in shards.items()}
    sums |= {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    store.put(SUMS, listed)
    store.put(SUCCESS, hashlib.sha256(listed).hexdigest().encode() + b"\n")
    log.info("finalized uri=%s samples=%d", store.uri, facts.samples)
    return {
        "samples": facts.samples,
        "identities": len(facts.per_pid),
        "shards": len(shards),
        "taken_down": len(orders),
    }


def take_down(store: Store, pid: int) -> dict[str, Any]:
    """Removes one person from an output, for good; to be run again when it was cut short.

    Returns the order as carried out, and "finalized": False while shards are still to be made.
    """
    layout = layout_of(read_document(store))
    ask(store, layout, pid)
    store.probe_conditional_put()  # sweeps what killed runs left half written, maybe of this person
    order = remove_people(store, layout)[pid]
    there = {name for name, _ in store.list(PREFIX)}
    whole = all(layout.name(index) in there for index in range(layout.num_shards))
    if whole:
        finalize(store)
    return order | {"finalized": whole}


def _read(
    store: Store, layout: Layout, document: dict[str, Any]
) -> tuple[Facts, bytes, dict[str, dict[str, Any]], list[bytes]]:
    """All shards, one in memory at a time: facts, the index, what is told of each, pictures."""
    split = str(document["spec"].get("dataset", {}).get("split", "train"))
    facts, index_file, shards = Facts(), IndexWriter(), {}
    every = max(1, layout.num_shards // (SHEET_COLUMNS * SHEET_ROWS))
    of_each = -(-SHEET_COLUMNS * SHEET_ROWS // layout.num_shards)
    pictures: list[bytes] = []
    for index in range(layout.num_shards):
        name = layout.name(index)
        data = store.get(name)
        try:
            rows, told = shard_rows(data, name, split)
        except ShardError as error:
            raise ShardError(
                f"{error}; delete it and run `posedive generate JOB.yaml` again"
            ) from error
        manifest = told.pop("manifest")
        if manifest["plan"] != document["digest"]:
            raise ShardError(f"{name}: made for another plan; run `posedive verify {store.uri}`")
        shards[name] = told
        index_file.add(table_of(rows))
        facts.rejected.update(map(str, manifest["rejected"].values()))
        for row in rows:
            at = row["record_offset"]
            facts.add(row, json.loads(data[at : at + row["record_size"]]))
        shown = rows[:: max(1, len(rows) // of_each)][:of_each] if index % every == 0 else []
        pictures += [data[row["offset"] : row["offset"] + row["size"]] for row in shown]
    written = index_file.close(document["digest"], shards)
    return facts, written, shards, pictures[: SHEET_COLUMNS * SHEET_ROWS]


def _info(document: dict[str, Any], shards: dict[str, dict[str, Any]], facts: Facts) -> bytes:
    splits = {
        split: {
            "num_samples": facts.samples,
            "filenames": list(shards),
            "shard_lengths": [told["samples"] for told in shards.values()],
        }
        for split in facts.splits or Counter(train=0)
    }
    told = {
        "format": "posedive-info/1",
        "plan": document["digest"],
        "weights": document["weights"],
        "licence": strictest(document),
        "identities": len(facts.per_pid),
        "cameras": len(facts.per_camid),
        "splits": splits,
    }
    return _json(told)


def _sheet(pictures: list[bytes]) -> bytes:
    """Pictures in rows on white, as JPEG; nothing when there are none."""
    tiles = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    if not tiles:
        return b""
    width, height = tiles[0].size
    columns = min(len(tiles), SHEET_COLUMNS)
    rows = -(-len(tiles) // columns)
    size = columns * (width + SHEET_GAP) + SHEET_GAP, rows * (height + SHEET_GAP) + SHEET_GAP
    page = Image.new("RGB", size, "white")
    for i, tile in enumerate(tiles):
        left = SHEET_GAP + i % columns * (width + SHEET_GAP)
        page.paste(tile, (left, SHEET_GAP + i // columns * (height + SHEET_GAP)))
    out = io.BytesIO()
    page.save(out, "JPEG", quality=90)
    return out.getvalue()


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
