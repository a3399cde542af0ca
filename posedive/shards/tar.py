"""One shard as bytes: kept samples, then the shard's own manifest -> a tar that anyone can read.

    {key}.jpg, {key}.json           for each kept sample, keys rising
    __shard__/manifest.json         see encode_shard; WebDataset readers skip `__shard__/`
    __shard__/rejected/{key}.jpg    and .json: a few rejected samples to look at

The same samples give the same bytes: members are sorted, times and owners are zero. Reading trusts
nothing: every member must be a plain file at an expected name, whole, and of the sha256 that the
manifest gives for it.
"""

import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from posedive.errors import ShardError
from posedive.records import Pair, ShardPlan
from posedive.shards.layout import KEY, pid_camid_of

FORMAT = "posedive-shard/1"
MANIFEST = "__shard__/manifest.json"
REJECTED = "rejected/"
MAX_REJECTED_EXAMPLES = 4
MAX_MEMBER_BYTES = 64 << 20
MAX_SHARD_BYTES = 2 << 30

_SAMPLE = re.compile(rf"({KEY.pattern})\.(jpg|json)")
_EXTRA = re.compile(r"__shard__(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_OURS = {"format", "shard", "planned", "kept", "sha256", "digest"}
_GIVEN = {"plan", "weights", "rejected"}


@dataclass(frozen=True)
class Sample:
    """One generated image: JPEG bytes, and its record of plain JSON values."""

    key: str
    jpeg: bytes
    record: dict[str, Any]


def pair_record(pair: Pair) -> dict[str, Any]:
    """The part of a sample's record that the plan knows; scores and weights come on top."""
    return {
        "key": pair.key,
        "pid": pair.pid,
        "camid": pair.camid,
        "reference": pair.reference,
        "pose_source": pair.condition.pose_source,
        "azimuth_deg": pair.condition.azimuth_deg,
        "elevation_deg": pair.condition.elevation_deg,
        "focal": pair.condition.focal,
        "seed": pair.seed,
    }


def rejected_examples(samples: Iterable[Sample]) -> dict[str, bytes]:
    """The first few rejected samples, as `extras` of encode_shard."""
    shown = sorted(samples, key=lambda sample: sample.key)[:MAX_REJECTED_EXAMPLES]
    return {f"{REJECTED}{name}": data for sample in shown for name, data in _members_of(sample)}


def encode_shard(
    plan: ShardPlan,
    samples: Sequence[Sample],
    manifest: Mapping[str, Any],
    extras: Mapping[str, bytes] | None = None,
) -> bytes:
    """The tar of `plan` with its kept `samples`.

    manifest: "plan" and "weights" (digests), "rejected" ({key: reason}), and what else the job
    wants to tell. Added are "format", "shard", "planned", "kept", "sha256" ({member: sha256}), and
    "digest", which covers the manifest itself.
    extras: further members below `__shard__/`, by name.
    Raises ShardError unless each planned key is kept or rejected, once.
    """
    if not manifest.keys() >= _GIVEN or manifest.keys() & _OURS:
        raise ValueError(f"a manifest has {sorted(_GIVEN)} and none of {sorted(_OURS)}")
    planned = Counter(pair.key for pair in plan.pairs)
    come = Counter([sample.key for sample in samples]) + Counter(manifest["rejected"].keys())
    if come != planned:
        wrong = sorted((come - planned) + (planned - come))
        raise ShardError(
            f"{plan.name}: expected each of {len(plan.pairs)} planned keys once, kept or rejected; "
            f"got {len(samples)} kept and {len(manifest['rejected'])} rejected, wrong: {wrong[:4]}"
        )
    ordered = sorted(samples, key=lambda sample: sample.key)
    members = [member for sample in ordered for member in _members_of(sample)]
    others = [(f"__shard__/{name}", data) for name, data in sorted((extras or {}).items())]
    for name, _ in others:
        if not _EXTRA.fullmatch(name) or name == MANIFEST:
            raise ValueError(f"{name!r} is no name for a further member of a shard")
    whole = {
        **manifest,
        "format": FORMAT,
        "shard": plan.index,
        "planned": len(plan.pairs),
        "kept": len(samples),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members + others},
    }
    manifest_json = _json(whole | {"digest": hashlib.sha256(_json(whole)).hexdigest()})
    return _tar([*members, (MANIFEST, manifest_json), *others])


