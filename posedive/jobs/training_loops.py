"""What each Ray Train worker runs: one loop for the generator, one for its VAE.

A checkpoint holds state.pt (step, weights, average, optimizer: tensors and plain values) and
weights/ (the averaged weights, ready to load). All workers agree on when to make one; rank 0
writes it.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import torch
import torch.distributed as dist
from ray.train import Checkpoint
from ray.train.torch import prepare_model

from posedive.diffusion.generator import Generator
from posedive.diffusion.loss import channel_weights
from posedive.diffusion.training import DenoisingTask, Recipe, Trainer
from posedive.diffusion.vae_training import (
    latent_statistics,
    psnr,
    reconstruction_loss,
    start_from_patches,
)
from posedive.diffusion.weights import save_generator
from posedive.filters.training import train_pose_estimator
from posedive.jobs.blocks import Blocks
from posedive.jobs.identity_net import load_perceptual_loss
from posedive.jobs.initial import config_of, initial_generator, trained
from posedive.jobs.sources import open_spec_dataset
from posedive.spec.train import Train

log = logging.getLogger(__name__)
LOG_EVERY = 50
DTYPES = {"auto": torch.bfloat16, "bf16": torch.bfloat16, "fp32": torch.float32}


def train_generator(config: dict[str, Any]) -> None:
    spec = Train.model_validate_json(config["spec"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    held_out, blocks = _split(config["blocks"])
    references = max(1, spec.batch_size // spec.targets_per_reference)
    reader = Blocks(config["uri"], blocks, references, spec.seed)
    validation = Blocks(config["uri"], held_out, references, spec.seed)
    torch.manual_seed(spec.seed)
    generator = initial_generator(spec)
    if generator.uses_appearance and not trained(spec):
        _measure_residual(generator, reader)
    recipe = Recipe(
        learning_rate=spec.learning_rate,
        schedule=spec.schedule,
        weight_decay=spec.weight_decay,
        steps=spec.steps,
        min_snr_gamma=spec.min_snr_gamma,
        noise_offset=spec.noise_offset,
        condition_dropout=spec.condition_dropout,
        foreground_weight=spec.foreground_weight,
        perceptual_weight=spec.perceptual_weight,
        last_timestep_share=spec.last_timestep_share,
        ema_decay=spec.ema_decay,
        seed=spec.seed,
        dtype=DTYPES[spec.precision],
    )
    task = DenoisingTask(
        generator,
        recipe,
        train_image_encoder=spec.model == "embedded",
        channels=_channels(generator, reader),
        perceptual=load_perceptual_loss(spec.output) if spec.perceptual_weight else None,
    )
    # The reference branch's last layer ends at its norm: what follows it gets no gradient.
    wrapped = prepare_model(task, parallel_strategy_kwargs={"find_unused_parameters": True})
    trainer = Trainer(task, wrapped, recipe)

    def validate() -> float:
        trainer.swap_average()
        task.eval()
        with torch.inference_mode():
            losses = [
                task(validation.batch(i, 0, 1), torch.Generator().manual_seed(i)).mean()
                for i in range(8)
            ]
        task.train()
        trainer.swap_average()
        return float(torch.stack(losses).mean())

    def save(folder: Path) -> None:
        trainer.swap_average()
        save_generator(generator, folder)
        trainer.swap_average()

    _loop(spec, rank, trainer, lambda step: reader.batch(step, rank, world), validate, save)


class _VaeTrainer:
    """Trainer's shape for the codec: Adam, averaged weights."""

    def __init__(self, generator: Generator, spec: Train, statistics_images: np.ndarray):
        self.generator, self.spec, self.sample = generator, spec, statistics_images
        self.parameters = list(generator.codec.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, spec.learning_rate, weight_decay=0)
        self.step = 0

    def train_step(self, batch: dict[str, np.ndarray], rank: int) -> float:
        torch.manual_seed(self.spec.seed * 1_000_003 + self.step)
        rate = self.spec.learning_rate * (1 - self.step / self.spec.steps) ** 0.5
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = reconstruction_loss(self.generator.codec, batch["images"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "weights": self.generator.codec.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.generator.codec.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])


