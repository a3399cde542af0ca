"""`kind: evaluate`, `what: reid`: what images from several generators do to a Re-ID model."""

import copy
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from posedive.spec.base import Part, Spec
from posedive.spec.generate import Cosine, Generate, Output
from posedive.spec.parts import SEED, Confidence, Dataset, Share, Size, Uri

ArmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
TestName = Literal["diverse", "standard", "actions"]
OF_THE_TABLE = ("yardstick", "take", "real_images")  # an arm's other keys are a generate job's


class Yardstick(Part):
    """The Re-ID model and its training; the defaults are for resnet18-quarter from scratch."""

    # of no meaning for real images alone
    OF_MIXING: ClassVar[set[str]] = {"generated_per_identity", "real_alone_share"}

    backbone: Literal["resnet18-quarter", "resnet50", "osnet"] = Field(default="resnet18-quarter")
    camera_wise: bool = Field(default=False, description="batch statistics per camera, as CBN")
    pretrained: str | None = Field(
        default=None, min_length=1, description="file with the backbone's ImageNet weights"
    )
    size: Size | None = Field(
        default=None, description="width and height of what it sees, px; null: as generated"
    )
    steps: int = Field(default=2500, gt=0, description="optimizer steps")
    warmup_steps: int = Field(default=100, gt=0, description="of them, until the full rate")
    learning_rate: float = Field(default=1.6e-2, gt=0, description="AdamW's")
    weight_decay: float = Field(default=5e-2, ge=0, description="AdamW's")
    identities_per_batch: int = Field(default=16, gt=1, description="P of a PK batch")
    images_per_identity: int = Field(default=4, gt=1, description="K of a PK batch")
    generated_per_identity: int = Field(
        default=1, ge=0, description="generated images among an identity's K in a batch"
    )
    real_alone_share: Share = Field(
        default=0.2, description="of the steps, the last ones: their batches hold none generated"
    )

    @model_validator(mode="after")
    def _generated_are_of_the_batch(self) -> "Yardstick":
        if self.generated_per_identity > self.images_per_identity:
            raise ValueError(
                f"generated_per_identity: expected at most images_per_identity,"
                f" {self.images_per_identity}, got {self.generated_per_identity}"
            )
        return self


class Take(Part):
    """Which of an output's images an arm trains on: one output serves a whole curve."""

    first: int | None = Field(
        default=None, gt=0, description="of each person's pairs, so many; null: all"
    )
    min_confidence: Confidence = Field(
        default=0, description="as filter.generated_threshold, of images that are there already"
    )
    min_identity: Cosine = Field(
        default=-1, description="as filter.min_identity, of images that are there already"
    )


class Arm(Part):
    """What one model is trained on, beside the set's real images, and how."""

    generate: Generate | None = None
    take: Take = Take()
    real_images: ArmName | None = Field(
        default=None, description="more real images, of each person as many as that arm takes"
    )
    yardstick: Yardstick = Yardstick()

    @model_validator(mode="after")
    def _what_is_taken_by_identity_was_judged(self) -> "Arm":
        judged = self.generate is not None and self.generate.filter.min_identity is not None
        if self.take.min_identity > -1 and not judged:
            raise ValueError(
                "take.min_identity: expected generate.filter.min_identity, -1 or more; it is null,"
                " so no picture has the score"
            )
        return self


