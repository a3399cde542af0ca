import io

import pyarrow.parquet as pq

from posedive.shards import index_file
from posedive.shards.index_file import IndexWriter, read_table, rows_of, table_of


def row(number: int) -> dict:
    return {
        "shard": f"shards/{number // 2:06d}.tar",
        "offset": 512 * number,
        "size": 100 + number,
        "key": f"{number:04d}_c1s0_000001_00",
        "pid": number,
        "camid": 1,
        "split": "train",
        "scores": {"confidence": 0.5},
        "sha256": bytes([number]) * 32,
        "record_offset": 7,
        "record_size": 8,
    }


def written(sizes: list[int]) -> bytes:
    writer, at = IndexWriter(), 0
    for size in sizes:
        writer.add(table_of([row(i) for i in range(at, at + size)]))
        at += size
    return writer.close("digest", {"shards/000000.tar": {"samples": at}})


def test_an_index_written_in_parts_reads_back_whole_and_in_order(monkeypatch):
    monkeypatch.setattr(index_file, "ROW_GROUP", 4)
    data = written([2, 1, 3, 2, 1])
    assert pq.ParquetFile(io.BytesIO(data)).metadata.num_row_groups == 2
    table, told = read_table(data, "here")
    assert list(rows_of(table)) == list(rows_of(table_of([row(i) for i in range(9)])))
    assert told["plan"] == "digest"
    assert told["shards"] == {"shards/000000.tar": {"samples": 9}}


def test_the_same_rows_give_the_same_bytes():
    assert written([3, 2]) == written([3, 2])


def test_an_index_of_nothing_can_be_read():
    table, told = read_table(written([]), "here")
    assert len(table) == 0
    assert told["shards"]["shards/000000.tar"]["samples"] == 0
