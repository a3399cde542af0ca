"""The filter: a picture and what it should show -> kept, or rejected with a reason.

ESTIMATORS: pose estimators shipped with the package, by the name a spec gives. Any other name is a
folder or a hub repository that transformers' VitPoseForPoseEstimation loads.
"""

from pathlib import Path

ESTIMATORS = {"embedded": Path(__file__).parent / "assets" / "pose_estimator"}
