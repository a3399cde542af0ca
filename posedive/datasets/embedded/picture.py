"""One picture before the camera spoils it: a dressed body, a fit and a place -> linear RGB.

The person is rasterised at twice the size and averaged down; the background at the size itself.
"""

import cv2
import numpy as np

from posedive.datasets.embedded.cameras import Place
from posedive.datasets.embedded.materials import BAG, CAP, HAIR, KIND, SKIRT
from posedive.datasets.embedded.outfit import Outfit
from posedive.datasets.embedded.scene import draw_background
from posedive.datasets.embedded.shading import darken_ground, shade, shadow_map
from posedive.datasets.embedded.wardrobe import (
    HANGING_JOINT,
    hanging_transform,
    joint_transforms,
    load_wardrobe,
    skin,
)
from posedive.records import PARTS, Fit
from posedive.render.camera import to_camera
from posedive.render.rasterizer import rasterize, vertex_normals

SUPERSAMPLING = 2
LEFT_FOOT, RIGHT_FOOT = (7, 10), (8, 11)
SPINE3 = 9


def draw_person(
    outfit: Outfit,
    parents: tuple[int, ...],
    fit: Fit,
    place: Place,
    stand: np.ndarray,
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W, 3) float32 radiance; (H, W) float32 the person's share of each pixel; (2H, 2W) the
    number of the outfit's face that each quarter of it shows, -1: none.

    `stand` (2,) is where in the place the person stands: added to (x, z).
    """
    transforms = joint_transforms(fit.body, outfit.joints, parents)
    vertices = skin(outfit.rest, outfit.weights, transforms)
    carried = outfit.weights[:, HANGING_JOINT] > 0
    if carried.any():
        ground_y = float(vertices[~carried, 1].min())
        bag = hanging_transform(transforms, outfit.joints, ground_y)
        vertices[carried] = outfit.rest[carried] @ bag[:, :3].T + bag[:, 3]
    joints = np.einsum("jik,jk->ji", transforms[:, :, :3], outfit.joints) + transforms[:, :, 3]
    rotation, translation = fit.camera.rotation, fit.camera.translation
    focal = fit.camera.focal
    width, height = size
    large = (width * SUPERSAMPLING, height * SUPERSAMPLING)
    raster = rasterize(to_camera(vertices, fit.camera), outfit.faces, focal, large)

    # The place's frame: x as in the picture, y up, z away from the camera, on the ground below
    # the person.
    ahead = np.array([rotation[2, 0], 0.0, rotation[2, 2]])
    if np.linalg.norm(ahead) < 1e-6:  # straight down: the picture's up is ahead
        ahead = -np.array([rotation[1, 0], 0.0, rotation[1, 2]])
    ahead /= np.linalg.norm(ahead)
    axes = np.stack([np.cross(ahead, [0.0, 1.0, 0.0]), [0.0, 1.0, 0.0], ahead])
    origin = np.array([joints[0, 0], vertices[:, 1].min(), joints[0, 2]])
    placed = ((vertices - origin) @ axes.T).astype(np.float32)
    # Found in the world: the place's frame is left-handed, which would turn them inside out.
    normals = (vertex_normals(vertices, outfit.faces) @ axes.T).astype(np.float32)
    feet = (joints[[*LEFT_FOOT, *RIGHT_FOOT, 0]] - origin) @ axes.T
    eye = (-rotation.T @ translation - origin) @ axes.T

    shadows = shadow_map(placed, outfit.faces, place.sun_direction)
    distance = float(translation[2])
    person = shade(
        raster, outfit.faces, placed, normals, outfit.canonical,
        outfit.face_material, outfit.materials, load_wardrobe().marks, shadows, eye,
        (place.sun_direction, place.sun, place.sky, place.bounce),
        metre_px=large[1] * focal / max(distance, 0.5),
    )  # fmt: skip
    rows = rotation @ axes.T
    behind = float(
        (rotation @ np.array([joints[0, 0], joints[0, 1], joints[0, 2]]) + translation)[2]
    )
    image, ground = draw_background(
        width, height, focal, rows, eye, np.asarray(stand, np.float64), place.scene, place.blocks,
        place.sun_direction, place.sun, place.sky, behind,
    )  # fmt: skip
    darken_ground(
        image, ground, shadows.depth, shadows.rows, shadows.centre, shadows.focal, place.sun,
        place.sun_direction[1], place.sky, feet, 1,
    )  # fmt: skip
    coverage = cv2.resize(raster.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    person = cv2.resize(person, size, interpolation=cv2.INTER_AREA)
    return person + (1 - coverage[..., None]) * image, coverage, raster.face_id


def parts_of(outfit: Outfit, face_id: np.ndarray) -> np.ndarray:
    """(H, W) uint8: what most of each pixel shows, by number in records.PARTS, from draw_person's
    faces."""
    named = {SKIRT: "skirt", HAIR: "hair", CAP: "hat", BAG: "bag"}
    of_kind = np.array([PARTS.index(named.get(kind, "body")) for kind in range(CAP + 1)])
    of_face = of_kind[outfit.materials[outfit.face_material, KIND].astype(int)]
    # A hood that hangs at the back is of a hat's material.
    at_back = outfit.weights[outfit.faces[:, 0], SPINE3] > 0.5
    of_face[at_back & (of_face == PARTS.index("hat"))] = PARTS.index("body")
    seen = np.where(face_id >= 0, of_face[face_id], 0)
    height, width = (n // SUPERSAMPLING for n in face_id.shape)
    blocks = seen.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING)
    counts = np.stack([(blocks == part).sum(axis=(1, 3)) for part in range(len(PARTS))])
    return counts.argmax(axis=0).astype(np.uint8)
