"""Training of the embedded parser: rendered people whose every pixel is known -> a checkpoint.

In: the embedded world, wide. Its pictures and the normals of their fits are drawn once into
examples.npz, augmented anew at each step. Out: output_dir/parser, a folder that Parser.load reads;
state.pt beside it, from which the same call goes on after a kill. Step s of a run draws its batch
from (seed, s), so a resumed run is the run.
"""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

from posedive.body.smpl import load_body, pose_body
from posedive.parsing.parser import Parser, Preprocess, network_input
from posedive.pretrained import follow, save_pretrained
from posedive.records import PARTS, PersonImage
from posedive.render.maps import render_maps

log = logging.getLogger(__name__)

INPUT_SIZE = (64, 128)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DRAWN_AT_ONCE = 32
FIT_ERROR_PX = 1  # by which the normals are moved: fits of photographs are estimates
HELD_OUT = 400  # the last images, to tell how good it is
STATE_EVERY_STEPS = 200
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.01
EMA_DECAY = 0.995
PART_WEIGHT = (1.0, 1.0, 1.5, 1.5, 2.0, 2.0)  # of PARTS: few pixels are a hat's or a bag's
EXPOSURE, CAST, NOISE = 0.15, 0.05, 4.0  # of a picture, of its channels, of pixels in grey levels


class World(Protocol):
    def images(self, split: str) -> Sequence[PersonImage]: ...

    def parts(self, image: PersonImage) -> tuple[np.ndarray, np.ndarray]: ...


def tiny_config() -> UperNetConfig:
    """0.5 million parameters: a ConvNeXt that halves the picture once, and UPerNet's decoder."""
    backbone = ConvNextConfig.from_dict(
        {
            "num_channels": 6,
            "patch_size": 2,
            "hidden_sizes": [24, 48, 96, 128],
            "depths": [1, 1, 2, 1],
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        }
    )
    return UperNetConfig(
        backbone_config=backbone,
        hidden_size=32,
        use_auxiliary_head=False,
        pool_scales=[1, 2],
        id2label=dict(enumerate(PARTS)),
        label2id={part: k for k, part in enumerate(PARTS)},
    )