def train_vae(config: dict[str, Any]) -> None:
    """One worker: minutes of work. Ends as a whole checkpoint whose UNets are untrained."""
    spec = Train.model_validate_json(config["spec"])
    held_out, blocks = _split(config["blocks"])
    reader = Blocks(config["uri"], blocks, spec.batch_size, spec.seed)
    sample = reader.read(blocks[0])["images"]
    unseen = Blocks(config["uri"], held_out, spec.batch_size, spec.seed).read(held_out[0])["images"]
    torch.manual_seed(spec.seed)
    generator = Generator(config_of(spec))
    start_from_patches(generator.codec, sample)
    trainer = _VaeTrainer(generator, spec, sample)

    def validate() -> float:
        return -psnr(generator.codec, unseen[:128])

    def save(folder: Path) -> None:
        mean, std = latent_statistics(generator.codec, sample)
        generator.config = replace(generator.config, latent_mean=mean, latent_std=std)
        save_generator(generator, folder)

    _loop(spec, 0, trainer, lambda step: reader.batch(step, 0, 1), validate, save)


def train_estimator(config: dict[str, Any]) -> None:
    """One worker, the filter's estimator: its own loop keeps its state at the output."""
    spec = Train.model_validate_json(config["spec"])
    world = open_spec_dataset(spec.dataset, spec.size)
    state = Path(spec.output.removeprefix("file://")).absolute() / "estimator"
    trained = train_pose_estimator(
        world,
        state,
        steps=spec.steps,
        seed=spec.seed,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        initial=spec.initial,
    )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(trained, Path(folder) / "weights")
        ray.train.report({"step": spec.steps}, checkpoint=Checkpoint.from_directory(folder))


def _loop(
    spec: Train,
    rank: int,
    trainer: Any,
    batch_at: Callable[[int], dict[str, np.ndarray]],
    validate: Callable[[], float],
    save: Callable[[Path], None],
) -> None:
    """Steps from wherever the last checkpoint was to spec.steps."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            trainer.restore(torch.load(Path(folder) / "state.pt", weights_only=True))
        log.info("going on step=%d", trainer.step)
    last_saved = time.monotonic()
    begun, first, losses = time.monotonic(), trainer.step, []
    while trainer.step < spec.steps:
        losses.append(trainer.train_step(batch_at(trainer.step), rank))
        step = trainer.step
        if step % LOG_EVERY:
            continue
        rate = (step - first) / (time.monotonic() - begun)
        loss, losses = float(np.mean(losses)), []
        if rank == 0:
            log.info("step=%d/%d loss=%.4f steps_per_s=%.2f", step, spec.steps, loss, rate)
        late = time.monotonic() - last_saved > 60 * spec.checkpoint.every_minutes
        if _agreed(late) or step >= spec.steps:
            last_saved = time.monotonic()
            _report(rank, trainer, {"step": step, "loss": loss}, validate, save)
    if trainer.step % LOG_EVERY:
        _report(
            rank, trainer, {"step": trainer.step, "loss": float(np.mean(losses))}, validate, save
        )


def _report(rank: int, trainer: Any, metrics: dict[str, Any], validate, save) -> None:
    if rank != 0:
        ray.train.report(metrics)
        return
    metrics["validation_loss"] = validate()
    log.info("checkpoint step=%d validation_loss=%.4f", metrics["step"], metrics["validation_loss"])
    with tempfile.TemporaryDirectory() as folder:
        torch.save(trainer.state(), Path(folder) / "state.pt")
        save(Path(folder) / "weights")
        ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))


def _agreed(mine: bool) -> bool:
    """Rank 0's answer, everywhere: report() is a barrier."""
    if not (dist.is_available() and dist.is_initialized()):
        return mine
    answer = torch.tensor([int(mine)])
    dist.broadcast(answer, 0)
    return bool(answer.item())


def _split(blocks: list[int]) -> tuple[list[int], list[int]]:
    """The last block validates, when there is more than one."""
    return blocks[-1:], blocks[:-1] or blocks


def _measure_residual(generator: Generator, reader: Blocks) -> None:
    """How far pictures lie from their composites, per latent channel; into the config."""
    block = reader.read(reader.indices[0])
    apart = block["target_latents"].astype(np.float32) - block["composite_latents"]
    std = tuple(float(s) for s in apart.std((0, 1, 3, 4)))
    generator.config = replace(generator.config, residual_std=std)
    generator.set_residual_std(std)


def _channels(generator: Generator, reader: Blocks) -> torch.Tensor:
    """Weights of the latent channels, from a few pictures of the first block."""
    latents = torch.from_numpy(reader.read(reader.indices[0])["target_latents"][:16, 0]).float()
    unit = generator.residual_std if generator.uses_appearance else torch.ones(latents.shape[1:2])
    rng = torch.Generator().manual_seed(0)
    return channel_weights(generator.codec.decode, latents, unit.reshape(-1, 1, 1), rng)


LOOPS = {"generator": train_generator, "vae": train_vae, "pose_estimator": train_estimator}
