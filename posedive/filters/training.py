"""Training of the embedded pose estimator: rendered people with exact joints -> a checkpoint.

In: a world of images with fits (the embedded world, wide). They are drawn once into examples.npz,
augmented anew at each step. Out: output_dir/pose_estimator, a folder that PoseEstimator.load
reads; state.pt beside it, from which the same call goes on after a kill. Step s of a run draws its
batch from (seed, s), so a resumed run is the run.
"""

import logging
import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import VitPoseConfig, VitPoseForPoseEstimation

from posedive.filters.augment import augment
from posedive.filters.examples import INPUT_SIZE, Examples, World, draw_examples
from posedive.filters.heatmaps import gaussian_heatmaps
from posedive.filters.pose_estimator import PoseEstimator, Preprocess
from posedive.pretrained import follow, save_pretrained

log = logging.getLogger(__name__)

HEATMAP_SIZE = (16, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STATE_EVERY_STEPS = 200
WEIGHT_DECAY = 0.05
EMA_DECAY = 0.998
CLEAR_CONFIDENCE = 0.65
# Of the cross-entropy's softmax: a peak of 1 is that many nats above an empty cell.
SHARPNESS = 10.0


def tiny_config() -> VitPoseConfig:
    """1.25 million parameters: 16 x 8 tokens of 8 x 8 pixels, simple decoder to 32 x 16 cells."""
    backbone = {
        "model_type": "vitpose_backbone",
        "image_size": [INPUT_SIZE[1], INPUT_SIZE[0]],
        "patch_size": [8, 8],
        "hidden_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "out_indices": [6],
    }
    return VitPoseConfig.from_dict(
        {"backbone_config": backbone, "num_labels": 17, "scale_factor": 2}
    )


def train_pose_estimator(
    world: World,
    output_dir: str | Path,
    steps: int = 3000,
    seed: int = 0,
    num_images: int = 10_000,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    initial: str | None = None,
) -> Path:
    """Train, or go on where a killed run stopped; returns the checkpoint's folder.

    initial: a checkpoint to start from instead of random weights (fine-tuning).
    """
    output_dir = Path(output_dir)
    examples = draw_examples(world, "train", num_images, seed, output_dir / "examples.npz")
    return train_on(examples, output_dir, steps, seed, batch_size, learning_rate, initial)


def train_on(
    examples: Examples,
    output_dir: Path,
    steps: int,
    seed: int,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    initial: str | None = None,
) -> Path:
    """As train_pose_estimator, on examples already drawn."""
    output_dir.mkdir(parents=True, exist_ok=True)
    folder, state_path = output_dir / "pose_estimator", output_dir / "state.pt"
    torch.manual_seed(seed)
    # Eager attention: on CPU, SDPA's bf16 backward takes longer than all else together.
    model = VitPoseForPoseEstimation._from_config(tiny_config(), attn_implementation="eager")
    initialise(model)
    if initial is not None:
        model.load_state_dict(PoseEstimator.load(initial).model.state_dict())
    optimizers = make_optimizers(model, learning_rate)
    average = {key: value.clone() for key, value in model.state_dict().items()}
    first, preprocess = 0, own_preprocess()
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        average, first = state["average"], state["step"]
        log.info("resumed step=%d", first)
    model.train()
    started, running = time.monotonic(), 0.0
    for step in range(first, steps):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * schedule(step, steps)
        images, targets = draw_batch(examples, batch_size, seed, step)
        loss = heatmap_loss(model, preprocess(images), targets, localising(step, steps))
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        follow(average, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        running = loss.item() if step == first else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 50 == 0:
            pace = (step + 1 - first) * batch_size / (time.monotonic() - started)
            log.info("step=%d of=%d loss=%.3f images_per_s=%.0f", step + 1, steps, running, pace)
        if (step + 1) % STATE_EVERY_STEPS == 0 or step + 1 == steps:
            state = {
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "average": average,
                "step": step + 1,
            }
            torch.save(state, state_path.with_suffix(".part"))
            os.replace(state_path.with_suffix(".part"), state_path)
    model.load_state_dict(average)
    log.info("calibrated head scaled by %.2f", calibrate(model, examples))
    kind = "VitPoseImageProcessor"
    save_pretrained(model, folder, preprocess, image_processor_type=kind, do_affine_transform=False)
    return folder


@torch.no_grad()
def calibrate(model: VitPoseForPoseEstimation, examples: Examples) -> float:
    """Scales the head so that 95% of clear pictures reach CLEAR_CONFIDENCE; returns the factor.

    A peak trained on squared error tells how sure the network is of a cell; a small one is sure of
    few. The scale makes the paper's threshold of 0.6 mean what it means for a large one: a person
    whose joints can be told. What shows nobody stays near 0.
    """
    model.eval()
    rows = np.linspace(0, len(examples) - 1, min(len(examples), 512)).astype(int)
    confidences = []
    estimator = PoseEstimator("in training", model, own_preprocess())
    for some in np.array_split(rows, max(1, len(rows) // 64)):
        images = torch.from_numpy(examples.images[some]).permute(0, 3, 1, 2).float()
        peaks = estimator.heatmaps(own_preprocess()(images)).flatten(2).amax(-1)
        confidences.append(peaks.mean(-1))
    factor = float(CLEAR_CONFIDENCE / torch.cat(confidences).quantile(0.05).clamp(min=1e-3))
    model.head.conv.weight.mul_(factor)
    assert model.head.conv.bias is not None
    model.head.conv.bias.mul_(factor)
    return factor


def make_optimizers(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the encoder's matrices, AdamW at a fifth of its rate for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "encoder" in name]
    chosen = set(map(id, matrices))
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(
            matrices,
            lr=learning_rate,
            weight_decay=WEIGHT_DECAY,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=learning_rate / 5, weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def own_preprocess() -> Preprocess:
    return Preprocess(size=INPUT_SIZE, mean=MEAN, std=STD, rescale=1 / 255, padding=1.0)


def schedule(step: int, steps: int) -> float:
    """Linear warm-up over a twentieth, then half a cosine to a hundredth."""
    warm = max(steps // 20, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(steps - warm, 1))))


def draw_batch(examples: Examples, batch_size: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Pictures (B, 3, 128, 64) with values 0..255 and their target heatmaps."""
    rng = np.random.default_rng((seed, step))
    rows = rng.integers(0, len(examples), (batch_size, 2))
    drawn = [augment(examples[one], examples[two], rng) for one, two in rows.tolist()]
    images = np.stack([example.image for example in drawn])
    joints = np.stack([example.joints for example in drawn])
    targets = gaussian_heatmaps(joints[..., :2], joints[..., 2] > 0, INPUT_SIZE, HEATMAP_SIZE)
    return torch.from_numpy(images).permute(0, 3, 1, 2).float(), torch.from_numpy(targets)


def heatmap_loss(
    model: VitPoseForPoseEstimation, pixels: Tensor, targets: Tensor, localising_weight: float = 0.0
) -> Tensor:
    """Mean squared error, in thousandths: its minimum is calibrated, a weighted one's would not be.

    Alone it rests long on empty heatmaps, which are nearly right; so early on, `localising_weight`
    of the cross-entropy between the heatmap as a distribution over cells and its target.
    """
    mixed = torch.autocast("cpu", torch.bfloat16) if pixels.device.type == "cpu" else nullcontext()
    with mixed:
        heatmaps = model(pixels).heatmaps
    heatmaps = heatmaps.float()
    loss = 1000 * functional.mse_loss(heatmaps, targets)
    if localising_weight > 0:
        flat, wanted = heatmaps.flatten(2), targets.flatten(2)
        mass = wanted.sum(-1)
        cells = -(wanted * (SHARPNESS * flat).log_softmax(-1)).sum(-1) / mass.clamp(min=1)
        loss = loss + localising_weight * cells[mass > 1].mean()
    return loss


def localising(step: int, steps: int) -> float:
    """Weight of the cross-entropy: falls from 1 to a fifth."""
    return 1 - 0.8 * step / steps


@torch.no_grad()
def initialise(model: VitPoseForPoseEstimation) -> None:
    """What a small transformer learns from: Xavier weights, sines for positions, empty maps."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    embeddings = model.backbone.embeddings
    nn.init.xavier_uniform_(embeddings.patch_embeddings.projection.weight.flatten(1))
    rows, columns = (n // 8 for n in (INPUT_SIZE[1], INPUT_SIZE[0]))
    quarter = embeddings.position_embeddings.shape[-1] // 4
    frequencies = 32.0 ** (-torch.arange(quarter) / quarter)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (x, y)]
    waves = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
    embeddings.position_embeddings.zero_()
    embeddings.position_embeddings[0, 1:] = 0.5 * waves
    nn.init.normal_(model.head.conv.weight, std=1e-3)