def read_shard(data: bytes, name: str = "shard") -> tuple[dict[str, Any], list[Sample]]:
    """Manifest and kept samples of a tar, all checked. Raises ShardError with shard and member."""
    return check_members(read_members(data, name), name)


def read_extras(data: bytes, name: str = "shard") -> dict[str, bytes]:
    """The further members below `__shard__/`, by name: rejected/{key}.jpg and the like."""
    root = MANIFEST.rpartition("/")[0] + "/"
    return {
        member.removeprefix(root): content
        for member, content in read_members(data, name)
        if member.startswith(root) and member != MANIFEST
    }


def drop_pids(data: bytes, pids: set[int], name: str = "shard") -> tuple[bytes, list[str]]:
    """The shard without these people, and the keys that it held of them, kept or rejected.

    Nothing of them stays: not their rejected pictures, previews, or lines of the manifest.
    """
    members = read_members(data, name)
    manifest, _ = check_members(members, name)
    gone = re.compile(rf"(?:.*/)?(?:{'|'.join(f'0*{pid}' for pid in sorted(pids))})_c\d+s0_.*")
    stay = [(m, content) for m, content in members if m != MANIFEST and not gone.fullmatch(m)]
    rejected = {key: why for key, why in manifest["rejected"].items() if not gone.fullmatch(key)}
    dropped = {key for key in manifest["rejected"] if key not in rejected}
    dropped |= {PurePosixPath(m).stem for m, _ in members if gone.fullmatch(m)}
    kept = sum(bool(_SAMPLE.fullmatch(member)) for member, _ in stay) // 2
    whole = {field: value for field, value in manifest.items() if field != "digest"} | {
        "planned": kept + len(rejected),
        "kept": kept,
        "rejected": rejected,
        "sha256": {m: manifest["sha256"][m] for m, _ in stay},
    }
    manifest_json = _json(whole | {"digest": hashlib.sha256(_json(whole)).hexdigest()})
    return _tar(sorted([*stay, (MANIFEST, manifest_json)], key=_place)), sorted(dropped)


def read_members(data: bytes, name: str) -> list[tuple[str, bytes]]:
    """Members in order, whole and at expected names; may hold one name twice."""
    return [(member, data[at : at + size]) for member, at, size in walk_members(data, name)]


