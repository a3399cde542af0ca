"""The parts that several job files share: dataset, viewpoints, and the types of single fields."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from posedive.spec.base import Part

POSE_SOURCES = (
    "embedded",
    "embedded-walking",
    "embedded-external",
    "embedded-training",
    "embedded-held-out",
    "embedded-actions",
)
POSE_FOLDERS = ("amass:", "fits:")


def _pose_source(name: str) -> str:
    if name in POSE_SOURCES or any(name.startswith(p) and name != p for p in POSE_FOLDERS):
        return name
    known = ", ".join((*POSE_SOURCES, *(f"{prefix}DIR" for prefix in POSE_FOLDERS)))
    raise ValueError(f"expected one of {known}, got {name!r}")


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"expected [low, high], got {list(bounds)}")
    return bounds


def _uri(uri: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    if scheme and scheme[1] not in ("file", "s3"):
        raise ValueError(f"expected a folder, file:///... or s3://bucket/prefix, got {uri!r}")
    if scheme and "@" in uri.split("://", 1)[1].split("/", 1)[0]:
        # Not echoed: what stands before the @ is a secret.
        raise ValueError("credentials in a URI; set AWS_ACCESS_KEY_ID and kin instead")
    if re.fullmatch(r"(file|s3):/{0,2}", uri):
        raise ValueError(f"expected a folder or bucket after the scheme, got {uri!r}")
    return uri


Uri = Annotated[str, Field(min_length=1), AfterValidator(_uri)]
PoseSourceName = Annotated[str, AfterValidator(_pose_source)]
Azimuth = Annotated[float, Field(ge=-360, le=360)]
Elevation = Annotated[float, Field(ge=-90, le=90)]
Confidence = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[tuple[Share, Share], AfterValidator(_ascending)]
Side = Annotated[int, Field(ge=16, le=2048, multiple_of=8)]
Size = tuple[Side, Side]
Precision = Literal["auto", "fp32", "fp16", "bf16"]

SEED = Field(default=0, ge=0, lt=2**32, description="every random choice follows from it")
BODY = Field(
    default="embedded", min_length=1, description="embedded, or a path to SMPL_*.pkl or .npz"
)
SIZE = Field(default=(64, 128), description="width and height of an image, px")
PARSER = Field(
    default="embedded",
    min_length=1,
    description="human parser that finds bags and long hair for the appearance map: embedded, a"
    " folder, or a name on the hub; null: neither is drawn",
)


# Fields of a dataset that belong to some readers alone.
READER_FIELDS = {
    "wide": ("embedded",),
    "boxes": ("cuhk03",),
    "frame_step": ("mars", "fashion"),
    "accept_withdrawn": ("dukemtmc",),
}


class Dataset(Part):
    """The Re-ID set whose people are drawn again, and the SMPL fits of its images."""

    name: Literal["embedded", "market1501", "msmt17", "cuhk03", "mars", "fashion", "dukemtmc"] = (
        Field(description="which reader")
    )
    root: str | None = Field(default=None, description="folder as published; not for embedded")
    fits: str | None = Field(default=None, description="folder of SMPL fits; not for embedded")
    split: str = Field(default="train", min_length=1, description="train, query, gallery, ...")
    split_file: Uri | None = Field(
        default=None,
        description="a file that posedive split has written: train, query and gallery are its own",
    )
    identities: int | None = Field(
        default=None, gt=0, description="that many pids, drawn by the seed; null takes all"
    )
    seed: int = SEED
    wide: bool = Field(default=False, description="any pose from any side; embedded only")
    boxes: Literal["labeled", "detected"] | None = Field(
        default=None, description="drawn by people or by a detector (unless said); cuhk03 only"
    )
    frame_step: int | None = Field(
        default=None, gt=0, description="each n-th frame: 1 of mars, 10 of fashion unless said"
    )
    accept_withdrawn: bool = Field(
        default=False, description="read a set that its authors have withdrawn; dukemtmc only"
    )

    @model_validator(mode="after")
    def _fields_of_its_reader(self) -> "Dataset":
        if self.name == "embedded":
            set_here = [key for key in ("root", "fits") if getattr(self, key) is not None]
            if set_here:
                raise ValueError(
                    f"the embedded set is made, not read: it takes no {' or '.join(set_here)};"
                    " set name: market1501 or take the key out"
                )
        elif self.root is None:
            raise ValueError(f"{self.name} needs root: the folder as published")
        for key, readers in READER_FIELDS.items():
            if getattr(self, key) and self.name not in readers:
                raise ValueError(f"{key} is for {' and '.join(readers)}, not for {self.name}")
        if self.name == "dukemtmc" and not self.accept_withdrawn:
            raise ValueError(
                "DukeMTMC-reID was withdrawn by its authors; choose another set, or, where you may"
                " use it, say accept_withdrawn: true"
            )
        return self


class Viewpoints(Part):
    """Where conditions are seen from: drawn uniformly between the bounds, in degrees."""

    azimuth_deg: Annotated[tuple[Azimuth, Azimuth], AfterValidator(_ascending)] = Field(
        default=(0.0, 360.0),
        description="[low, high]; 0 sees the face, 90 the left side, 180 the back",
    )
    elevation_deg: Annotated[tuple[Elevation, Elevation], AfterValidator(_ascending)] = Field(
        default=(0.0, 45.0), description="[low, high]; above 0 looks down"
    )
    focal: Literal["perspective", "near_orthographic"] | Annotated[float, Field(gt=0)] = Field(
        default="perspective", description="a preset, or the focal length in image heights"
    )
