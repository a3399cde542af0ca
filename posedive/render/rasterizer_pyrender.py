"""The second renderer: pyrender on EGL (Mesa or a GPU's driver), drop-in for rasterizer.rasterize.

In and out as there. Each face is drawn in a colour that spells its number, and the depth buffer
is read; where on the face a pixel lies follows from the face's three corners. One surface per
process is kept and resized. pyrender is imported on first use: it needs libEGL.
"""

import os

import numpy as np
from jaxtyping import Float, Int

from posedive.render.rasterizer import NEAR_M, Raster, barycentric_weights

_FAR_M = 1000.0
_open = {}


def rasterize(
    vertices_cam: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    focal: float,
    size: tuple[int, int],
) -> Raster:
    pyrender, renderer = _renderer(size)
    width, height = size
    primitive = pyrender.Primitive(
        # GL's camera looks down -z with y up.
        positions=(vertices_cam[faces] * [1, -1, -1]).reshape(-1, 3).astype(np.float32),
        color_0=_face_colours(len(faces)),
        material=pyrender.MetallicRoughnessMaterial(doubleSided=True),
        mode=4,
    )
    scene = pyrender.Scene(bg_color=[0, 0, 0, 0])
    scene.add(pyrender.Mesh([primitive]))
    near = max(NEAR_M, 0.5 * float(vertices_cam[:, 2].min()))
    camera = pyrender.IntrinsicsCamera(
        fx=height * focal, fy=height * focal, cx=width / 2, cy=height / 2, znear=near, zfar=_FAR_M
    )
    scene.add(camera, pose=np.eye(4))
    drawn = renderer.render(scene, flags=pyrender.RenderFlags.FLAT)
    assert drawn is not None
    colour, depth = drawn
    number = colour.astype(np.int32) @ np.array([1, 256, 65536], dtype=np.int32)
    face_id = np.where(depth > 0, number, -1).astype(np.int32)
    bary = barycentric_weights(face_id, vertices_cam, faces, focal)
    return Raster(face_id, bary, np.where(face_id >= 0, depth, 0).astype(np.float32))


def _face_colours(num_faces: int) -> np.ndarray:
    number = np.repeat(np.arange(num_faces), 3)
    bytes_ = np.stack([number & 255, number >> 8 & 255, number >> 16, np.full_like(number, 255)])
    return (bytes_.T / 255.0).astype(np.float32)


def _renderer(size: tuple[int, int]):
    if "renderer" not in _open:
        os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
        if not hasattr(np, "infty"):
            setattr(np, "infty", np.inf)  # noqa: B010 - pyrender 0.1.45 was written for numpy 1
        import pyrender
        import pyrender.renderer

        # Four samples per pixel are averaged also in depth, and colours that spell numbers don't
        # survive a mean; 0 samples is GL's way to say one.
        multisample = pyrender.renderer.glRenderbufferStorageMultisample
        pyrender.renderer.glRenderbufferStorageMultisample = lambda target, samples, *rest: (
            multisample(target, 0, *rest)
        )
        _open["pyrender"] = pyrender
        _open["renderer"] = pyrender.OffscreenRenderer(*size)
    renderer = _open["renderer"]
    renderer.viewport_width, renderer.viewport_height = size
    return _open["pyrender"], renderer
