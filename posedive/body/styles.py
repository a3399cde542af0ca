"""Ways of walking and standing, made from one recorded walking cycle: a pure function.

The embedded walk is one person's. People in a street also stroll, stand, lean, look aside, hold
a phone, keep hands in pockets: each Style below is one such manner.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from posedive.body.skeleton import MIRROR_SMPL

# Upper arm and forearm of a left arm: x outwards, y up, z forwards, in the chest's frame.
ARMS = {
    "hanging": ((0.16, -1.0, 0.0), (0.08, -1.0, 0.22)),
    "phone": ((0.10, -1.0, 0.15), (-0.35, 0.30, 0.85)),
    "call": ((0.45, -0.65, 0.60), (-0.42, 0.90, -0.25)),
    "pocket": ((0.38, -0.90, -0.22), (-0.10, -0.90, 0.38)),
    "strap": ((0.22, -0.95, 0.10), (-0.50, 0.70, 0.50)),
    "carrying": ((0.15, -1.0, 0.05), (-0.20, -0.05, 1.0)),
    "behind": ((0.25, -0.90, -0.30), (-0.55, -0.60, -0.30)),
}
_LEGS = [1, 2, 4, 5, 7, 8]
_SPINE = [3, 6, 9]
_NECK = [12, 15]
_LEFT_ARM, _RIGHT_ARM = [16, 18], [17, 19]  # shoulder, elbow


class Style(NamedTuple):
    """Swings are factors on the recorded ones; `stand` 1 is a still stance; arms name ARMS."""

    arm_swing: float = 1.0
    stride: float = 1.0
    stand: float = 0.0
    lean_deg: float = 0.0
    look_left_deg: float = 0.0
    look_down_deg: float = 0.0
    left_arm: str | None = None
    right_arm: str | None = None
    mirrored: bool = False
    every: int = 3


STYLES = {
    "walk": Style(every=1),
    "walk-mirrored": Style(mirrored=True, every=2),
    "walk-brisk": Style(arm_swing=1.6, stride=1.2, lean_deg=4),
    "walk-slow": Style(arm_swing=0.6, stride=0.7, stand=0.15),
    "stroll": Style(arm_swing=0.4, stride=0.5, stand=0.2, look_left_deg=25),
    "walk-leaning": Style(lean_deg=10, look_down_deg=8),
    "walk-upright": Style(lean_deg=-5, arm_swing=1.2),
    "walk-looking-right": Style(look_left_deg=-40, arm_swing=0.8),
    "walk-phone": Style(right_arm="phone", look_down_deg=18, stride=0.85),
    "walk-phone-left": Style(left_arm="phone", look_down_deg=18, mirrored=True),
    "walk-call": Style(right_arm="call", look_left_deg=8, stride=0.9),
    "walk-pockets": Style(left_arm="pocket", right_arm="pocket", stride=0.9, lean_deg=3),
    "walk-pocket-left": Style(left_arm="pocket", mirrored=True),
    "walk-strap": Style(left_arm="strap"),
    "walk-carrying": Style(left_arm="carrying", right_arm="carrying", lean_deg=-3, stride=0.9),
    "stroll-behind": Style(left_arm="behind", right_arm="behind", stride=0.55, stand=0.2),
    "stand": Style(stand=0.9, every=8),
    "stand-weight-left": Style(stand=0.6, stride=0.5, look_left_deg=20, every=8),
    "stand-phone": Style(stand=0.9, left_arm="phone", look_down_deg=22, every=8),
    "stand-pockets": Style(stand=0.8, left_arm="pocket", right_arm="pocket", every=8),
    "stand-call": Style(stand=0.85, left_arm="call", look_left_deg=-15, every=8),
}


def in_style(body_pose: Float[np.ndarray, "frames 69"], style: Style) -> np.ndarray:
    """The recorded cycle (N, 69), walked in a style: (N / every, 69), float32."""
    poses = np.concatenate([np.zeros((len(body_pose), 1, 3)), body_pose.reshape(-1, 23, 3)], axis=1)
    if style.mirrored:
        # A reflection in x turns an axis-angle (a, b, c) into (a, -b, -c).
        poses = poses[:, MIRROR_SMPL] * (1.0, -1.0, -1.0)
    middle = poses.mean(0)
    for joints, swing in ((_LEGS, style.stride), (_LEFT_ARM + _RIGHT_ARM, style.arm_swing)):
        poses[:, joints] = middle[joints] + swing * (poses[:, joints] - middle[joints])
    poses = (1 - style.stand) * poses + style.stand * _standing()
    for arm, joints, side in (
        (style.left_arm, _LEFT_ARM, 1),
        (style.right_arm, _RIGHT_ARM, -1),
    ):
        if arm is not None:
            # A hand that holds something still moves a little with the walk.
            held = _arm(*ARMS[arm], side)
            poses[:, joints] = held + 0.15 * (poses[:, joints] - middle[joints])
    poses[:, _SPINE, 0] += np.radians(style.lean_deg) / len(_SPINE)
    poses[:, _NECK, 0] += np.radians(style.look_down_deg) / len(_NECK)
    poses[:, _NECK, 1] += np.radians(style.look_left_deg) / len(_NECK)
    return poses[:: style.every, 1:].reshape(-1, 69).astype(np.float32)


def _standing() -> np.ndarray:
    pose = np.zeros((24, 3))
    pose[_LEFT_ARM] = _arm(*ARMS["hanging"], 1)
    pose[_RIGHT_ARM] = _arm(*ARMS["hanging"], -1)
    return pose


def _arm(upper: tuple, fore: tuple, side: int) -> np.ndarray:
    """Shoulder and elbow, axis-angle (2, 3): from the T, palm to the thigh, to two directions."""
    flip = np.array([side, 1.0, 1.0])
    hanging = Rotation.from_rotvec([0.0, 0.0, -side * np.pi / 2])
    down = np.array([0.0, -1.0, 0.0])
    upper_to, fore_to = np.array(upper) * flip, np.array(fore) * flip
    shoulder = _turn(down, upper_to) * hanging
    elbow = shoulder.inv() * _turn(upper_to, fore_to) * shoulder
    return np.stack([shoulder.as_rotvec(), elbow.as_rotvec()])


def _turn(a: np.ndarray, b: np.ndarray) -> Rotation:
    """The smallest rotation from direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine = float(np.linalg.norm(axis))
    return Rotation.from_rotvec(axis / max(sine, 1e-12) * np.arctan2(sine, a @ b))
