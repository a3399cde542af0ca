"""The rules: keypoints found in a picture, and those it should show -> a verdict with its reason.

The paper's (Eq. 10-13): a reference, and a target picture that a generator is trained on, count
when the mean confidence of their keypoints reaches a threshold; a generated picture counts when
its own does, and when it is not below its reference's by more than a given difference. Eq. 12
speaks of a difference of confidences; we read it as a drop, since a generated picture that is
clearer than its reference is no fault. Ours: where the keypoints are must agree with the projected
joints of the condition (COCO's object keypoint similarity), else a confident picture of another
pose would pass; and, where a job asks for it, the picture must look like its person to a network
that tells the set's people apart.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

REASONS = (
    "reference_low_confidence",
    "target_low_confidence",
    "low_confidence",
    "confidence_drop",
    "position_disagrees",
    "identity_disagrees",
)

# COCO's keypoint sigmas (Ronchi and Perona 2017), from nose to ankles; OKS uses k = 2 sigma.
SIGMAS = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float64
) / 1000  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """`reason` is "" when kept, else one of REASONS; `scores` go into the sample's record."""

    kept: bool
    reason: str = ""
    scores: dict[str, float] = field(default_factory=dict)


def mean_confidence(keypoints: Float[np.ndarray, "joints 3"]) -> float:
    """Over all joints, hidden or not: what cannot be found is not shown."""
    return float(np.mean(keypoints[:, 2], dtype=np.float64))


def oks(
    found: Float[np.ndarray, "joints 3"], expected: Float[np.ndarray, "joints 3"], area_px: float
) -> float:
    """Object keypoint similarity in [0, 1]: mean of exp(-d^2 / (2 area k^2)) over joints in frame.

    expected: x px, y px, 1 where the joint is in the frame; area_px: the body's mask. A joint
    counts by the confidence it was found with: one that hides behind the body is found anywhere,
    at a low peak, and says nothing of where the body is. 0 when no joint is in the frame.
    """
    weight = np.clip(found[:, 2], 0, None).astype(np.float64) * (expected[:, 2] > 0)
    if weight.sum() <= 0 or area_px <= 0:
        return 0.0
    squared = ((found[:, :2] - expected[:, :2]).astype(np.float64) ** 2).sum(-1)
    similarity = np.exp(-squared / (2 * area_px * (2 * SIGMAS) ** 2))
    return float((similarity * weight).sum() / weight.sum())


def pck(
    found: Float[np.ndarray, "joints 3"],
    expected: Float[np.ndarray, "joints 3"],
    body_px: float,
    share: float = 0.1,
) -> float:
    """Share of the joints in frame that are found within `share` of the body's longer side, body_px
    (Yang and Ramanan 2013); a joint that hides behind the body counts as any other. 0 when no joint
    is in the frame."""
    in_frame = expected[:, 2] > 0
    if not in_frame.any():
        return 0.0
    distance = np.linalg.norm((found - expected)[in_frame, :2], axis=1)
    return float((distance <= share * body_px).mean())


def accept_reference(confidence: float, threshold: float) -> Verdict:
    """Eq. 10: may this picture stand for its identity? `confidence` is the mean over joints."""
    return _at_least(confidence, threshold, "reference_low_confidence")


def accept_target(confidence: float, threshold: float) -> Verdict:
    """Eq. 11: may a generator be trained towards this picture?"""
    return _at_least(confidence, threshold, "target_low_confidence")


def accept_generated(
    found: Float[np.ndarray, "joints 3"],
    expected: Float[np.ndarray, "joints 3"],
    area_px: float,
    reference_confidence: float,
    threshold: float,
    max_confidence_difference: float,
    min_oks: float,
) -> Verdict:
    """Eq. 12 and 13, then position agreement; the first rule that fails is the reason."""
    confidence = mean_confidence(found)
    drop = reference_confidence - confidence
    agreement = oks(found, expected, area_px)
    scores = {
        "confidence": confidence,
        "reference_confidence": reference_confidence,
        "oks": agreement,
    }
    if confidence < threshold:
        return Verdict(False, "low_confidence", scores)
    if drop > max_confidence_difference:
        return Verdict(False, "confidence_drop", scores)
    if agreement < min_oks:
        return Verdict(False, "position_disagrees", scores)
    return Verdict(True, scores=scores)


def accept_identity(cosine: float, min_cosine: float) -> Verdict:
    """Is it still the same person? `cosine` is that of the picture's feature and the mean one of
    the person's real images."""
    kept = cosine >= min_cosine
    return Verdict(kept, "" if kept else "identity_disagrees", {"identity": cosine})


def _at_least(confidence: float, threshold: float, reason: str) -> Verdict:
    kept = confidence >= threshold
    return Verdict(kept, "" if kept else reason, {"confidence": confidence})
