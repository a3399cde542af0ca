"""`posedive render`: a few conditions of a pose source and viewpoint ranges -> a contact sheet."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from posedive.body.poses import pose_source
from posedive.body.smpl import load_body
from posedive.jobs.sources import focal_of
from posedive.records import Body, Condition
from posedive.render.contact_sheet import contact_sheet
from posedive.render.viewpoints import sample_viewpoint
from posedive.spec.render import Render


def run(spec: Render) -> dict[str, Any]:
    """Draws `count` conditions; returns {"conditions", "output"}."""
    model, poses = load_body(spec.body), pose_source(spec.poses)
    rng = np.random.default_rng(spec.seed)
    conditions = []
    for _ in range(spec.count):
        pose = poses[int(rng.integers(len(poses)))]
        azimuth, elevation = sample_viewpoint(
            rng, spec.viewpoints.azimuth_deg, spec.viewpoints.elevation_deg
        )
        betas = rng.standard_normal(10).astype(np.float32)
        body = Body(betas, pose.body_pose, pose.global_orient)
        conditions.append(Condition(body, azimuth, elevation, focal_of(spec.viewpoints), pose.name))
    sheet = contact_sheet(model, conditions, spec.size, spec.renderer)
    path = Path(spec.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)
    return {"conditions": len(conditions), "output": str(path)}
