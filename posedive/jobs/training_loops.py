"""What each Ray Train worker runs, by what is trained: the generator, its VAE, the estimator."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import torch
from ray.train import Checkpoint
from ray.train.torch import get_device

from posedive.datasets.embedded.world import EmbeddedWorld
from posedive.diffusion.generator import Generator
from posedive.diffusion.loss import channel_weights
from posedive.diffusion.parallel import distribute
from posedive.diffusion.trainer import Trainer
from posedive.diffusion.training import DenoisingTask, Recipe
from posedive.diffusion.weights import save_generator
from posedive.filters.training import train_pose_estimator
from posedive.jobs.blocks import Blocks, split
from posedive.jobs.identity_net import load_perceptual_loss
from posedive.jobs.initial import initial_generator, trained
from posedive.jobs.loop import WEIGHTS, Hooks, loop
from posedive.jobs.sample_sheets import sample_sheet
from posedive.jobs.sources import open_spec_dataset
from posedive.jobs.vae_loop import train_vae
from posedive.parsing.training import train_parser
from posedive.spec.train import Train

SAMPLE_STEPS = 8  # of the sheets
VALIDATION_BATCHES = 8
DTYPES = {
    "auto": torch.bfloat16,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
}


def train_generator(config: dict[str, Any]) -> None:
    spec = Train.model_validate_json(config["spec"])
    held_out, blocks = split(config["blocks"])
    references = max(1, spec.batch_size // spec.targets_per_reference)
    reader = Blocks(config["uri"], blocks, references, spec.seed)
    validation = Blocks(config["uri"], held_out, references, spec.seed)
    torch.manual_seed(spec.seed)
    generator = initial_generator(spec)
    if generator.uses_appearance and not trained(spec):
        _measure_residual(generator, reader)
    recipe = recipe_of(spec)
    task = DenoisingTask(
        generator,
        recipe,
        train_image_encoder=spec.model == "embedded",
        channels=_channels(generator, reader),
        perceptual=load_perceptual_loss(spec.output) if spec.perceptual_weight else None,
    )
    if spec.gradient_checkpointing:
        task.recompute_activations()
    trainer = Trainer(task, distribute(task, spec.parallel, get_device()), recipe)

    @torch.inference_mode()
    def validate() -> float:
        losses = [
            task(validation.batch(i, 0, 1), torch.Generator().manual_seed(i)).mean()
            for i in range(VALIDATION_BATCHES)
        ]
        return float(torch.stack(losses).mean())

    def draw() -> np.ndarray:
        # What learns to draw from pure noise above all is used in one step.
        steps = 1 if spec.last_timestep_share > 0.5 else SAMPLE_STEPS
        return sample_sheet(generator, validation.read(held_out[0]), spec.checkpoint.samples, steps)

    hooks = Hooks(
        reader.batch,
        validate,
        lambda folder: save_generator(generator, folder),
        draw if spec.checkpoint.samples else None,
    )
    loop(spec, trainer, hooks)


def recipe_of(spec: Train) -> Recipe:
    return Recipe(
        learning_rate=spec.learning_rate,
        schedule=spec.schedule,
        weight_decay=spec.weight_decay,
        steps=spec.steps,
        min_snr_gamma=spec.min_snr_gamma,
        noise_offset=spec.noise_offset,
        condition_dropout=spec.condition_dropout,
        foreground_weight=spec.foreground_weight,
        huber=spec.huber,
        perceptual_weight=spec.perceptual_weight,
        last_timestep_share=spec.last_timestep_share,
        ema_decay=spec.ema_decay,
        seed=spec.seed,
        dtype=DTYPES[spec.precision],
    )


def train_estimator(config: dict[str, Any]) -> None:
    """One worker, the filter's estimator: its own loop keeps its state at the output."""
    spec = Train.model_validate_json(config["spec"])
    trained = train_pose_estimator(
        open_spec_dataset(spec.dataset, spec.size),
        _state(spec, "estimator"),
        steps=spec.steps,
        seed=spec.seed,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        initial=spec.initial,
    )
    _report(spec, trained)


def train_human_parser(config: dict[str, Any]) -> None:
    """One worker, the appearance map's parser: its own loop keeps its state at the output."""
    spec = Train.model_validate_json(config["spec"])
    world = open_spec_dataset(spec.dataset, spec.size)
    assert isinstance(world, EmbeddedWorld)  # the spec's own rule
    trained = train_parser(
        world,
        _state(spec, "parser"),
        steps=spec.steps,
        seed=spec.seed,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
    )
    _report(spec, trained)


def _state(spec: Train, name: str) -> Path:
    return Path(spec.output.removeprefix("file://")).absolute() / name


def _report(spec: Train, trained: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(trained, Path(folder) / WEIGHTS)
        ray.train.report({"step": spec.steps}, checkpoint=Checkpoint.from_directory(folder))


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


LOOPS = {
    "generator": train_generator,
    "vae": train_vae,
    "pose_estimator": train_estimator,
    "parser": train_human_parser,
}
