"""Makes the examples that training reads: a Ray Data job, resumable block by block.

identities, shuffled, in groups          (driver)
  -> images read, conditions drawn       (actors, one CPU each)
  -> VAE latents, once                   (the same actors)
  -> block-00012.npz, put if absent      (the same actors)
"""

import numpy as np
import ray
import torch
from ray.data import ActorPoolStrategy
from tqdm import tqdm

from posedive.body.smpl import load_body
from posedive.datasets import training_pairs
from posedive.diffusion.sampler import to_tensor
from posedive.errors import DatasetError
from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import accept_reference, accept_target, mean_confidence
from posedive.jobs.blocks import existing_blocks, write_block
from posedive.jobs.drawing import load_parser
from posedive.jobs.initial import initial_codec
from posedive.jobs.places import Places, backdrop
from posedive.jobs.sources import open_spec_dataset, people_of, read_image
from posedive.records import Body, Camera, Fit, PersonImage
from posedive.render.appearance import Looks, join
from posedive.render.conditions import draw_conditions, read_sighting
from posedive.render.kinship import kinship
from posedive.render.scene import Backdrop
from posedive.render.sighting import Sighting
from posedive.spec.train import Train

IDENTITIES_PER_BLOCK = 16
IMAGES_PER_BLOCK = 256


def make_blocks(spec: Train, uri: str) -> list[int]:
    """All blocks of the job at `uri`, made where they are not there yet; their indices."""
    groups = _groups(spec)
    missing = sorted(set(range(len(groups))) - existing_blocks(uri))
    if missing:
        rows = [{"index": i, "pids": groups[i]} for i in missing]
        actors = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
        made = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Maker,
            fn_constructor_args=(spec.model_dump_json(exclude_unset=True), uri),
            batch_size=1,
            compute=ActorPoolStrategy(size=actors),
            num_cpus=1,
        )
        for _ in tqdm(made.iter_batches(batch_size=1), "examples", len(rows), disable=None):
            pass
    return list(range(len(groups)))


