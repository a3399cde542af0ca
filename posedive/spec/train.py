"""`kind: train`: weights for the generator, its VAE, the pose estimator, or the human parser."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from posedive.spec.base import Part, Spec
from posedive.spec.parts import (
    BODY,
    PARSER,
    SEED,
    SIZE,
    Confidence,
    Dataset,
    PoseSourceName,
    Precision,
    Share,
    Size,
    Uri,
)

ConditionName = Literal["depth", "normals", "skeleton", "appearance"]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"expected each condition once, got {', '.join(names)}")
    return names


def _ascending(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"expected [fewest, most], got {list(bounds)}")
    return bounds


class Checkpoint(Part):
    every_minutes: float = Field(default=5, gt=0, description="minutes between checkpoints")
    keep: int = Field(
        default=2,
        gt=0,
        description="checkpoints kept: those of the lowest validation loss, and always the newest",
    )
    samples: int = Field(
        default=8,
        ge=0,
        description="held-out examples drawn on a sheet with each checkpoint of the generator",
    )


class PairFilter(Part):
    """Which images may make pairs (paper, Eq. 10 and 11)."""

    pose_estimator: str = Field(
        default="embedded",
        min_length=1,
        description="embedded, a folder, or a VitPose name on the hub",
    )
    reference_threshold: Confidence = Field(
        default=0.6, description="mean confidence of a reference"
    )
    target_threshold: Confidence = Field(default=0.6, description="mean confidence of a target")


class TrainResources(Part):
    """What the job asks of Ray Train."""

    num_workers: (
        Annotated[int, Field(gt=0)]
        | Annotated[
            tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]],
            AfterValidator(_ascending),
        ]
    ) = Field(
        default=1,
        description="data-parallel workers; [fewest, most]: as many as there is room for, and a"
        " step's batch is that of the most, however many compute it",
    )
    num_cpus: int = Field(default=1, gt=0, description="CPUs, and threads, per worker")
    num_gpus: float = Field(default=0, ge=0, description="GPUs per worker")

    @property
    def most_workers(self) -> int:
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]


class Train(Spec):
    INCIDENTAL: ClassVar[tuple[str, ...]] = (
        "checkpoint",
        "gradient_checkpointing",
        "output",
        "parallel",
        "resources",
        "trackers",
    )
    OF_THE_GENERATOR: ClassVar[tuple[str, ...]] = (
        "accumulate",
        "gradient_checkpointing",
        "max_skipped_steps",
        "parallel",
        "parser",
    )

    kind: Literal["train"]
    what: Literal["generator", "vae", "pose_estimator", "parser"]
    model: Literal["embedded", "sd15"] | dict[str, Any] = Field(
        default="embedded", description="a preset of sizes, or the sizes"
    )
    initial: Uri | None = Field(
        default=None,
        description="weights to start from: embedded, a folder, or its s3:// URI; null: the shipped"
        " VAE and new networks",
    )
    dataset: Dataset
    body: str = BODY
    poses: PoseSourceName = Field(default="embedded", description="where poses come from")
    size: Size = SIZE
    conditions: Annotated[tuple[ConditionName, ...], AfterValidator(_each_once)] = Field(
        default=("depth", "normals", "skeleton", "appearance"),
        min_length=1,
        description="maps guided by",
    )
    steps: int = Field(gt=0, description="optimizer steps, in total")
    batch_size: int = Field(default=4, gt=0, description="target images per step and worker")
    accumulate: int = Field(
        default=1,
        gt=0,
        description="batches whose gradients each worker adds up for one step: the loss of one"
        " batch as many times as large, in the memory of one",
    )
    targets_per_reference: int = Field(
        default=1, gt=0, description="targets that share one pass of the reference branch"
    )
    references_per_identity: int = Field(
        default=4, gt=0, description="references drawn per pid when the pairs are made"
    )
    learning_rate: float = Field(default=1e-5, gt=0)
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="of the learning rate"
    )
    weight_decay: float = Field(default=0.01, ge=0)
    max_skipped_steps: int = Field(
        default=20,
        gt=0,
        description="steps in a row without a finite loss, after which the job stops; such steps"
        " change nothing",
    )
    precision: Precision = Field(
        default="auto", description="auto: bf16, on every device; fp16 is for GPUs"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="computes activations twice rather than keep them: less memory"
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        default="ddp",
        description="ddp: weights, averages and the optimizer's state whole on each worker; fsdp:"
        " a share of them",
    )
    min_snr_gamma: float | None = Field(
        default=5.0, gt=0, description="null weighs all noise levels alike"
    )
    noise_offset: float = Field(default=0.05, ge=0, description="of unit noise, per channel")
    foreground_weight: float = Field(
        default=1.0, gt=0, description="weight of the person's latents, the background's being 1"
    )
    huber: float | None = Field(
        default=None,
        gt=0,
        description="error from which on the loss grows by it, not by its square; null: squares",
    )
    perceptual_weight: float = Field(
        default=0.0,
        ge=0,
        description="weight of how unlike a picture drawn from pure noise and the true one look to"
        " an identity network, which is trained first on the job's own examples",
    )
    last_timestep_share: Share = Field(
        default=0.0,
        description="share of samples at pure noise, from which few-step sampling draws; the"
        " others are uniform over timesteps",
    )
    condition_dropout: Share = Field(default=0.1, description="share of samples without reference")
    ema_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the averaged weights, per step"
    )
    same_camera_ratio: Share = Field(default=0.5, description="share of pairs from one camera")
    filter: PairFilter | None = Field(
        default=None, description="null: every image may make pairs, as rendered ones may"
    )
    appearance_images: int = Field(
        default=8,
        gt=0,
        description="images of the person that an appearance map draws on, at most; how many of"
        " them is drawn for each pair",
    )
    parser: str | None = PARSER
    fit_jitter: float = Field(default=0.0, ge=0, description="noise on SMPL fits, rad")
    seed: int = SEED
    trackers: tuple[Literal["wandb", "mlflow"], ...] = Field(
        default=(), description="beside TensorBoard; set up by their own environment variables"
    )
    checkpoint: Checkpoint = Checkpoint()
    output: Uri = Field(description="folder, file:///... or s3://bucket/prefix")
    resources: TrainResources = TrainResources()

    @model_validator(mode="after")
    def _fields_of_the_generator(self) -> "Train":
        if self.what == "generator":
            return self
        if "conditions" in self.model_fields_set:
            raise ValueError(f"conditions guide the generator; {self.what} has none")
        given = [name for name in self.OF_THE_GENERATOR if name in self.model_fields_set]
        if given:
            raise ValueError(f"{', '.join(given)}: of the generator's training, not of {self.what}")
        if self.resources.num_workers != 1:
            raise ValueError(f"resources.num_workers: {self.what} is trained by one worker")
        return self

    @model_validator(mode="after")
    def _world_of_the_parser(self) -> "Train":
        if self.what == "parser" and self.dataset.name != "embedded":
            raise ValueError(
                "dataset: the parser learns from pictures whose every pixel is known, which only"
                f" embedded has; got {self.dataset.name}. For photographs there are published ones:"
                " generator.parser=mattmdjaga/segformer_b2_clothes"
            )
        return self

    @model_validator(mode="after")
    def _precision_of_the_device(self) -> "Train":
        if self.precision == "fp16" and not self.resources.num_gpus:
            raise ValueError(
                "precision: fp16 trains on GPUs; set resources.num_gpus: 1, or precision: bf16"
            )
        return self

    @model_validator(mode="after")
    def _what_shares_allow(self) -> "Train":
        if self.parallel == "fsdp" and self.precision == "fp16":
            raise ValueError("parallel: fsdp takes precision bf16 or fp32; fp16 goes with ddp")
        if self.parallel == "fsdp" and not isinstance(self.resources.num_workers, int):
            raise ValueError("parallel: fsdp takes a fixed num_workers; a range goes with ddp")
        return self
