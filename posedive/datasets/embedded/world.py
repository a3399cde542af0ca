"""EmbeddedWorld: a synthetic Re-ID set with exact SMPL fits, drawn when it is read.

In: a seed and a number of identities. Out: PersonImages with Market-1501's keys and splits, and
their pixels. Each image is a function of (seed, key) and of its size, and nothing is kept but
the last few people. A biased world has walking people before low cameras for `train`, `query` and
`gallery`, and any pose from any side for `query_diverse` and `gallery_diverse`, and for
`train_diverse`, the people of `train`, from which biased splits are cut; `train_more` is `train`'s
people once more, as biased; `query_actions` and `gallery_actions` are others yet, who fall, kick,
punch, crawl and get up before eight cameras high up indoors. A wide world has only `train`: many
people, each in two places: walking twice there as in a biased world, then in any pose that is not
held out, from any side.
"""

import dataclasses
import functools

import numpy as np

from posedive.body.poses import PoseSource, pose_source
from posedive.datasets.embedded.cameras import Place, place
from posedive.datasets.embedded.identities import identity
from posedive.datasets.embedded.outfit import Outfit, dress
from posedive.datasets.embedded.photograph import photograph
from posedive.datasets.embedded.picture import draw_person, parts_of
from posedive.datasets.embedded.wardrobe import joint_transforms, load_wardrobe, skin
from posedive.errors import DatasetError
from posedive.records import Body, Camera, Fit, PersonImage
from posedive.render.viewpoints import frame

NUM_CAMERAS = 6
PEOPLE_PER_PLACE = 16  # in a wide world: enough that its cameras can be compared
# The numbers of a split's images begin at these, so that a key names one image of all splits.
FIRST_SEQ = {
    "train": 0,
    "query": 0,
    "gallery": 0,
    "query_diverse": 50,
    "gallery_diverse": 50,
    "train_diverse": 50,
    "train_more": 20,
    "query_actions": 70,
    "gallery_actions": 70,
}
SPLITS = tuple(FIRST_SEQ)
IMAGES_MORE = 30  # of each of train's people, in train_more
ACTION_CAMERAS = range(NUM_CAMERAS + 1, NUM_CAMERAS + 9)
ACTION_ELEVATION_DEG = (20, 40)
TEST_SHARE = 0.6
WIDE_WALKING = 2  # images of each wide tracklet that are as a biased world's are
FRAMING_STRIDE = 3  # each third vertex is enough to frame a body


