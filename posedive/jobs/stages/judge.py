"""Judge: rows with a picture -> the same rows with scores, a verdict, and the picture as JPEG."""

import json

import numpy as np
import torch

from posedive.filters.pose_estimator import PoseEstimator
from posedive.filters.rules import accept_generated, accept_identity
from posedive.jobs.agreement import load_people
from posedive.jobs.meters import StageMeter
from posedive.jobs.references import read_references
from posedive.jobs.stages.rows import Rows, column, from_png, to_jpeg
from posedive.spec.generate import Generate
from posedive.storage import open_store


class Judge:
    def __init__(self, spec_json: str):
        torch.set_num_threads(1)
        self.spec = spec = Generate.model_validate_json(spec_json)
        on_gpu = spec.resources.judge_gpus > 0 and torch.cuda.is_available()
        device = "cuda" if on_gpu else "cpu"
        self.estimator = PoseEstimator.load(spec.filter.pose_estimator, device)
        asked = spec.filter.min_identity
        self.people = None if asked is None else load_people(spec.output.uri, device)
        self.references = read_references(open_store(spec.output.uri)).confidence
        self.meter = StageMeter("judge")

    def __call__(self, rows: Rows) -> Rows:
        with self.meter.timed() as lap:
            judged = self._judged(rows)
            lap.pairs = len(rows["key"])
        return judged | {"judge_s": np.full(lap.pairs, lap.seconds / lap.pairs)}

    def _judged(self, rows: Rows) -> Rows:
        rule = self.spec.filter
        reasons = rows["reason"].tolist()
        records = [json.loads(record) for record in rows["record"]]
        jpegs = [b""] * len(reasons)
        scores: dict[int, dict[str, float]] = {}
        judged = [i for i, reason in enumerate(reasons) if not reason]
        if judged:
            pictures = np.stack([from_png(rows["picture"][i]) for i in judged])
            for i, picture, found in zip(judged, pictures, self.estimator(pictures), strict=True):
                verdict = accept_generated(
                    found,
                    np.asarray(rows["keypoints"][i]),
                    float(rows["area_px"][i]),
                    reference_confidence=self.references[records[i]["reference"]],
                    threshold=rule.generated_threshold,
                    max_confidence_difference=rule.max_confidence_difference,
                    min_oks=rule.min_oks,
                )
                scores[i] = verdict.scores
                reasons[i], jpegs[i] = verdict.reason, to_jpeg(picture)
            if self.people is not None and rule.min_identity is not None:
                cosines = self.people.cosines(pictures, [records[i]["pid"] for i in judged])
                for i, cosine in zip(judged, cosines.tolist(), strict=True):
                    verdict = accept_identity(cosine, rule.min_identity)
                    scores[i] = scores[i] | verdict.scores
                    reasons[i] = reasons[i] or verdict.reason
        for i in judged:
            records[i]["scores"] = {name: round(value, 4) for name, value in scores[i].items()}
        return rows | {
            "reason": column(reasons),
            "jpeg": column(jpegs),
            "record": column([json.dumps(record) for record in records]),
        }