class ReidTable(Spec):
    """Each arm trains on the set's real images and on what its generate job made of them."""

    INCIDENTAL: ClassVar[tuple[str, ...]] = ("output", "shared", "num_cpus", "num_gpus")

    kind: Literal["evaluate"]
    what: Literal["reid"]
    dataset: Dataset
    generate: dict[str, Any] = Field(
        default={}, description="fields of a generate job, shared by all arms"
    )
    arms: dict[ArmName, dict[str, Any] | None] = Field(
        min_length=1,
        description="name -> overrides by dotted key, of generate, or yardstick.KEY, take.KEY,"
        " real_images; generate: null, and null for short, is real images alone",
    )
    yardstick: Yardstick = Yardstick()
    tests: tuple[TestName, ...] = Field(
        default=(),
        description="the first is the headline; [] is diverse and standard, or what the set has",
    )
    seeds: int = Field(default=3, gt=0, description="trainings per arm")
    seed: int = SEED
    num_cpus: float = Field(default=1, gt=0, description="CPUs per training")
    num_gpus: float = Field(default=0, ge=0, description="GPUs per training, or a share of one")
    shared: Uri | None = Field(
        default=None,
        description="where images and scores are kept, for other tables too; null is the output",
    )
    output: Uri = Field(description="folder, file:///... or s3://bucket/prefix")

    @field_validator("generate", mode="after")
    @classmethod
    def _only_what_arms_share(cls, generate: dict[str, Any]) -> dict[str, Any]:
        own = sorted({"kind", "dataset", "output"} & generate.keys())
        if own:
            raise ValueError(f"{', '.join(own)} belongs to the table, not to generate")
        return generate

    @model_validator(mode="after")
    def _arms_can_be_read(self) -> "ReidTable":
        for name in self.arms:
            try:
                arm = self.arm(name)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])).removeprefix("generate.")
                why = first["msg"].removeprefix("Value error, ")
                raise ValueError(f"arms.{name}: {where or 'arm'}: {why}") from None
            if arm.real_images is not None:
                self._has_more_real_images(name, arm.real_images)
        if set(self.tests) - set(self.own_tests):
            raise ValueError(f"tests: this set has {', '.join(self.own_tests)}")
        return self

    def _has_more_real_images(self, name: str, as_many_as: str) -> None:
        if as_many_as not in self.arms or self.arm(as_many_as).generate is None:
            raise ValueError(f"arms.{name}: real_images: {as_many_as} is no arm that generates")
        if "actions" not in self.own_tests:
            raise ValueError(
                f"arms.{name}: real_images: only the embedded set has more of them, without a"
                " split_file"
            )

    @property
    def own_tests(self) -> tuple[TestName, ...]:
        """Of the set; its published one alone, but for the embedded world's own splits."""
        own = self.dataset.name == "embedded" and self.dataset.split_file is None
        return ("diverse", "standard", "actions") if own else ("standard",)

    @property
    def shown_tests(self) -> tuple[TestName, ...]:
        return self.tests or self.own_tests[:2]

    def arm(self, name: str) -> Arm:
        """The arm with the table's defaults; its generate job's output is named by what is asked,
        so that arms that ask for the same images share them."""
        generate = copy.deepcopy(self.generate)
        own: dict[str, Any] = {"yardstick": self.yardstick.model_dump(exclude_unset=True)}
        overrides = self.arms[name]
        overrides = {"generate": None} if overrides is None else dict(overrides)
        alone = "real_images" in overrides or overrides.get("generate", ...) is None
        overrides.pop("generate", None)
        of_generate = [key for key in overrides if key.split(".")[0] not in OF_THE_TABLE]
        if alone and of_generate:
            raise ValueError(f"arms.{name}: {of_generate[0]}: this arm generates nothing")
        for dotted, value in overrides.items():
            node = own if dotted.split(".")[0] in OF_THE_TABLE else generate
            *parents, key = dotted.split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[key] = value
        if alone:
            return Arm.model_validate(own)
        images = f"{self.shared or self.output}/images"
        job = generate | {
            "kind": "generate",
            "dataset": self.dataset.model_dump(exclude_unset=True),
            "output": {"uri": images},
        }
        arm = Arm.model_validate(own | {"generate": job})
        assert arm.generate is not None
        output = Output(uri=f"{images}/{arm.generate.digest()[:16]}")
        job = arm.generate.model_copy(update={"output": output})
        return arm.model_copy(update={"generate": job})
