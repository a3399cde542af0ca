"""`kind: fit`: SMPL fits for a set that has none, from the keypoints found in its images."""

from typing import ClassVar, Literal

from pydantic import Field

from posedive.spec.base import Spec
from posedive.spec.parts import (
    BODY,
    SEED,
    SIZE,
    Confidence,
    Dataset,
    PoseSourceName,
    Size,
    Uri,
)


class Fit(Spec):
    INCIDENTAL: ClassVar[tuple[str, ...]] = ("dataset.root", "dataset.fits", "output")

    kind: Literal["fit"]
    dataset: Dataset
    body: str = BODY
    poses: PoseSourceName = Field(
        default="embedded-training", description="poses from which it is learnt what is likely"
    )
    size: Size = SIZE
    pose_estimator: str = Field(
        default="embedded",
        min_length=1,
        description="embedded, a folder, or a VitPose name on the hub",
    )
    min_confidence: Confidence = Field(
        default=0.4, description="mean confidence of keypoints below which an image has no fit"
    )
    focal: float = Field(
        default=3.0,
        gt=0,
        description="focal length taken for all cameras of the set, in image heights",
    )
    starts: int = Field(
        default=4, gt=0, le=8, description="headings from which each image is fitted; best kept"
    )
    seed: int = SEED
    output: Uri = Field(
        description="folder, file:///... or s3://bucket/prefix, of fits.npz; dataset.fits reads it"
    )
