"""`kind: evaluate`, `what: generator`: how good the pictures of a set's people are, in new poses
and views, beside a control without any network and beside the truth."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from posedive.spec.base import Part, Spec
from posedive.spec.generate import Generator, Resources
from posedive.spec.parts import SEED, SIZE, Dataset, PoseSourceName, Size, Uri, Viewpoints


class Judges(Part):
    """The two networks that judge pictures: one tells people apart, one finds their silhouette.
    Both learn from renders alone, of other people before the same cameras."""

    uri: Uri | None = Field(
        default=None, description="where they are kept for later runs; null is the output"
    )
    identities: int = Field(default=300, ge=16, le=300, description="people that they learn from")
    identity_steps: int = Field(default=2000, gt=0, description="optimizer steps of the first")
    silhouette_steps: int = Field(default=2000, gt=0, description="optimizer steps of the second")


class Evaluate(Spec):
    INCIDENTAL: ClassVar[tuple[str, ...]] = (
        "generator.batch_size",
        "generator.attention",
        "judges.uri",
        "output",
        "resources",
    )

    kind: Literal["evaluate"]
    what: Literal["generator"]
    dataset: Dataset
    poses: PoseSourceName = Field(default="embedded-external", description="where poses come from")
    viewpoints: Viewpoints = Viewpoints()
    size: Size = SIZE
    generator: Generator = Generator()
    cases_per_identity: int = Field(default=4, gt=0, description="pictures of each pid")
    pose_estimator: str = Field(
        default="embedded",
        min_length=1,
        description="embedded, a folder, or a VitPose name on the hub",
    )
    judges: Judges = Judges()
    seed: int = SEED
    output: Uri = Field(description="folder, file:///... or s3://bucket/prefix")
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _the_truth_can_be_rendered(self) -> "Evaluate":
        if self.dataset.name != "embedded":
            raise ValueError(
                "dataset.name: only the embedded set can render the truth of a condition;"
                f" got {self.dataset.name}"
            )
        return self
