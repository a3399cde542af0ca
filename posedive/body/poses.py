"""Where poses come from: a name -> an ordered, indexable source of poses that face +z.

    embedded-walking    walking and standing people: the manners of styles.STYLES  (in-domain)
    embedded-external   the other embedded clips: run, dance, kick, crawl, cartwheel ...
    embedded            both
    embedded-training   both, less HELD_OUT: what the embedded networks learn from
    embedded-held-out   HELD_OUT alone: what no embedded generator was trained on
    embedded-actions    ACTIONS alone: what people do who don't walk
    amass:/dir          every AMASS .npz below a folder, ten poses a second
    fits:/dir           every file of SMPL fits below a folder, in any layout of fit_layouts, in a
                        camera's frame (x right, y down, as 4D-Humans has it)

Order is that of the sorted file names: the same folder gives the same source everywhere. A file
that can't be used is in `skipped` with its reason, and the others are used.
"""

import difflib
import functools
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from posedive.body.fits import FIT_SUFFIXES, UNREADABLE_NPZ, npz_header, read_fits, read_npz
from posedive.body.heading import remove_heading
from posedive.body.styles import STYLES, in_style
from posedive.errors import BodyError

AMASS_POSES_PER_S = 10.0
HELD_OUT = ("cartwheel", "getup-faceup", "kick", "punch")  # clips: on the hands, lying, upright
ACTIONS = ("crawl", "getup-facedown", "getup-faceup", "kick", "punch", "roll", "spinkick")
_AMASS_TO_WORLD = Rotation.from_rotvec([-np.pi / 2, 0.0, 0.0])  # z up -> y up
_CAMERA_TO_WORLD = Rotation.from_rotvec([np.pi, 0.0, 0.0])  # y down, z away -> y up, z near


class Pose(NamedTuple):
    """body_pose (69,), global_orient (3,), axis-angle float32; name such as embedded/kick:0031."""

    body_pose: np.ndarray
    global_orient: np.ndarray
    name: str


class PoseSource(Protocol):
    """`skipped`: (file, reason) of each file that was left out."""

    skipped: list[tuple[str, str]]

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Pose: ...


class ArrayPoses:
    """Poses held in memory: body_pose (N, 69), global_orient (N, 3), headings already removed."""

    def __init__(
        self,
        body_pose: Float[np.ndarray, "poses 69"],
        global_orient: Float[np.ndarray, "poses 3"],
        names: list[str],
    ):
        self.body_pose, self.global_orient, self.names = body_pose, global_orient, names
        self.skipped: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pose:
        return Pose(self.body_pose[index], self.global_orient[index], self.names[index])


