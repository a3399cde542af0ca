"""Which keys belong to which shard: a pure function of a seed and of who was seen by which camera.

Every draw of a pair hashes (seed, pid, seq), so any pair is found without the ones before it, on
every machine alike, and 10^8 of them need no more than the table of identities. That table, kept
in plan.json, is also all that `verify` needs to know each planned key: no dataset, no list of keys.
"""

import bisect
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

KEY = re.compile(r"(\d{4,})_c(\d+)s0_(\d{6,})_(\d{4,})")
PREFIX = "shards/"


@dataclass(frozen=True)
class Draw:
    """The random numbers of one pair, each uniform in [0, 2^64)."""

    reference: int
    pose: int
    azimuth: int
    elevation: int


def draw(seed: int, pid: int, seq: int) -> Draw:
    digest = hashlib.blake2b(f"{seed} {pid} {seq}".encode(), person=b"pair").digest()
    return Draw(*(int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16, 24)))


def index_below(number: int, count: int) -> int:
    """A draw as an index in [0, count)."""
    return number * count >> 64


def uniform(number: int, low: float, high: float) -> float:
    """A draw as a number in [low, high)."""
    return low + (number >> 11) / 2**53 * (high - low)


def pair_seed(seed: int, key: str) -> int:
    """The 63-bit seed of one pair's noise."""
    digest = hashlib.blake2b(f"{seed} {key}".encode(), person=b"noise", digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def pair_key(pid: int, camid: int, seq: int) -> str:
    """The name that every Re-ID trainer can parse; s0 marks a generated image."""
    return f"{pid:04d}_c{camid}s0_{camid:06d}_{seq:04d}"


def pid_camid_of(key: str) -> tuple[int, int]:
    """Raises ValueError for a key off the grammar."""
    found = KEY.fullmatch(key)
    if found is None or found[2] != str(int(found[3])):
        raise ValueError(f"expected a key like 0002_c1s0_000001_0007, got {key!r}")
    return int(found[1]), int(found[2])


def shuffled_pids(pids: Sequence[int], seed: int) -> list[int]:
    def place(pid: int) -> bytes:
        return hashlib.blake2b(f"{seed} {pid}".encode(), person=b"shuffle").digest()

    return sorted(pids, key=place)


@dataclass(frozen=True)
class Identity:
    """A pid and how many usable images it has from each camera: (camid, count), camids rising."""

    pid: int
    cameras: tuple[tuple[int, int], ...]

    @cached_property
    def num_images(self) -> int:
        return sum(count for _, count in self.cameras)

    def camid(self, image: int) -> int:
        """The camera of the image at that index, images being sorted by camera."""
        ends = list(accumulate(count for _, count in self.cameras))
        return self.cameras[bisect.bisect_right(ends, image)][0]


@dataclass(frozen=True)
class Layout:
    """Identities in shuffled order, cut into num_shards runs that differ by one pid at most."""

    seed: int
    images_per_identity: int
    num_shards: int
    identities: tuple[Identity, ...]

    @property
    def num_pairs(self) -> int:
        return len(self.identities) * self.images_per_identity

    def name(self, index: int) -> str:
        return f"{PREFIX}shard-{index:06d}.tar"

    def members(self, index: int) -> tuple[Identity, ...]:
        """The identities of shard `index`."""
        if not 0 <= index < self.num_shards:
            raise IndexError(f"shard {index} of {self.num_shards}")
        count = len(self.identities)
        start, end = (at * count // self.num_shards for at in (index, index + 1))
        return self.identities[start:end]

    def size(self, index: int) -> int:
        """Pairs of shard `index`."""
        return len(self.members(index)) * self.images_per_identity

    def keys(self, index: int) -> list[str]:
        return [
            self.key(identity, seq)
            for identity in self.members(index)
            for seq in range(self.images_per_identity)
        ]

    def key(self, identity: Identity, seq: int) -> str:
        drawn = draw(self.seed, identity.pid, seq)
        camid = identity.camid(index_below(drawn.reference, identity.num_images))
        return pair_key(identity.pid, camid, seq)

    @cached_property
    def _by_pid(self) -> dict[int, Identity]:
        return {identity.pid: identity for identity in self.identities}

    def plans(self, key: str) -> bool:
        """Whether any shard is to hold `key`."""
        try:
            pid, _ = pid_camid_of(key)
        except ValueError:
            return False
        identity, seq = self._by_pid.get(pid), int(key.rpartition("_")[2])
        if identity is None or seq >= self.images_per_identity:
            return False
        return self.key(identity, seq) == key
