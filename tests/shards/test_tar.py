import gc
import hashlib
import io
import json
import tarfile
import warnings
from typing import Any

import pytest
from webdataset.compat import WebDataset

from posedive.errors import ShardError
from posedive.shards.tar import (
    MANIFEST,
    MAX_MEMBER_BYTES,
    Sample,
    encode_shard,
    read_extras,
    read_shard,
    rejected_examples,
)
from tests.shards.people import WEIGHTS, jpeg, samples_of, small_plan, tar_of

PLAN = small_plan(num_pids=6)
NAME = PLAN.layout.name(0)


def repacked(data: bytes, edit) -> bytes:
    """The tar with its members put through edit(name, content) -> [(TarInfo, content)]."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for info in old:
            stream = old.extractfile(info)
            assert stream is not None
            for member, content in edit(info.name, stream.read()):
                member.size = len(content) if member.isreg() else 0
                new.addfile(member, io.BytesIO(content))
    return out.getvalue()


def canonical(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def with_manifest(data: bytes, **changed) -> bytes:
    def edit(name, content):
        if name == MANIFEST:
            manifest = {**json.loads(content), **changed}
            del manifest["digest"]
            manifest["digest"] = hashlib.sha256(canonical(manifest)).hexdigest()
            content = canonical(manifest)
        return [(tarfile.TarInfo(name), content)]

    return repacked(data, edit)


def test_samples_and_manifest_come_back():
    shard = PLAN.shard(0)
    made = samples_of(shard)
    manifest, samples = read_shard(tar_of(PLAN, 0, num_rejected=2), NAME)
    assert samples == sorted(made[2:], key=lambda sample: sample.key)
    assert manifest["rejected"] == {sample.key: "low_confidence" for sample in made[:2]}
    assert (manifest["shard"], manifest["planned"], manifest["kept"]) == (0, 8, 6)
    assert (manifest["plan"], manifest["weights"]) == (PLAN.digest, WEIGHTS)
    extras = read_extras(tar_of(PLAN, 0, num_rejected=2), NAME)
    assert extras.keys() == {
        f"rejected/{sample.key}.{kind}" for sample in made[:2] for kind in ("jpg", "json")
    }
    assert extras[f"rejected/{made[0].key}.jpg"] == made[0].jpeg


def test_the_bytes_depend_on_nothing_but_the_samples():
    shard = PLAN.shard(0)
    made = samples_of(shard)
    manifest = {"plan": PLAN.digest, "weights": WEIGHTS, "rejected": {}}
    assert encode_shard(shard, made, manifest) == encode_shard(shard, made[::-1], manifest)
    with tarfile.open(fileobj=io.BytesIO(tar_of(PLAN, 0))) as tar:
        names = tar.getnames()
        assert {(i.mtime, i.uid, i.gid, i.uname, i.gname, i.mode) for i in tar.getmembers()} == {
            (0, 0, 0, "", "", 0o644)
        }
    assert names == sorted(names)
    assert names[:2] == [f"{names[0][:-4]}.jpg", f"{names[0][:-4]}.json"]


def test_four_rejected_samples_are_shown_at_most():
    assert len(rejected_examples(samples_of(PLAN.shard(0)))) == 2 * 4


def test_a_shard_may_keep_nothing():
    manifest, samples = read_shard(tar_of(PLAN, 0, num_rejected=8), NAME)
    assert samples == [] and manifest["kept"] == 0 and len(manifest["rejected"]) == 8


def test_webdataset_reads_the_samples_and_only_them(tmp_path):
    for index in range(PLAN.num_shards):
        (tmp_path / f"shard-{index:06d}.tar").write_bytes(tar_of(PLAN, index))
    url = f"{tmp_path}/shard-{{000000..{PLAN.num_shards - 1:06d}}}.tar"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to be collected
        dataset: Any = WebDataset(url, shardshuffle=False).decode("pil")
        read = list(dataset)
        gc.collect()
    expected = [
        sample
        for index in range(PLAN.num_shards)
        for sample in read_shard(tar_of(PLAN, index), PLAN.layout.name(index))[1]
    ]
    assert [one["__key__"] for one in read] == [sample.key for sample in expected]
    assert [one["json"] for one in read] == [sample.record for sample in expected]
    assert all(one["jpg"].size == (16, 32) for one in read)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda made: made[:-1],
        lambda made: [*made, made[0]],
        lambda made: [*made[1:], Sample("0999_c1s0_000001_0000", jpeg(0), {})],
    ],
)
def test_a_block_that_is_not_its_shard_is_refused(wrong):
    shard = PLAN.shard(0)
    manifest = {"plan": PLAN.digest, "weights": WEIGHTS, "rejected": {}}
    with pytest.raises(ShardError, match="shard-000000.tar: expected each of 8 planned keys once"):
        encode_shard(shard, wrong(samples_of(shard)), manifest)


def test_a_key_both_kept_and_rejected_is_refused():
    shard = PLAN.shard(0)
    made = samples_of(shard)
    manifest = {"plan": PLAN.digest, "weights": WEIGHTS, "rejected": {made[0].key: "oks"}}
    with pytest.raises(ShardError, match=made[0].key):
        encode_shard(shard, made, manifest)


def test_no_truncation_passes():
    data = tar_of(PLAN, 0)
    for length in [*range(0, len(data), 512), len(data) // 2 + 7, 1, 511, len(data) - 1]:
        with pytest.raises(ShardError, match=r"shard-000000\.tar: "):
            read_shard(data[:length], NAME)


@pytest.mark.parametrize("start", range(4))
def test_no_flipped_byte_passes(start):
    data = tar_of(PLAN, 0)
    whole = read_shard(data, NAME)
    for at in range(start, len(data), 97):
        garbled = bytearray(data)
        garbled[at] ^= 0x5A
        try:
            read = read_shard(bytes(garbled), NAME)
        except ShardError as error:
            assert str(error).startswith(NAME)
        else:
            assert read == whole  # the byte that ends a header's own checksum says nothing


def test_a_garbled_member_is_named():
    victim = f"{read_shard(tar_of(PLAN, 0))[1][2].key}.jpg"

    def edit(name, content):
        return [(tarfile.TarInfo(name), content[:-9] + b"garbage!!" if name == victim else content)]

    with pytest.raises(ShardError, match=f"{NAME}: member '{victim}': its sha256"):
        read_shard(repacked(tar_of(PLAN, 0), edit), NAME)


@pytest.mark.parametrize("drop", [".jpg", ".json"])
def test_a_lost_member_is_named(drop):
    victim = read_shard(tar_of(PLAN, 0))[1][2].key + drop

    def edit(name, content):
        return [] if name == victim else [(tarfile.TarInfo(name), content)]

    with pytest.raises(ShardError, match=f"member '{victim}' is in the manifest but missing"):
        read_shard(repacked(tar_of(PLAN, 0), edit), NAME)


def test_a_doubled_member_is_named():
    victim = f"{read_shard(tar_of(PLAN, 0))[1][2].key}.jpg"

    def edit(name, content):
        return [(tarfile.TarInfo(name), content)] * (2 if name == victim else 1)

    with pytest.raises(ShardError, match=f"member '{victim}' is there twice"):
        read_shard(repacked(tar_of(PLAN, 0), edit), NAME)


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/passwd", "__shard__/../../evil", "evil.py", "__shard__/.hidden"]
)
def test_a_member_that_leads_elsewhere_is_refused(name):
    def edit(old, content):
        extra = [(tarfile.TarInfo(name), b"x")] if old == MANIFEST else []
        return [(tarfile.TarInfo(old), content), *extra]

    with pytest.raises(ShardError, match=f"{NAME}: member .*: expected {{key}}.jpg"):
        read_shard(repacked(tar_of(PLAN, 0), edit), NAME)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
def test_a_member_that_is_no_file_is_refused(kind):
    def edit(old, content):
        link = tarfile.TarInfo("0999_c1s0_000001_0000.jpg")
        link.type, link.linkname = kind, "/etc/passwd"
        return [(tarfile.TarInfo(old), content), (link, b"")]

    with pytest.raises(ShardError, match="expected a plain file"):
        read_shard(repacked(tar_of(PLAN, 0), edit), NAME)


def test_an_oversized_member_is_refused():
    info = tarfile.TarInfo("0999_c1s0_000001_0000.jpg")
    info.size = MAX_MEMBER_BYTES + 1
    with pytest.raises(ShardError, match="0999_c1s0_000001_0000.jpg.*over"):
        read_shard(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10240), NAME)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kept": 8}, "manifest says kept=8"),
        ({"rejected": {}}, "got 7 kept and 0 rejected"),
        ({"format": "other/1"}, "expected format"),
        ({"sha256": []}, "expected format"),
        ({"sha256": {}}, "isn't in the manifest"),
    ],
)
def test_a_manifest_that_disagrees_is_refused(changed, said):
    with pytest.raises(ShardError, match=f"{NAME}: .*{said}"):
        read_shard(with_manifest(tar_of(PLAN, 0), **changed), NAME)


def test_a_record_of_another_key_is_refused():
    sample = samples_of(PLAN.shard(0))[0]
    stranger = Sample(sample.key, sample.jpeg, sample.record | {"pid": 999})
    with pytest.raises(ShardError, match=f"{sample.key}: pid is 999, its name says"):
        rejected_examples([stranger])


def test_what_is_no_jpeg_is_refused():
    sample = samples_of(PLAN.shard(0))[0]
    with pytest.raises(ShardError, match="expected a JPEG, got"):
        rejected_examples([Sample(sample.key, b"\x89PNG", sample.record)])


@pytest.mark.parametrize("score", [float("nan"), object()])
def test_a_record_that_json_has_no_word_for_is_refused(score):
    sample = samples_of(PLAN.shard(0))[0]
    with pytest.raises(ShardError, match=f"{sample.key}: its record can't be written as JSON"):
        rejected_examples([Sample(sample.key, sample.jpeg, sample.record | {"oks": score})])
