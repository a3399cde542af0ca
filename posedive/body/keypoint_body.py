"""A body of which only what a skeleton needs is left: parameters -> joints, some hundred times
faster than a mesh, and the same joints.

Linear blend skinning (smplx.lbs) of 29 points instead of 6,890 vertices: SMPL's 24 joints, for
which shape is linear, and the five vertices that are COCO's nose, eyes and ears.
"""

from typing import Any

import torch
from jaxtyping import Float
from smplx import SMPL
from smplx import lbs as skinning
from torch import Tensor, nn

from posedive.body.skeleton import COCO_FROM_SMPL, SMPL_JOINTS

NUM_JOINTS, NUM_FACE = len(SMPL_JOINTS), 5
_lbs: Any = skinning.lbs  # smplx has a Tensor type of its own


class KeypointBody(nn.Module):
    """Differentiable; keeps its own few rows of the model that it is made from."""

    def __init__(self, model: SMPL):
        super().__init__()
        buffers = dict(model.named_buffers())
        regressor, faces = buffers["J_regressor"], model.vertex_joint_selector.extra_joints_idxs
        face = torch.as_tensor(faces)[:NUM_FACE]
        template, shapes = buffers["v_template"], buffers["shapedirs"]
        posedirs = buffers["posedirs"].reshape(207, -1, 3)
        still = posedirs.new_zeros(207, NUM_JOINTS, 3)  # a joint is not moved by pose correctives
        shaped = torch.einsum("jv,vdb->jdb", regressor, shapes)
        point_shapes = torch.cat([shaped, shapes[face]])
        point_posedirs = torch.cat([still, posedirs[:, face]], 1).reshape(207, -1)
        self.register_buffer("template", torch.cat([regressor @ template, template[face]])[None])
        self.register_buffer("shapedirs", point_shapes)
        self.register_buffer("posedirs", point_posedirs)
        self.register_buffer("regressor", torch.eye(NUM_JOINTS, NUM_JOINTS + NUM_FACE))
        self.register_buffer("parents", buffers["parents"])
        weights = torch.cat([torch.eye(NUM_JOINTS), buffers["lbs_weights"][face]])
        self.register_buffer("weights", weights)

    def forward(
        self, betas: Float[Tensor, "batch 10"], pose: Float[Tensor, "batch 72"]
    ) -> tuple[Float[Tensor, "batch 24 3"], Float[Tensor, "batch 17 3"]]:
        """SMPL's joints and COCO's keypoints, metres. pose: global_orient, then body_pose."""
        points, joints = _lbs(
            betas, pose, self.template, self.shapedirs, self.posedirs, self.regressor,
            self.parents, self.weights,
        )  # fmt: skip
        everything = torch.cat([joints, points[:, NUM_JOINTS:]], 1)
        return joints, everything[:, list(COCO_FROM_SMPL)]
