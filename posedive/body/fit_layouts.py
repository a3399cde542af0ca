"""The files that SMPL estimators write, as a table: what is called how, and where it lies.

A path such as "pred_smpl_params.betas" goes through dictionaries, and through lists of them;
`entries` says what holds the fields of people together: "" the file, "*" each value of its
dictionary, "results.*" each value of the dictionary there. Layouts are tried in order, and the
first whose pose and camera an entry has is its own. Sources: what the estimators' own demos save.
"""

from dataclasses import dataclass
from typing import Literal

# The pelvis of the two neutral bodies at rest, metres: the same transl moves both, from there.
PELVIS_SMPL = (-0.00179506, -0.22333382, 0.02821918)
PELVIS_SMPLX = (0.00312326, -0.35140744, 0.01203655)


@dataclass(frozen=True)
class Layout:
    """keyed: what says which image a fit is of. "file": `names`, an array of the images' names, or
    the file's own stem; "entry": the entry's key, a path of an image; "frames": `frames`, numbers
    of frames, or their order: the images' names are in a list beside the file.
    pose: where global_orient and body_pose are, or both in one array of 24 joints.
    betas: the first of these that is there; none, or SMPL-X's, which mean other shapes: zeros.
    camera: a convention of fit_cameras, and the (path, numbers for one person) that it takes.
    smplx: the field that tells SMPL-X from SMPL; "" where all fits are SMPL's.
    """

    name: str
    pose: tuple[str, ...]
    betas: tuple[str, ...]
    camera: str = ""
    camera_fields: tuple[tuple[str, int], ...] = ()
    entries: str = ""
    keyed: Literal["file", "entry", "frames"] = "file"
    frames: str = ""
    smplx: str = ""


def _both(parent: str = "") -> tuple[str, str]:
    return f"{parent}global_orient", f"{parent}body_pose"


_FULL_IMAGE = (("pred_cam_t_full", 3), ("scaled_focal_length", 1))
_CROP = (("pred_cam", 3), ("box_center", 2), ("box_size", 1), ("img_size", 2))
_ROMP = (("cam", 3),)
_NESTS = ("pred_smpl_params", "smpl_params_incam", "smpl_params", "smpl")

LAYOUTS = (
    Layout(
        "posedive's table", _both(), ("betas",), "world",
        (("rotation", 9), ("translation", 3), ("focal", 1)),
    ),
    # HMR2's demo: the camera of the whole image, or of the crop that the network saw.
    Layout("4D-Humans", _both(), ("betas",), "pixels", _FULL_IMAGE),
    Layout(
        "4D-Humans", _both("pred_smpl_params."), ("pred_smpl_params.betas",), "pixels", _FULL_IMAGE
    ),
    Layout("4D-Humans, crop", _both(), ("betas",), "crop", _CROP),
    Layout(
        "4D-Humans, crop", _both("pred_smpl_params."), ("pred_smpl_params.betas",), "crop", _CROP
    ),
    # joblib; frame's path -> lists, an item per person.
    Layout(
        "PHALP", _both("smpl."), ("smpl.betas",), "padded square", (("camera", 3), ("size", 2)),
        entries="*", keyed="entry",
    ),
    # An object in an .npz: of one image, or of many in video_results.npz.
    Layout("ROMP", ("smpl_thetas",), ("smpl_betas",), "orthographic", _ROMP, entries="results"),
    Layout(
        "ROMP, sequence", ("smpl_thetas",), ("smpl_betas",), "orthographic", _ROMP,
        entries="results.*", keyed="entry",
    ),
    # joblib; number of a person -> arrays over frames.
    Layout(
        "WHAM", ("pose",), ("betas",), "diagonal", (("trans", 3),),
        entries="*", keyed="frames", frames="frame_ids",
    ),
    # torch.save; SMPL-X.
    Layout(
        "GVHMR", _both("smpl_params_incam."), ("smpl_params_incam.betas",), "intrinsics",
        (("smpl_params_incam.transl", 3), ("K_fullimg", 9)),
        keyed="frames", smplx="smpl_params_incam",
    ),
    Layout("SMPLify", ("pose",), ("betas",), "two focals", (("cam_t", 3), ("f", 2))),
    Layout(
        "SMPLify-X", _both(), ("betas",), "5000 pixels",
        (("camera_rotation", 9), ("camera_translation", 3)), smplx="jaw_pose",
    ),
    # Without a camera they are a source of poses.
    *(Layout("parameters", _both(f"{nest}."), (f"{nest}.betas",)) for nest in _NESTS),
    *(
        Layout("parameters", _both(f"{nest}."), (f"{nest}.betas",), entries="*", keyed="entry")
        for nest in _NESTS
    ),
    Layout("parameters", _both(), ("betas",)),
    Layout("parameters", _both(), ("betas",), entries="*", keyed="entry"),
)  # fmt: skip
