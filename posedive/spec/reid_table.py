"""`kind: evaluate`, `what: reid`: what images from several generators do to a Re-ID model."""

import copy
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from posedive.spec.base import Part, Spec
from posedive.spec.generate import Generate
from posedive.spec.parts import SEED, Dataset, Uri

ArmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Yardstick(Part):
    """The Re-ID model and its training; the rest of the recipe is reid.train's."""

    backbone: Literal["resnet18-quarter", "resnet50", "osnet"] = Field(default="resnet18-quarter")
    camera_wise: bool = Field(default=False, description="batch statistics per camera, as CBN")
    steps: int = Field(default=1000, gt=0, description="optimizer steps")
    generated_per_identity: int = Field(
        default=2, ge=0, description="generated images among an identity's 4 in a batch"
    )


class ReidTable(Spec):
    """Each arm trains on the set's real images and on what its generate job made of them."""

    INCIDENTAL: ClassVar[tuple[str, ...]] = ("output", "num_cpus")

    kind: Literal["evaluate"]
    what: Literal["reid"]
    dataset: Dataset
    generate: dict[str, Any] = Field(
        default={}, description="fields of a generate job, shared by all arms"
    )
    arms: dict[ArmName, dict[str, Any] | None] = Field(
        min_length=1,
        description="name -> overrides of `generate` by dotted key; null is real images alone",
    )
    yardstick: Yardstick = Yardstick()
    seeds: int = Field(default=3, gt=0, description="trainings per arm")
    seed: int = SEED
    num_cpus: float = Field(default=1, gt=0, description="CPUs per training")
    output: Uri = Field(description="folder, file:///... or s3://bucket/prefix")

    @field_validator("generate", mode="after")
    @classmethod
    def _only_what_arms_share(cls, generate: dict[str, Any]) -> dict[str, Any]:
        own = sorted({"kind", "dataset", "output"} & generate.keys())
        if own:
            raise ValueError(f"{', '.join(own)} belongs to the table, not to generate")
        return generate

    @model_validator(mode="after")
    def _arms_are_generate_jobs(self) -> "ReidTable":
        for name in self.arms:
            try:
                self.generate_job(name)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                why = first["msg"].removeprefix("Value error, ")
                raise ValueError(f"arms.{name}: {where}: {why}") from None
        return self

    def generate_job(self, arm: str) -> Generate | None:
        """The generate job behind an arm; None where the arm is the real images alone."""
        overrides = self.arms[arm]
        if overrides is None:
            return None
        document = copy.deepcopy(self.generate)
        for dotted, value in overrides.items():
            node = document
            *parents, key = dotted.split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[key] = value
        return Generate.model_validate(
            document
            | {
                "kind": "generate",
                "dataset": self.dataset.model_dump(exclude_unset=True),
                "output": {"uri": f"{self.output}/arms/{arm}"},
            }
        )
