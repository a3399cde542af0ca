"""`kind: generate`: the main job. A Re-ID set's people, in new poses and views, into shards."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from posedive.spec.base import Part, Spec
from posedive.spec.parts import (
    BODY,
    PARSER,
    SEED,
    SIZE,
    Confidence,
    Dataset,
    Interval,
    PoseSourceName,
    Precision,
    Size,
    Uri,
    Viewpoints,
)


def _min_to_max(actors: tuple[int, int]) -> tuple[int, int]:
    if actors[0] > actors[1]:
        raise ValueError(f"expected [min, max], got {list(actors)}")
    return actors


CONTROLS = ("composite", "oracle")
Cosine = Annotated[float, Field(ge=-1, le=1)]
Actors = Annotated[int, Field(gt=0)]
Pool = Annotated[tuple[Actors, Actors], AfterValidator(_min_to_max)]


class Generator(Part):
    """The diffusion model and how it samples."""

    weights: Uri = Field(
        default="embedded",
        description="embedded, a checkpoint folder, or its s3:// URI; or a control that needs none:"
        " composite (the appearance map on the background) or oracle (true renders)",
    )
    steps: int = Field(default=8, gt=0, le=1000, description="denoising steps per image")
    sampler: Literal["ddim", "dpm++", "unipc"] = Field(
        default="ddim", description="solver; dpm++ and unipc are of second order, at ddim's cost"
    )
    guidance_scale: float = Field(
        default=1.0, ge=1, description="1 is without guidance, at half the cost"
    )
    guidance_interval: Interval = Field(
        default=(0.0, 1.0),
        description="[low, high] where guidance applies: 0 is no noise, 1 is all noise",
    )
    appearance_images: int = Field(
        default=8,
        ge=0,
        description="images of the person that the appearance map draws on; 1: the reference's;"
        " 0: none, as the paper has it",
    )
    parser: str | None = PARSER
    background: Literal["camera", "reference"] = Field(
        default="camera",
        description="what stands behind the person: a scene of the reference's camera, from"
        " another person's image, anew for each pair; or the reference's own",
    )
    pixels: Literal["carried", "drawn"] = Field(
        default="carried",
        description="carried: a picture keeps what was carried from photographs, the scene, and"
        " detail on the person where the network changes nothing else; drawn: all as it draws",
    )
    batch_size: int = Field(default=8, gt=0, description="pairs per forward pass")
    precision: Precision = Field(default="auto", description="auto: what the device does best")
    attention: Literal["auto", "native", "xformers"] = Field(
        default="auto", description="attention backend; xformers needs CUDA"
    )


class Filter(Part):
    """The acceptance rules (paper, Eq. 10-13, and the agreement of positions)."""

    pose_estimator: str = Field(
        default="embedded",
        min_length=1,
        description="embedded, a folder, or a VitPose name on the hub",
    )
    reference_threshold: Confidence = Field(
        default=0.6, description="mean confidence of the reference"
    )
    generated_threshold: Confidence = Field(
        default=0.6, description="mean confidence of the generated"
    )
    max_confidence_difference: Confidence = Field(
        default=0.1, description="reference to generated, Eq. 12"
    )
    min_oks: Confidence = Field(
        default=0.33, description="detected keypoints against the condition's"
    )
    min_identity: Cosine | None = Field(
        default=None,
        description="cosine of the picture and its person's real images, to a Re-ID network that is"
        " first trained on the set's own; -1 keeps all and tells it; null does without",
    )


class Output(Part):
    uri: Uri = Field(description="folder, file:///... or s3://bucket/prefix")
    min_shards: int = Field(default=32, gt=0, description="at least so many, where the data allow")


class Node(Part):
    """One kind of machine of the cluster; the defaults leave a machine of 8 CPUs and 32 GB some of
    them for itself."""

    gpus: int = Field(default=0, ge=0, description="GPUs of a node")
    cpus: float = Field(default=7, gt=0, description="CPUs of a node that Ray may use")
    memory_gb: float = Field(default=28, gt=0, description="memory of a node that Ray may use, GB")
    price_per_hour: float = Field(default=0, ge=0, description="of a node, in any currency")


class Resources(Part):
    """What the job's actors ask of Ray, stage by stage, and the machines that are to give it.

    One actor of each stage fits two CPUs. None asks for nothing: it could land on a cluster's head.
    """

    denoise_actors: Pool = Field(default=(1, 1), description="[min, max] of the pool")
    num_gpus: float = Field(
        default=0, ge=0, description="GPUs per denoise actor; 0.5 puts two actors on one"
    )
    denoise_cpus: float = Field(default=1, gt=0, description="CPUs per denoise actor")
    render_actors: Pool | None = Field(
        default=None, description="[min, max] of the pool; null: 1 to the most denoise actors"
    )
    render_cpus: float = Field(default=0.5, gt=0, description="CPUs per render actor")
    judge_actors: Pool | None = Field(
        default=None, description="[min, max] of the filter's pool; null as for render_actors"
    )
    judge_gpus: float = Field(
        default=0, ge=0, description="GPUs per judge actor, or a share of one"
    )
    judge_cpus: float = Field(default=0.25, gt=0, description="CPUs per judge actor")
    commit_cpus: float = Field(default=0.25, gt=0, description="CPUs per commit actor")
    cpu_node: Node = Field(default=Node(), description="machines without GPU: for plan and submit")
    gpu_node: Node = Field(
        default=Node(gpus=1), description="machines with GPUs: for plan and submit"
    )

    @field_validator("num_gpus", "judge_gpus")
    @classmethod
    def _whole_or_a_share(cls, gpus: float) -> float:
        # Ray's own rule; it would tell so only once actors are placed.
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"expected a share of one GPU (0 to 1) or whole GPUs, got {gpus:g}")
        return gpus

    @model_validator(mode="after")
    def _a_node_holds_an_actor(self) -> "Resources":
        if self.num_gpus > max(self.gpu_node.gpus, 1):
            raise ValueError(
                f"num_gpus: one actor asks for {self.num_gpus:g} GPUs, a gpu_node has"
                f" {self.gpu_node.gpus}; set resources.gpu_node.gpus"
            )
        return self


class Generate(Spec):
    INCIDENTAL: ClassVar[tuple[str, ...]] = (
        "dataset.root",
        "dataset.fits",
        "generator.batch_size",
        "generator.attention",
        "output.uri",
        "resources",
    )

    kind: Literal["generate"]
    dataset: Dataset
    body: str = BODY
    poses: PoseSourceName = Field(default="embedded-external", description="where poses come from")
    own_poses: bool = Field(
        default=False, description="poses of the set's own images, by their fits, in place of poses"
    )
    viewpoints: Viewpoints = Viewpoints()
    own_viewpoints: bool = Field(
        default=False,
        description="azimuths and elevations of the set's own images, by their fits, in place of"
        " those of viewpoints",
    )
    size: Size = SIZE
    generator: Generator = Generator()
    filter: Filter = Filter()
    images_per_identity: int = Field(
        default=15, gt=0, description="pairs per pid, before filtering"
    )
    seed: int = SEED
    output: Output
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _an_oracle_can_render_the_set(self) -> "Generate":
        if self.generator.weights == "oracle" and self.dataset.name != "embedded":
            raise ValueError(
                "generator.weights: oracle renders the truth, which only the embedded set has;"
                f" got dataset.name {self.dataset.name}"
            )
        return self