class EmbeddedWorld:
    """`identities` people of `train`, numbered from 1; 60% as many others, after them, of the test.

    Picklable and cheap to make in each worker; `images` takes about 1 ms an image.
    """

    def __init__(
        self,
        seed: int = 0,
        identities: int = 100,
        size: tuple[int, int] = (64, 128),
        wide: bool = False,
        images_per_identity: int | None = None,
    ):
        """images_per_identity: None is 8, and 10 in a wide world."""
        self.seed, self.identities, self.wide = seed, identities, wide
        self.size = (int(size[0]), int(size[1]))
        self.images_per_identity = images_per_identity or (10 if wide else 8)
        self.places = max(8, identities // PEOPLE_PER_PLACE)  # of a wide world
        self.skipped: list[tuple[str, str]] = []

    def images(self, split: str) -> list[PersonImage]:
        if split not in (SPLITS[:1] if self.wide else SPLITS):
            raise DatasetError(f"embedded world: no split {split!r}; it has {', '.join(SPLITS)}")
        pids = range(1, self.identities + 1)
        others = max(round(TEST_SHARE * self.identities), 1)
        if not split.startswith("train"):
            pids = range(pids.stop, pids.stop + others)
        if split.endswith("_actions"):
            pids = range(pids.stop, pids.stop + others)
        return [image for pid in pids for image in self._of_identity(pid, split)]

    def read(self, image: PersonImage) -> np.ndarray:
        """(H, W, 3) uint8 at the world's own size."""
        if image.fit is None:
            raise DatasetError(f"embedded world: {image.key} has no fit; take it from images()")
        return self.render(image.pid, image.camid, image.fit, self.size, _key_seed(image.key))

    def render(
        self, pid: int, camid: int, fit: Fit, size: tuple[int, int], seed: int
    ) -> np.ndarray:
        """What camera `camid` would see of `pid` under any fit: the place of their other images.

        `seed` moves what chance moves: a step aside in the place, the camera's noise.
        """
        return self._draw(pid, camid, fit, size, seed)[0]

    def foreground(
        self, pid: int, camid: int, fit: Fit, size: tuple[int, int], seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """render's image, and (H, W) bool: the pixels that are mostly person, clothes and bags."""
        image, coverage, _ = self._draw(pid, camid, fit, size, seed)
        return image, coverage > 0.5

    def parts(self, image: PersonImage) -> tuple[np.ndarray, np.ndarray]:
        """read's pixels, and (H, W) uint8: what each shows, by number in records.PARTS."""
        assert image.fit is not None
        seed = _key_seed(image.key)
        pixels, _, faces = self._draw(image.pid, image.camid, image.fit, self.size, seed)
        return pixels, parts_of(_outfit(self.seed, image.pid, self.wide), faces)

    def place(self, camid: int) -> Place:
        return _place(self.seed, camid, self.wide)

    def _draw(self, pid, camid, fit, size, seed):
        rng = np.random.default_rng((self.seed, 0x9C, pid, camid, seed & 0x7FFFFFFF))
        where = self.place(camid)
        # People of one tracklet stand about one spot of the place.
        tracklet = np.random.default_rng((self.seed, 0x57A, pid, camid))
        stand = tracklet.uniform(-1.2, 1.2, 2) * (1.0, 0.5) + rng.uniform(-0.25, 0.25, 2)
        outfit = _outfit(self.seed, pid, self.wide)
        radiance, coverage, faces = draw_person(
            outfit, load_wardrobe().parents, fit, where, stand, size
        )
        return photograph(radiance, where, rng), coverage, faces

    def _of_identity(self, pid: int, split: str) -> list[PersonImage]:
        kind = split.partition("_")[2]  # "", diverse, more, actions
        stream = (self.seed, 0x5E9, int(self.wide), pid, int(self.wide or kind == "diverse"))
        rng = np.random.default_rng(stream)
        betas = identity(self.seed, pid, self.wide).betas
        framing = _Framing(betas)
        if self.wide:
            cameras = sorted(1 + rng.choice(self.places, 2, replace=False))
            counts = [self.images_per_identity // 2] * 2
        else:
            num = int(rng.integers(3, NUM_CAMERAS + 1))
            cameras = sorted(1 + rng.choice(NUM_CAMERAS, num, replace=False))
            if kind == "actions":
                cameras = sorted(rng.choice(ACTION_CAMERAS, num, replace=False))
            total = IMAGES_MORE if kind == "more" else self.images_per_identity
            counts = [total // num + (k < total % num) for k in range(num)]
        if kind in ("more", "actions"):  # the cameras may be train's, all else is not
            rng = np.random.default_rng((*stream, 1))
        walking = _poses("embedded-walking")
        others = _poses("embedded-training" if self.wide else "embedded-external")
        if kind == "actions":
            others = _poses("embedded-actions")
        images = []
        for camid, count in zip(cameras, counts, strict=True):
            where = self.place(int(camid))
            heading = _heading(rng)
            for seq in range(max(count, 2)):
                diverse = seq >= WIDE_WALKING if self.wide else kind == "diverse"
                name = split
                if not split.startswith("train"):
                    # The first of each camera asks, the others are searched, as Market's are.
                    name = ("query" if seq == 0 else "gallery") + (f"_{kind}" if kind else "")
                if diverse:
                    azimuth, elevation = rng.uniform(0, 360), rng.uniform(0, 45)
                else:
                    azimuth = (heading + rng.normal(0, 8)) % 360
                    elevation = max(where.elevation_deg + rng.normal(0, 0.8), 0.0)
                if kind == "actions":
                    azimuth = rng.uniform(0, 360)
                source = others if diverse or kind == "actions" else walking
                pose = source[int(rng.integers(len(source)))]
                body = Body(betas, pose.body_pose, pose.global_orient)
                fit = Fit(
                    body, framing.camera(body, azimuth, elevation, where.focal, self.size, rng)
                )
                if name == split:
                    key = f"{pid:04d}_c{camid}s1_{camid:06d}_{seq + FIRST_SEQ[split]:02d}"
                    images.append(PersonImage(key, pid, int(camid), split, fit))
        return images


def _heading(rng: np.random.Generator) -> float:
    """Degrees of azimuth: people come towards a camera or leave it; a few cross before it."""
    if rng.random() < 0.12:
        return float(rng.uniform(0, 360))
    return float(rng.choice([0.0, 180.0]) + np.clip(rng.normal(0, 14), -25, 25))


class _Framing:
    """frame()'s cameras of one person, with a detector's sloppiness: boxes are a little off."""

    def __init__(self, betas: np.ndarray):
        wardrobe = load_wardrobe()
        rows = slice(0, wardrobe.pieces["body"][0].stop, FRAMING_STRIDE)
        shape = wardrobe.shapedirs.reshape(-1, 3, 10)[rows] @ betas
        self.rest, self.weights = wardrobe.template[rows] + shape, wardrobe.weights[rows]
        self.joints, self.parents = wardrobe.joints(betas), wardrobe.parents

    def camera(
        self,
        body: Body,
        azimuth_deg: float,
        elevation_deg: float,
        focal: float,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> Camera:
        transforms = joint_transforms(body, self.joints, self.parents)
        vertices = skin(self.rest, self.weights, transforms)
        margin = float(rng.uniform(0.035, 0.10))
        camera = frame(vertices, azimuth_deg, elevation_deg, focal, size, margin)
        shift = rng.uniform(-0.02, 0.02, 2) * (size[0] / size[1], 1.0)
        aside = np.array([*(shift * camera.translation[2] / focal), 0.0])
        return Camera(camera.rotation, camera.translation + aside, camera.focal)


def _key_seed(key: str) -> int:
    seed = 0
    for letter in key.encode():
        seed = (seed * 131 + letter) & 0x7FFFFFFF
    return seed


@functools.lru_cache(maxsize=64)
def _outfit(seed: int, pid: int, wide: bool) -> Outfit:
    return dress(identity(seed, pid, wide), load_wardrobe(), pid * 17 + seed)


@functools.lru_cache(maxsize=512)
def _place(seed: int, camid: int, wide: bool) -> Place:
    if camid in ACTION_CAMERAS and not wide:
        rng = np.random.default_rng((seed, 0xAC7, camid))
        elevation_deg = float(rng.uniform(*ACTION_ELEVATION_DEG))
        return dataclasses.replace(place(seed, camid, indoor=True), elevation_deg=elevation_deg)
    return place(seed, camid + (100_000 if wide else 0))


@functools.lru_cache(maxsize=4)
def _poses(name: str) -> PoseSource:
    return pose_source(name)
