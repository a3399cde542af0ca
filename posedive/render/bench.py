"""How fast the renderers are on this machine, per core: `posedive bench render`.

Out: figures with their unit in the key, per second of processor time, all threads added up, so
that a busy neighbour or a second core changes little. "maps" are depth and normals of one new mesh
at 192x384; "conditions" are the whole way from parameters to depth, normals and skeleton, bodies
posed 32 at a time. pyrender's figure is None where there is no EGL.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from posedive.body.poses import pose_source
from posedive.body.smpl import faces as body_faces
from posedive.body.smpl import load_body, pose_body
from posedive.records import Body, Condition
from posedive.render import RENDERERS
from posedive.render.camera import to_camera
from posedive.render.maps import condition_fit, render_maps, shade
from posedive.render.rasterizer import vertex_normals
from posedive.render.viewpoints import PERSPECTIVE, sample_viewpoint

_SIZE = (192, 384)
_BATCH = 32


def measure(seconds: float = 3.0) -> dict[str, float | None]:
    """{zbuffer_maps_per_s, pyrender_maps_per_s, conditions_per_s}, `seconds` spent on each."""
    torch.set_num_threads(1)
    model = load_body("embedded")
    conditions = _conditions(_BATCH)
    vertices, _ = pose_body(model, [condition.body for condition in conditions])
    meshes = [
        to_camera(v, condition_fit(model, c, _SIZE, vertices=v).camera)
        for v, c in zip(vertices, conditions, strict=True)
    ]
    faces = body_faces(model)

    def maps(renderer: str) -> Callable[[int], object]:
        def one(i: int) -> object:
            mesh = meshes[i % _BATCH]
            raster = RENDERERS[renderer](mesh, faces, PERSPECTIVE, _SIZE)
            return shade(raster, faces, vertex_normals(mesh, faces))

        return one

    def batch(_: int) -> None:
        vertices, joints = pose_body(model, [condition.body for condition in conditions])
        for v, j, condition in zip(vertices, joints, conditions, strict=True):
            fit = condition_fit(model, condition, _SIZE, vertices=v)
            render_maps(model, fit, _SIZE, posed=(v, j))

    try:
        pyrender = _rate(maps("pyrender"), seconds)
    except (ImportError, AttributeError, ValueError, RuntimeError, OSError):
        pyrender = None  # how PyOpenGL says that a library or a display is missing
    return {
        "zbuffer_maps_per_s": _rate(maps("zbuffer"), seconds),
        "pyrender_maps_per_s": pyrender,
        "conditions_per_s": _BATCH * _rate(batch, seconds),
    }


def _conditions(count: int) -> list[Condition]:
    rng = np.random.default_rng(0)
    poses = pose_source("embedded")
    chosen = [poses[int(i)] for i in rng.integers(len(poses), size=count)]
    conditions = []
    for pose in chosen:
        azimuth, elevation = sample_viewpoint(rng, (0, 360), (0, 45))
        body = Body(np.zeros(10, np.float32), pose.body_pose, pose.global_orient)
        conditions.append(Condition(body, azimuth, elevation, PERSPECTIVE, pose.name))
    return conditions


def _rate(once: Callable[[int], object], seconds: float) -> float:
    """Calls per second of processor time, after one call that compiles."""
    once(0)
    calls, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        once(calls)
        calls += 1
    return calls / (time.process_time() - start)