def train_parser(
    world: World,
    output_dir: str | Path,
    steps: int,
    seed: int = 0,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
) -> Path:
    """Train, or go on where a killed run stopped; returns the checkpoint's folder."""
    output_dir = Path(output_dir)
    examples = draw_examples(world, output_dir / "examples.npz")
    count = max(len(examples.images) - HELD_OUT, 1)
    known, unknown = examples.rows(slice(count)), examples.rows(slice(-HELD_OUT, None))
    folder, state_path = output_dir / "parser", output_dir / "state.pt"
    torch.manual_seed(seed)
    model = UperNetForSemanticSegmentation(tiny_config())
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
    average = {key: value.clone() for key, value in model.state_dict().items()}
    first, preprocess, weight = 0, own_preprocess(), torch.tensor(PART_WEIGHT)
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]
        log.info("resumed step=%d", first)
    model.train()
    started, running = time.monotonic(), 0.0
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule(step, steps)
        pixels, normals, wanted = draw_batch(known, batch_size, seed, step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(network_input(preprocess, pixels, normals)).logits
        logits = functional.interpolate(logits.float(), size=wanted.shape[1:], mode="bilinear")
        loss = functional.cross_entropy(logits, wanted, weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        follow(average, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        running = loss.item() if step == first else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 50 == 0:
            pace = (step + 1 - first) * batch_size / (time.monotonic() - started)
            log.info("step=%d of=%d loss=%.3f images_per_s=%.0f", step + 1, steps, running, pace)
        if (step + 1) % STATE_EVERY_STEPS == 0 or step + 1 == steps:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
                "step": step + 1,
            }
            torch.save(state, state_path.with_suffix(".part"))
            os.replace(state_path.with_suffix(".part"), state_path)
    model.load_state_dict(average)
    told = overlap(Parser("in training", model, preprocess), unknown)
    log.info("held out IoU %s", " ".join(f"{part}={iou:.3f}" for part, iou in told.items()))
    kind = "SegformerImageProcessor"
    save_pretrained(model, folder, preprocess, image_processor_type=kind, do_resize=True)
    return folder


@dataclass(frozen=True, eq=False)
class Examples:
    """images, normals (N, 128, 64, 3), parts (N, 128, 64), all uint8."""

    images: np.ndarray
    normals: np.ndarray
    parts: np.ndarray

    def rows(self, some: slice) -> "Examples":
        return Examples(self.images[some], self.normals[some], self.parts[some])


def draw_examples(world: World, cache: Path) -> Examples:
    """All of the world's people; `cache` keeps them."""
    if cache.exists():
        with np.load(cache) as stored:
            return Examples(stored["images"], stored["normals"], stored["parts"])
    people, model = list(world.images("train")), load_body("embedded")
    width, height = INPUT_SIZE
    images = np.zeros((len(people), height, width, 3), np.uint8)
    normals, parts = np.zeros_like(images), np.zeros((len(people), height, width), np.uint8)
    for start in range(0, len(people), DRAWN_AT_ONCE):
        batch = people[start : start + DRAWN_AT_ONCE]
        fits = [image.fit for image in batch if image.fit is not None]
        posed = zip(*pose_body(model, [fit.body for fit in fits]), strict=True)
        for row, (image, fit, body) in enumerate(zip(batch, fits, posed, strict=True), start):
            images[row], parts[row] = world.parts(image)
            normals[row] = render_maps(model, fit, INPUT_SIZE, body).normals
        if start % (16 * DRAWN_AT_ONCE) == 0:
            log.info("drawn images=%d of=%d", start + len(batch), len(people))
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_suffix(".part.npz")
    np.savez(part, images=images, normals=normals, parts=parts)
    part.replace(cache)
    return Examples(images, normals, parts)


def draw_batch(
    examples: Examples, batch_size: int, seed: int, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures and normals (B, 3, 128, 64) with values 0..255, half of them mirrored; parts."""
    rng = np.random.default_rng((seed, step))
    rows = rng.integers(0, len(examples.images), batch_size)
    pixels, wanted = examples.images[rows].astype(np.float32), examples.parts[rows].copy()
    mirrored = rng.random(batch_size) < 0.5
    pixels[mirrored] = pixels[mirrored, :, ::-1]
    wanted[mirrored] = wanted[mirrored, :, ::-1]
    gain = rng.normal(0, EXPOSURE, (batch_size, 1, 1, 1))
    gain = gain + rng.normal(0, CAST, (batch_size, 1, 1, 3))
    pixels = pixels * np.exp(gain) + rng.normal(0, NOISE, pixels.shape)
    normals = examples.normals[rows].astype(np.float32)
    turned = normals[mirrored, :, ::-1]
    turned[..., 0] = np.where(turned.sum(axis=-1) > 0, 255 - turned[..., 0], 0)
    normals[mirrored] = turned
    moves = rng.integers(-FIT_ERROR_PX, FIT_ERROR_PX + 1, (batch_size, 2))
    normals = [
        np.roll(of, tuple(move), (0, 1)) for of, move in zip(normals, moves.tolist(), strict=True)
    ]
    return (
        _channels_first(pixels.clip(0, 255)),
        _channels_first(np.stack(normals)),
        torch.from_numpy(wanted).long(),
    )


def overlap(parser: Parser, examples: Examples) -> dict[str, float]:
    """Intersection over union of each part that the pictures show."""
    labels = parser(examples.images, examples.normals).argmax(axis=-1)
    told = {}
    for k, part in enumerate(PARTS):
        both = (labels == k) & (examples.parts == k)
        either = (labels == k) | (examples.parts == k)
        if either.any():
            told[part] = float(both.sum() / either.sum())
    return told


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)


def own_preprocess() -> Preprocess:
    return Preprocess(size=INPUT_SIZE, mean=MEAN, std=STD, rescale=1 / 255)


def schedule(step: int, steps: int) -> float:
    """Linear warm-up, times half a cosine to a hundredth."""
    cosine = 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * step / steps)))
    return min(1.0, (step + 1) / WARMUP_STEPS) * cosine