def _groups(spec: Train) -> list[list[int]]:
    dataset = open_spec_dataset(spec.dataset, spec.size)
    images = people_of(spec.dataset, dataset)
    pids = sorted({image.pid for image in images})
    np.random.default_rng((spec.seed, 3)).shuffle(pids)
    per_block = IDENTITIES_PER_BLOCK
    if spec.what == "vae":
        per_block = max(1, IMAGES_PER_BLOCK * len(pids) // len(images))
    groups = [pids[i : i + per_block] for i in range(0, len(pids), per_block)]
    return [g for g in groups if len(g) == per_block] or groups


class _Maker:
    def __init__(self, spec_json: str, uri: str):
        torch.set_num_threads(1)
        self.spec = spec = Train.model_validate_json(spec_json)
        self.uri = uri
        self.dataset = open_spec_dataset(spec.dataset, spec.size)
        self.by_pid: dict[int, list[PersonImage]] = {}
        for image in people_of(spec.dataset, self.dataset):
            self.by_pid.setdefault(image.pid, []).append(image)
        if spec.what == "generator":
            self.body = load_body(spec.body)
            self.codec = initial_codec(spec)
            self.places = Places(self.body, self._read, self.by_pid)
            self.parser = load_parser(spec.parser)
            self.estimator = spec.filter and PoseEstimator.load(spec.filter.pose_estimator)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        index, pids = int(batch["index"][0]), [int(p) for p in batch["pids"][0]]
        make = self._pairs if self.spec.what == "generator" else self._images
        write_block(self.uri, index, make(index, pids))
        return {"index": batch["index"]}

    def _images(self, index: int, pids: list[int]) -> dict[str, np.ndarray]:
        images = [image for pid in pids for image in self.by_pid[pid]]
        return {"images": np.stack([self._read(image) for image in images])}

    def _pairs(self, index: int, pids: list[int]) -> dict[str, np.ndarray]:
        spec = self.spec
        rng = np.random.default_rng((spec.seed, 4, index))
        examples = []
        for pid in pids:
            images = [image for image in self.by_pid[pid] if image.fit is not None]
            pixels = {image.key: self._read(image) for image in images}
            references, targets_from = self._usable(images, pixels)
            sightings = {i.key: self._sighting(i, pixels[i.key], rng) for i in images}
            backdrops = {i.key: self._backdrop(i, sightings[i.key]) for i in images}
            tellers = [image.key for image in references]
            for reference, targets in training_pairs(
                references,
                rng,
                targets_from=targets_from,
                references=spec.references_per_identity,
                targets=spec.targets_per_reference,
                same_camera_ratio=spec.same_camera_ratio,
            ):
                examples.append(
                    self._example(reference, targets, pixels, tellers, backdrops, sightings, rng)
                )
        if not examples:
            raise DatasetError(f"no training pairs among pids {pids}; is the filter too strict?")
        return {name: np.stack([e[name] for e in examples]) for name in examples[0]}

    def _read(self, image: PersonImage) -> np.ndarray:
        return read_image(self.dataset, image, self.spec.size)

    def _usable(
        self, images: list[PersonImage], pixels: dict[str, np.ndarray]
    ) -> tuple[list[PersonImage], list[PersonImage]]:
        """Those that may be references (Eq. 10), and those that may be targets (Eq. 11)."""
        rule = self.spec.filter
        if rule is None or self.estimator is None or not images:
            return images, images
        found = self.estimator(np.stack([pixels[image.key] for image in images]))
        confidence = [mean_confidence(keypoints) for keypoints in found]
        scored = list(zip(images, confidence, strict=True))
        return (
            [i for i, c in scored if accept_reference(c, rule.reference_threshold).kept],
            [i for i, c in scored if accept_target(c, rule.target_threshold).kept],
        )

    def _sighting(self, image: PersonImage, rgb: np.ndarray, rng) -> Sighting:
        """Real fits are estimates: half of the images are read through a shaken one."""
        assert image.fit is not None
        exact = rng.random() < 0.5
        fit = image.fit if exact else shaken(image.fit, self.spec.fit_jitter, rng)
        light = self.places.light(image.camid)
        return read_sighting(self.body, rgb, fit, light, self.parser)

    def _backdrop(self, image: PersonImage, sighting: Sighting) -> Backdrop:
        return backdrop(kinship(self.body), image, sighting, self.places.light(image.camid).sun)

    def _looks(self, reference, target, tellers: list[str], sightings, rng) -> Looks:
        """From the reference and some other `tellers`, never the target itself."""
        others = [sightings[k] for k in tellers if k not in (reference.key, target.key)]
        count = int(rng.integers(min(self.spec.appearance_images - 1, len(others)) + 1))
        chosen = rng.permutation(len(others))[:count]
        return join(self.body, sightings[reference.key], [others[i] for i in chosen])

    def _example(self, reference, targets, pixels, tellers, backdrops, sightings, rng):
        spec, conditions = self.spec, self.spec.conditions
        drawn = []
        for target in targets:
            looks = scene = None
            if "appearance" in conditions:
                looks = self._looks(reference, target, tellers, sightings, rng)
                # What stands behind the target, as a generated picture will have it.
                vertices_cam = sightings[target.key].shot.dressed
                scene = self.places.behind(
                    backdrops[target.key], target.camid, target.fit.camera, vertices_cam, spec.size
                )
            drawn.append(draw_conditions(self.body, target.fit, spec.size, looks, background=scene))
        rgb, shown = pixels[reference.key], np.stack([pixels[t.key] for t in targets])
        return {
            "pid": np.array(reference.pid),
            "reference": rgb,
            "reference_latents": self._latents(rgb[None])[0],
            "target": shown,
            "target_latents": self._latents(shown),
            "composite_latents": self._latents(np.stack([d.composite for d in drawn])),
            "maps": np.stack([np.dstack([d.maps[c] for c in conditions]) for d in drawn]),
        }

    @torch.inference_mode()
    def _latents(self, images: np.ndarray) -> np.ndarray:
        like = next(self.codec.parameters())
        return self.codec.encode(to_tensor(images, like)).numpy().astype(np.float16)


def shaken(fit: Fit, angle_rad: float, rng: np.random.Generator) -> Fit:
    """The fit as an estimator might have given it: joints off by `angle_rad`, the body's place by
    half as much of its height, betas by a tenth of a deviation per 0.02 rad."""
    if not angle_rad:
        return fit
    body, camera = fit.body, fit.camera
    noisy = Body(
        betas=(body.betas + rng.normal(0, 5 * angle_rad, body.betas.shape)).astype(np.float32),
        body_pose=(body.body_pose + rng.normal(0, angle_rad, 69)).astype(np.float32),
        global_orient=(body.global_orient + rng.normal(0, angle_rad / 2, 3)).astype(np.float32),
    )
    shift = rng.normal(0, angle_rad / 4, 3) * (1, 1, 2)
    return Fit(noisy, Camera(camera.rotation, camera.translation + shift, camera.focal))
