"""`kind: render`: a contact sheet of conditions, to look at before anything is trained or drawn."""

from typing import Literal

from pydantic import Field, field_validator

from posedive.spec.base import Spec
from posedive.spec.parts import BODY, SEED, SIZE, PoseSourceName, Size, Viewpoints


class Render(Spec):
    kind: Literal["render"]
    body: str = BODY
    poses: PoseSourceName = Field(default="embedded", description="where poses come from")
    viewpoints: Viewpoints = Viewpoints()
    size: Size = SIZE
    count: int = Field(default=24, gt=0, le=10_000, description="conditions on the sheet")
    seed: int = SEED
    renderer: Literal["zbuffer", "pyrender"] = Field(
        default="zbuffer", description="pyrender needs EGL"
    )
    output: str = Field(description="path of the sheet, .png")

    @field_validator("output")
    @classmethod
    def _is_png(cls, path: str) -> str:
        if not path.endswith(".png"):
            raise ValueError(f"expected a path that ends in .png, got {path!r}")
        return path