def walk_members(data: bytes, name: str) -> list[tuple[str, int, int]]:
    """(name, offset of its content, size) of each member, in order; checked as read_members."""
    if len(data) > MAX_SHARD_BYTES:
        raise ShardError(f"{name}: {len(data)} bytes, expected at most {MAX_SHARD_BYTES}")
    members: list[tuple[str, int, int]] = []
    end = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                where = f"{name}: member {info.name!r}"
                if info.type != tarfile.REGTYPE or info.pax_headers:
                    raise ShardError(f"{where}: expected a plain file, got a link or another kind")
                if not _SAMPLE.fullmatch(info.name) and not _EXTRA.fullmatch(info.name):
                    raise ShardError(f"{where}: expected {{key}}.jpg, {{key}}.json or __shard__/…")
                if info.size > MAX_MEMBER_BYTES:
                    raise ShardError(f"{where}: {info.size} bytes, over {MAX_MEMBER_BYTES}")
                content_end = info.offset_data + info.size
                end = -(-content_end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if end > len(data) or data[content_end:end].strip(b"\0"):
                    raise ShardError(f"{where}: truncated or garbled")
                members.append((info.name, info.offset_data, info.size))
    except tarfile.TarError as error:
        last = f"after member {members[-1][0]!r}" if members else "from its first byte"
        raise ShardError(f"{name}: no tar {last} ({error})") from error
    # A garbled header reads as the end of the tar: after the true one there are only zeros, two
    # blocks at least, and as many as fill a record.
    zeros = len(data) - end
    if zeros < 2 * tarfile.BLOCKSIZE or len(data) % tarfile.RECORDSIZE or data[end:].strip(b"\0"):
        last = members[-1][0] if members else "its beginning"
        raise ShardError(f"{name}: truncated or garbled after member {last!r}")
    return members


def check_members(
    members: Sequence[tuple[str, bytes]], name: str
) -> tuple[dict[str, Any], list[Sample]]:
    """Manifest and kept samples of what read_members gave; names, counts and sha256 checked."""
    contents = dict(members)
    if len(contents) < len(members):
        twice = [member for member, count in Counter(n for n, _ in members).items() if count > 1]
        raise ShardError(f"{name}: member {twice[0]!r} is there twice")
    manifest = _manifest(contents, name)
    listed = manifest["sha256"]
    for member in sorted(listed.keys() ^ (contents.keys() - {MANIFEST})):
        said = "is in the manifest but missing" if member in listed else "isn't in the manifest"
        raise ShardError(f"{name}: member {member!r} {said}")
    for member, sha256 in listed.items():
        if hashlib.sha256(contents[member]).hexdigest() != sha256:
            raise ShardError(f"{name}: member {member!r}: its sha256 isn't the manifest's; garbled")
    stems = (member.removesuffix(".jpg") for member in contents if _SAMPLE.fullmatch(member))
    keys = sorted({stem.removesuffix(".json") for stem in stems})
    samples = [_sample(key, contents, name) for key in keys]
    rejected = manifest["rejected"].keys()
    if rejected & set(keys):
        raise ShardError(f"{name}: {min(rejected & set(keys))!r} is both kept and rejected")
    counts = (manifest["kept"], manifest["planned"])
    if counts != (len(samples), len(samples) + len(rejected)):
        raise ShardError(
            f"{name}: manifest says kept={counts[0]} planned={counts[1]}, "
            f"got {len(samples)} kept and {len(rejected)} rejected"
        )
    return manifest, samples


def _manifest(contents: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if MANIFEST not in contents:
        raise ShardError(f"{name}: no {MANIFEST}; truncated, or not a shard of posedive")
    manifest = _object(contents[MANIFEST], f"{name}: member {MANIFEST!r}")
    absent = sorted((_GIVEN | _OURS) - manifest.keys())
    mappings = (manifest.get("rejected"), manifest.get("sha256"))
    if absent or manifest["format"] != FORMAT or not all(isinstance(m, dict) for m in mappings):
        raise ShardError(f"{name}: {MANIFEST}: expected format {FORMAT!r}; absent: {absent}")
    covered = {field: value for field, value in manifest.items() if field != "digest"}
    if hashlib.sha256(_json(covered)).hexdigest() != manifest["digest"]:
        raise ShardError(f"{name}: member {MANIFEST!r}: its digest isn't its content's; garbled")
    return manifest


def _sample(key: str, contents: Mapping[str, bytes], name: str) -> Sample:
    for member in (f"{key}.jpg", f"{key}.json"):
        if member not in contents:
            raise ShardError(f"{name}: member {member!r} is missing; its other half is there")
    record = _object(contents[f"{key}.json"], f"{name}: member '{key}.json'")
    _check_record(key, record, f"{name}: member '{key}.json'")
    return Sample(key, contents[f"{key}.jpg"], record)


def _check_record(key: str, record: Mapping[str, Any], where: str) -> None:
    try:
        pid, camid = pid_camid_of(key)
    except ValueError as error:
        raise ShardError(f"{where}: {error}") from error
    for field, value in (("key", key), ("pid", pid), ("camid", camid)):
        if record.get(field, value) != value:
            raise ShardError(f"{where}: {field} is {record[field]!r}, its name says {value!r}")


def _members_of(sample: Sample) -> list[tuple[str, bytes]]:
    _check_record(sample.key, sample.record, sample.key)
    if not sample.jpeg.startswith(b"\xff\xd8"):
        raise ShardError(f"{sample.key}: expected a JPEG, got {sample.jpeg[:4]!r}")
    try:
        record = _json(sample.record)
    except (TypeError, ValueError) as error:
        raise ShardError(f"{sample.key}: its record can't be written as JSON ({error})") from error
    return [(f"{sample.key}.jpg", sample.jpeg), (f"{sample.key}.json", record)]


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ShardError(f"{where}: expected JSON ({error})") from error
    if not isinstance(value, dict):
        raise ShardError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _place(member: tuple[str, bytes]) -> tuple[bool, bool, str]:
    """Samples, then the manifest, then the rest, as encode_shard lays them."""
    return not _SAMPLE.fullmatch(member[0]), member[0] != MANIFEST, member[0]


def _tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)  # mtime, uid and gid 0, mode 0644
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