class AmassPoses:
    """An AMASS folder: opened by its files' headers, each file read when first asked for."""

    def __init__(self, root: str):
        self.root = _folder("amass", root)
        self.skipped: list[tuple[str, str]] = []
        self.files: list[tuple[Path, int]] = []  # path, frames from one pose to the next
        starts = [0]
        for path in sorted(self.root.rglob("*.npz")):
            try:
                num_frames, step = _amass_header(path)
            except BodyError as error:
                self.skipped.append((str(path.relative_to(self.root)), str(error)))
                continue
            self.files.append((path, step))
            starts.append(starts[-1] + -(-num_frames // step))
        self.starts = np.array(starts)
        _need_poses(self, f"amass:{root}")

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> Pose:
        index = range(len(self))[index]
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        path, step = self.files[number]
        frame = (index - int(self.starts[number])) * step
        poses = _read_amass(path)[frame]
        if not np.isfinite(poses).all():
            raise BodyError(f"{path}: frame {frame} isn't finite; take the file out of the folder")
        body_pose = np.zeros(69, dtype=np.float32)
        body_pose[:63] = poses[3:66]
        world = (_AMASS_TO_WORLD * Rotation.from_rotvec(poses[:3])).as_rotvec()
        stem = path.relative_to(self.root).with_suffix("")
        return Pose(body_pose, remove_heading(world), f"amass/{stem.as_posix()}:{frame:04d}")


def embedded_poses(*kinds: str) -> ArrayPoses:
    """The clips that come with the package; kinds: "walking", "external" (less HELD_OUT),
    "held-out"."""
    asset = resources.files("posedive.body") / "assets" / "motions.npz"
    with asset.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        clips, starts = arrays["names"].tolist(), arrays["starts"].tolist()
        body_pose = arrays["body_pose"].astype(np.float32)
        global_orient = arrays["global_orient"].astype(np.float32)
    bodies, orients, names = [], [], []

    def add(clip: str, poses: np.ndarray, orient: np.ndarray) -> None:
        bodies.append(poses)
        orients.append(orient)
        names.extend(f"embedded/{clip}:{frame:04d}" for frame in range(len(poses)))

    for number, clip in enumerate(clips):
        frames = slice(starts[number], starts[number + 1])
        if clip != "walk" and ("held-out" if clip in HELD_OUT else "external") in kinds:
            add(clip, body_pose[frames], global_orient[frames])
        if clip == "walk" and "walking" in kinds:
            for name, style in STYLES.items():
                orient = global_orient[frames][:: style.every]
                if style.mirrored:
                    orient = orient * np.array([1.0, -1.0, -1.0], dtype=np.float32)
                still = np.float32(1.0 - style.stand)
                add(name, in_style(body_pose[frames], style), orient * still)
    upright = np.stack([remove_heading(o) for o in np.concatenate(orients)])
    return ArrayPoses(np.concatenate(bodies), upright, names)


def _actions() -> ArrayPoses:
    source = embedded_poses("external", "held-out")
    rows = [
        row
        for row, name in enumerate(source.names)
        if name.removeprefix("embedded/").split(":")[0] in ACTIONS
    ]
    names = [source.names[row] for row in rows]
    return ArrayPoses(source.body_pose[rows], source.global_orient[rows], names)


def fit_poses(root: str) -> ArrayPoses:
    """Every person in every file of fits below a folder."""
    folder = _folder("fits", root)
    bodies, orients, names, skipped = [], [], [], []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in FIT_SUFFIXES):
        relative = path.relative_to(folder)
        try:
            tables = read_fits(path)
        except BodyError as error:
            skipped.append((str(relative), str(error)))
            continue
        stem = relative.with_suffix("").as_posix()
        people = [(fits, row) for fits in tables for row in range(len(fits.images))]
        for person, (fits, row) in enumerate(people):
            if row in fits.bad:
                skipped.append((f"{relative}: person {person}", fits.bad[row]))
                continue
            world = (_CAMERA_TO_WORLD * Rotation.from_rotvec(fits.global_orient[row])).as_rotvec()
            bodies.append(fits.body_pose[row])
            orients.append(remove_heading(world))
            names.append(f"fits/{stem}:{person:04d}")
    source = ArrayPoses(
        np.stack(bodies) if bodies else np.zeros((0, 69), dtype=np.float32),
        np.stack(orients) if orients else np.zeros((0, 3), dtype=np.float32),
        names,
    )
    source.skipped = skipped
    _need_poses(source, f"fits:{root}")
    return source


POSE_SOURCES: dict[str, Callable[[str], PoseSource]] = {
    "embedded-walking": lambda _: embedded_poses("walking"),
    "embedded-external": lambda _: embedded_poses("external", "held-out"),
    "embedded": lambda _: embedded_poses("walking", "external", "held-out"),
    "embedded-training": lambda _: embedded_poses("walking", "external"),
    "embedded-held-out": lambda _: embedded_poses("held-out"),
    "embedded-actions": lambda _: _actions(),
    "amass": AmassPoses,
    "fits": fit_poses,
}


def pose_source(name: str) -> PoseSource:
    """The source a spec names. BodyError: no such kind, no such folder, nothing usable in it."""
    kind, colon, folder = name.partition(":")
    if kind not in POSE_SOURCES:
        near = difflib.get_close_matches(kind, POSE_SOURCES, n=1) or ["embedded-walking"]
        known = ", ".join(POSE_SOURCES)
        raise BodyError(f"no pose source {name!r}; did you mean {near[0]!r}? There are: {known}")
    if (kind in ("amass", "fits")) != bool(colon and folder):
        raise BodyError(f"pose source {name!r}: expected amass:/dir, fits:/dir or an embedded name")
    return POSE_SOURCES[kind](folder)


def _folder(kind: str, root: str) -> Path:
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise BodyError(f"{kind}:{root}: no such folder")
    return folder


def _need_poses(source: PoseSource, name: str) -> None:
    if not len(source):
        first = f", the first: {source.skipped[0][1]}" if source.skipped else ""
        raise BodyError(f"{name}: no usable pose; {len(source.skipped)} files skipped{first}")


def _amass_header(path: Path) -> tuple[int, int]:
    """Frames in a file, and how many to step for AMASS_POSES_PER_S, without reading the poses."""
    try:
        shape, dtype = npz_header(path, "poses")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            rates = [k for k in ("mocap_framerate", "mocap_frame_rate") if k in arrays.files]
            rate = float(arrays[rates[0]]) if rates else AMASS_POSES_PER_S
    except KeyError as error:
        raise BodyError(f"{path}: not an AMASS motion: it has no `poses`") from error
    except UNREADABLE_NPZ as error:
        raise BodyError(f"{path}: not a readable .npz: {error}") from error
    if len(shape) != 2 or shape[1] < 66 or dtype.kind != "f" or not shape[0]:
        raise BodyError(f"{path}: expected poses (frames, 66 or more), got {shape} of {dtype}")
    return shape[0], max(1, round(rate / AMASS_POSES_PER_S))


@functools.lru_cache(maxsize=8)
def _read_amass(path: Path) -> np.ndarray:
    return read_npz(path)["poses"].astype(np.float32)
