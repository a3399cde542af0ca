"""`kind: split`: a set with SMPL fits cut so that the test shows what training never saw."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from posedive.spec.base import Part, Spec
from posedive.spec.parts import SEED, Dataset, Uri

Half = Annotated[float, Field(gt=0, lt=0.5)]
Gap = Annotated[float, Field(ge=0, lt=1)]


def _is_json(uri: str) -> str:
    if not uri.endswith(".json"):
        raise ValueError(f"expected a path or URI that ends in .json, got {uri!r}")
    return uri


class Viewpoint(Part):
    """How viewpoints are told apart."""

    axis: Literal["auto", "elevation", "front_back", "left_right"] = Field(
        default="auto", description="auto: that along which cameras differ most"
    )
    whole_cameras: bool = Field(
        default=True,
        description="a camera is for training or for the test; false cuts the images of each",
    )

    @model_validator(mode="after")
    def _auto_is_for_cameras(self) -> "Viewpoint":
        if self.axis == "auto" and not self.whole_cameras:
            raise ValueError(
                "axis: auto compares cameras; without whole_cameras say elevation, front_back or"
                " left_right"
            )
        return self


class Pose(Part):
    """How poses are told apart."""

    clusters: int = Field(default=12, ge=2, le=200, description="of joint rotations, by k-means")


class Split(Spec):
    INCIDENTAL: ClassVar[tuple[str, ...]] = ("output",)

    kind: Literal["split"]
    dataset: Dataset
    by: Literal["viewpoint", "pose"] = Field(description="what training and test don't share")
    test_splits: tuple[str, ...] = Field(
        default=("query", "gallery"),
        description="where people of the test come from; [] parts those of dataset.split",
    )
    test_share: Half = Field(
        default=0.4, description="of the people, for the test, where test_splits is []"
    )
    min_share: Half = Field(
        default=0.25, description="of the images, on either side of a cut between cameras, clusters"
    )
    gap_share: Gap = Field(
        default=0.2, description="of the images, those nearest to the cut, which are left out"
    )
    viewpoint: Viewpoint = Viewpoint()
    pose: Pose = Pose()
    seed: int = SEED
    output: Annotated[Uri, AfterValidator(_is_json)] = Field(
        description="the split file, .json; the figure goes beside it, .png"
    )

    @model_validator(mode="after")
    def _cut_from_the_sets_own_splits(self) -> "Split":
        if self.dataset.split_file is not None:
            raise ValueError("dataset.split_file: a split is cut from the set itself; take it out")
        return self
