"""What is known of a body's surface at rest: which points are likely of one colour, and how far
clothes and hair stand off it.

In: a body model (SMPL's layout: T-pose, y up, facing +z). Out: Kinship, cached per model. All
comes from the rest shape and the skinning weights, so any SMPL file will do.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import KDTree

from posedive.body.skeleton import SMPL_JOINTS
from posedive.body.smpl import faces as body_faces
from posedive.body.smpl import surface
from posedive.body.surface import vertex_normals
from posedive.render.belongings import Lump, catalogue
from posedive.render.skirt import Bridge, bridge_of

_CLOTHES_M, _SCALP_M = 0.02, 0.015
_HANDS = ("left_wrist", "right_wrist", "left_hand", "right_hand")
# By the joints that move them; a shirt, or a coat, is of all the others.
_PARTS = (
    ("head",),
    ("neck",),
    _HANDS,
    ("left_elbow", "right_elbow"),
    ("pelvis", "left_hip", "right_hip"),
    ("left_knee", "right_knee"),
    ("left_ankle", "right_ankle", "left_foot", "right_foot"),
)
_NUM_CLANS, _NEAR_CLANS, _CLAN_RADIUS_M = 384, 3, 0.03
_OPPOSITE_LICENCE = 0.75  # a chest's print is rarely on the back: mixed with its surroundings
_HAIRLINE = 0.73  # as a part of the head's height
_APART = 3.0  # metres between groups: more than any distance within one


@dataclass(frozen=True, eq=False)
class Kinship:
    """faces (F, 3); part (V,): what is usually of one cloth or skin, by number; twins (3, V): each
    vertex, its mirror image, the one on the far side; licence (3, V): the share of its colour that
    each may lend (no face on the back of a head).

    lends (V,): how much a vertex's colour tells of its kin. head (V,) bool. standoff_m (V,): how
    far clothes and hair usually stand off; clothed (V,): 0 on face, neck and hands, else 1. For
    `spread` the surface is cut into clans of some 18 vertices: clan (V,), likeness (C, C) of their
    colours, and each vertex's nearest clans (V, K) with shares (V, K).
    """

    faces: np.ndarray
    part: np.ndarray
    twins: np.ndarray
    licence: np.ndarray
    lends: np.ndarray
    head: np.ndarray
    standoff_m: np.ndarray
    clothed: np.ndarray
    clan: np.ndarray
    likeness: np.ndarray
    near_clans: np.ndarray
    near_shares: np.ndarray
    bridge: Bridge
    lumps: tuple[Lump, ...]

    def spread(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Values (V, D) known where weight (V,) > 0 -> smooth values (V, D) for each vertex."""
        known = np.column_stack([values * weight[:, None], weight])
        sums = np.stack([np.bincount(self.clan, column, len(self.likeness)) for column in known.T])
        clans = self.likeness @ sums.T
        clans = clans[:, :-1] / np.maximum(clans[:, -1:], 1e-30)
        return np.einsum("vk,vkd->vd", self.near_shares, clans[self.near_clans]).astype(np.float32)


@lru_cache(maxsize=4)
def kinship(model) -> Kinship:
    faces = body_faces(model)
    vertices = model.v_template.detach().cpu().numpy().astype(np.float64)
    weights = model.lbs_weights.detach().cpu().numpy()
    normals = vertex_normals(vertices, faces)
    opposite = surface(model)

    head = weights[:, SMPL_JOINTS.index("head")] > 0.5
    hands = weights[:, [SMPL_JOINTS.index(name) for name in _HANDS]].sum(axis=1) > 0.6
    _, up, front = _head_box(vertices, head).T
    face = head & (front > 0.45) & (up < _HAIRLINE) & (normals[:, 2] > -0.3)
    scalp = head & ~face
    # Where either hair or skin may show, what is seen should not colour what is not.
    doubtful = (front > 0.3) & (np.abs(up - _HAIRLINE) < 0.07)  # the brow
    doubtful |= (front > 0.3) & (front < 0.65) & (up < _HAIRLINE)  # temples, ears, jaw
    neck = ~head & (weights[:, SMPL_JOINTS.index("neck")] > 0.5)

    # Colours change along the body (collar, hem, cuff) more than around it. Skin, hair and
    # clothes are kept apart, and within the skin any piece that was seen will do.
    place = np.zeros((len(vertices), 5), dtype=np.float32)
    place[:, :3] = np.abs(vertices - [vertices[:, 0].mean(), 0, 0]) * [1, 1, 0.5]
    place[:, 1] = vertices[:, 1]
    skin = face | hands
    place[skin, :3] *= 0.05
    place[skin, 3] = _APART
    place[scalp, 4] = _APART

    standoff = np.where(scalp, _SCALP_M, np.where(skin | neck, 0.0, _CLOTHES_M))
    own = np.arange(len(vertices))
    licence = np.ones((3, len(own)))
    licence[2] = np.where(head, 0.0, _OPPOSITE_LICENCE)
    return Kinship(
        faces=faces,
        part=_parts(weights, scalp),
        twins=np.stack([own, opposite.mirror_vertex, opposite.front_back_vertex]),
        licence=licence.astype(np.float32),
        lends=np.where(head & doubtful, 0.02, 1.0).astype(np.float32),
        head=head,
        standoff_m=_smooth(standoff, faces, rounds=6).astype(np.float32),
        clothed=_smooth((~skin & ~neck).astype(np.float64), faces, rounds=4).astype(np.float32),
        bridge=bridge_of(vertices, weights),
        lumps=catalogue(vertices, weights),
        **_clans(place),
    )


def _parts(weights: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    rest = len(_PARTS)
    of_joint = [next((i for i, of in enumerate(_PARTS) if j in of), rest) for j in SMPL_JOINTS]
    return np.where(scalp, rest + 1, np.array(of_joint)[weights.argmax(axis=1)])


def _clans(place: np.ndarray) -> dict[str, np.ndarray]:
    """Farthest-point sampling in `place`, where nearness is likeness of colour."""
    centres = [0]
    nearest = np.full(len(place), np.inf)
    for _ in range(_NUM_CLANS - 1):
        nearest = np.minimum(nearest, ((place - place[centres[-1]]) ** 2).sum(axis=1))
        centres.append(int(nearest.argmax()))
    centre = place[centres]
    distance, found = (np.asarray(a) for a in KDTree(centre).query(place, k=_NEAR_CLANS))
    shares = 1.0 / (distance + 0.01) ** 2
    apart = ((centre[:, None] - centre) ** 2).sum(axis=-1)
    return {
        "clan": found[:, 0],
        "likeness": 1.0 / (apart + _CLAN_RADIUS_M**2) ** 3,
        "near_clans": found,
        "near_shares": shares / shares.sum(axis=1, keepdims=True),
    }


def _head_box(vertices: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Where each vertex is in the box around the head: 0 to 1 right to left, up, to the front."""
    low, high = vertices[head].min(axis=0), vertices[head].max(axis=0)
    return (vertices - low) / (high - low)


def _smooth(values: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    count = np.bincount(faces.ravel(), minlength=len(values))
    for _ in range(rounds):
        mean = np.repeat(values[faces].mean(axis=1), 3)
        values = np.bincount(faces.ravel(), weights=mean, minlength=len(values)) / count
    return values
