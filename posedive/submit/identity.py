"""A spec -> its name on a cluster, the same wherever and whenever it is submitted.

    posedive-generate-1f0c62d8a9b3        the first submission
    posedive-generate-1f0c62d8a9b3-2      the second, once the first has ended
The name covers the kind, what is asked and the output; not what only speeds a run up. So a second
submission of one spec is recognised, and its attempts sort.
"""

import hashlib
import json
import re

from posedive.errors import SpecError
from posedive.spec import Job
from posedive.storage import open_store

SUBMITTED_KINDS = ("generate", "train", "evaluate")


def job_name(spec: Job) -> str:
    """Letters, digits and dashes, at most 63: a name for Ray and Kubernetes alike."""
    told = json.dumps([spec.digest(), output_of(spec)])
    return f"posedive-{spec.kind}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def attempt_name(name: str, attempt: int) -> str:
    return name if attempt == 1 else f"{name}-{attempt}"


def attempt_of(submission_id: str, name: str) -> int | None:
    """Which attempt of the job `name` a submission is; None for one of another job."""
    found = re.fullmatch(re.escape(name) + r"(?:-([1-9]\d*))?", submission_id)
    return int(found[1] or 1) if found else None


def output_of(spec: Job) -> str:
    """Where a cluster is to leave the result.

    Raises SpecError for a job without Ray, and for an output that other machines can't see;
    StorageError for a URI that is none, or has credentials in it.
    """
    if spec.kind not in SUBMITTED_KINDS:
        raise SpecError(
            f"kind: expected one of {', '.join(SUBMITTED_KINDS)}, got {spec.kind}, which needs no"
            f" cluster; try posedive {spec.kind} JOB.yaml"
        )
    output = spec.output
    uri = output if isinstance(output, str) else output.uri
    open_store(uri)  # touches nothing; refuses a URI with credentials without repeating it
    if "://" not in uri and not uri.startswith("/"):
        key = "output" if isinstance(output, str) else "output.uri"
        raise SpecError(
            f"{key}: expected s3://bucket/prefix, or the absolute path of a folder that all nodes"
            f" share, got {uri!r}, which only this machine knows; try --set"
            f" {key}=s3://bucket/prefix"
        )
    return uri
