"""A skirt, a dress or a long coat: cloth between the legs, which a body has none of.

In: what images of a person show between the legs. Out: faces that bridge them, from leg to leg,
down to the hem; their corners are the body's own vertices, so that they follow any pose, and their
pixels are looked up as those of the body are.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from posedive.body.skeleton import SMPL_JOINTS
from posedive.render.camera import project_camera_space
from posedive.render.maps import Maps

_RUNGS = 12  # from crotch to ankle
_LEGS = (("left_hip", "left_knee"), ("right_hip", "right_knee"))
_ACROSS = np.linspace(0.1, 0.9, 9)  # where between the legs is looked
# Of what is seen between the legs, so much must look like the person, and be so many pixels.
_SURE_SHARE, _SURE_PIXELS = 0.38, 20.0


@dataclass(frozen=True, eq=False)
class Bridge:
    """rungs (rungs + 1, front and back, left and right): vertices of the body, from crotch to
    ankle."""

    rungs: np.ndarray

    def faces(self, hem: int) -> np.ndarray:
        """(F, 3): cloth from the crotch down to the rung of that number; 0: none."""
        upper, lower = self.rungs[:hem], self.rungs[1 : hem + 1]
        a, b, c, d = upper[..., 0], upper[..., 1], lower[..., 0], lower[..., 1]
        corners = [np.stack([a, b, c], axis=-1), np.stack([b, d, c], axis=-1)]
        return np.concatenate(corners).reshape(-1, 3).astype(np.int32)


def bridge_of(vertices: Float[np.ndarray, "vertices 3"], weights: np.ndarray) -> Bridge:
    """vertices: at rest, y up, facing +z; weights (V, 24): of skinning."""
    legs = [
        np.flatnonzero(weights[:, [SMPL_JOINTS.index(j) for j in names]].sum(axis=1) > 0.5)
        for names in _LEGS
    ]
    highest = max(vertices[leg, 1].max() for leg in legs)
    bottom = max(vertices[leg, 1].min() for leg in legs)
    # The crotch is the lowest point of what lies between the legs.
    middle = np.abs(vertices[:, 0] - vertices[:, 0].mean()) < 0.03
    below = middle & (vertices[:, 1] < highest)
    top = vertices[below, 1].min() if below.any() else highest
    rungs = []
    for y in np.linspace(top, bottom, _RUNGS + 1):
        ends = []
        for leg in legs:
            near = leg[np.argsort(np.abs(vertices[leg, 1] - y))[:24]]
            z = vertices[near, 2]
            ends.append((near[z.argmax()], near[z.argmin()]))
        rungs.append(np.array(ends).T)
    return Bridge(np.array(rungs))


def seen_between(
    bridge: Bridge, person: Float[np.ndarray, "height width"], maps: Maps
) -> Float[np.ndarray, "2 rungs"]:
    """Of the pixels between each rung and the next, beside the legs: those that look like the
    person less those that look like the background, and all. person: garment.likeness_of_person.
    """
    height, width = person.shape
    rungs = maps.vertices[bridge.rungs]  # (rungs + 1, front and back, left and right, 3)
    middle = 0.5 * (rungs[:-1] + rungs[1:])
    points = middle[:, :, :1] + _ACROSS[:, None] * (middle[:, :, 1:] - middle[:, :, :1])
    pixels = project_camera_space(points, maps.focal, (width, height)) - 0.5
    inside = np.all((pixels >= 0) & (pixels < (width - 1, height - 1)), axis=-1)
    pixels = np.where(inside[..., None], pixels, 0).astype(np.float32)
    column, row = np.round(pixels).astype(int).transpose(3, 0, 1, 2)
    free = inside & ~maps.mask[row, column]
    at = pixels.reshape(len(middle), -1, 2)
    likeness = cv2.remap(person, at[..., 0], at[..., 1], cv2.INTER_LINEAR).reshape(free.shape)
    # In pixels: wide and near weighs more than narrow and far.
    gap = np.linalg.norm(middle[:, :, 1] - middle[:, :, 0], axis=-1)
    step = np.linalg.norm(np.diff(rungs.mean(axis=2), axis=0), axis=-1)
    pixel_m = middle.mean(axis=2)[..., 2] / (height * maps.focal)
    area = gap * step / np.maximum(pixel_m, 1e-6) ** 2
    alike = (free * (2 * likeness - 1)).mean(axis=-1) * area
    return np.stack([alike.mean(axis=1), (free.mean(axis=-1) * area).mean(axis=1)])


def hem_of(between: Float[np.ndarray, "images 2 rungs"]) -> int:
    """How many rungs down the cloth reaches, by all images together; 0: these are trousers.

    What goes on to the ankle is no skirt, but the ground's shadow, taken for dark trousers' cloth.
    """
    alike, seen = np.cumsum(between.sum(axis=0), axis=1)
    hem = int(alike.argmax())
    sure = alike[hem] > max(_SURE_SHARE * seen[hem], _SURE_PIXELS)
    return hem + 1 if sure and hem < len(alike) - 2 else 0
