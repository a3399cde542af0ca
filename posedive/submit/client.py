"""Submits a spec to a Ray cluster, once, and looks after it: follow, status, logs, stop.

A job is found again by its name (`identity`). While an attempt of it runs, submitting says so and
joins it; once that has ended, submitting starts the next attempt, which resumes. All calls raise
ClusterError where there is no such cluster or job.
"""

import asyncio
import logging
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.job_submission import JobDetails, JobSubmissionClient

from posedive.errors import ClusterError
from posedive.spec import Job
from posedive.submit.environment import entrypoint, runtime_env
from posedive.submit.identity import attempt_name, attempt_of, job_name, output_of
from posedive.submit.progress import last_progress

log = logging.getLogger(__name__)
# Ray's supervisor sends SIGTERM, then waits RAY_JOB_STOP_WAIT_TIME_S (cluster/ sets 30) to SIGKILL.
STOP_PATIENCE_S = 45.0
POLL_S = 0.5
SIGNALLED = 128  # a shell's: exit code of a process that a signal ended is this and its number


def connect(address: str) -> JobSubmissionClient:
    """address: the dashboard's, as in http://127.0.0.1:8265."""
    if not re.match(r"https?://|ray://|auto$", address):
        raise ClusterError(
            f"--address: expected the dashboard's, as http://127.0.0.1:8265, got {address!r}"
        )
    try:
        return JobSubmissionClient(address)
    except ConnectionError:
        raise ClusterError(
            f"{address}: no Ray dashboard answers; is the cluster up, and its port 8265 forwarded?"
        ) from None
    except RuntimeError as error:
        raise ClusterError(f"{address}: {_first_line(error)}") from None


def submit(
    spec: Job,
    address: str,
    constraints: Path | None = None,
    follow: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Starts the job, or joins the attempt of it that runs.

    follow: is given the job's log as it is written, until the job ends; the result then has its
    exit code.
    """
    output, name = output_of(spec), job_name(spec)
    client = connect(address)
    attempts = attempts_of(client, name)
    running = bool(attempts) and not attempts[-1].status.is_terminal()
    if running:
        submission_id = str(attempts[-1].submission_id)
    else:
        last = attempts[-1].submission_id if attempts else None
        submission_id = attempt_name(name, (attempt_of(last, name) or 0) + 1 if last else 1)
        running = not _start(client, spec, submission_id, constraints, output)
    if running:
        log.info("already running job=%s; nothing was submitted", submission_id)
    told = {"job": submission_id, "already_running": running, "output": output}
    if follow is None:
        return told | {"status": str(client.get_job_status(submission_id))}
    try:
        asyncio.run(_tail(client, submission_id, follow))
    except RuntimeError as error:
        log.warning("the log broke off because=%s; waiting for the job", _first_line(error))
    return told | _ended(client, submission_id)


def status(submission_id: str, address: str) -> dict[str, Any]:
    """State, times, and how far the job is. submission_id: an attempt's, or the job's name for its
    last one."""
    client = connect(address)
    job = _find(client, submission_id)
    told: dict[str, Any] = {
        "job": job.submission_id,
        "status": job.status.value,
        "output": (job.metadata or {}).get("output"),
        "seconds": _seconds(job),
        "exit_code": None if job.driver_exit_code is None else _exit_code(job),
    }
    progress = last_progress(client.get_job_logs(str(job.submission_id)))
    return told | {"progress": progress}


def logs(submission_id: str, address: str) -> str:
    client = connect(address)
    return client.get_job_logs(str(_find(client, submission_id).submission_id))


def stop(submission_id: str, address: str) -> dict[str, Any]:
    """Asks the driver to end (SIGTERM), and waits until it has. What is committed stays."""
    client = connect(address)
    found = str(_find(client, submission_id).submission_id)
    client.stop_job(found)
    begun = time.monotonic()
    while not (state := client.get_job_status(found)).is_terminal():
        if time.monotonic() - begun > STOP_PATIENCE_S:
            raise ClusterError(
                f"{found}: still {state.value} {STOP_PATIENCE_S:.0f} s after it was told to stop;"
                " look at `posedive logs`, and stop it again"
            )
        time.sleep(POLL_S)
    return {"job": found, "status": state.value, "seconds": round(time.monotonic() - begun, 1)}


def attempts_of(client: JobSubmissionClient, name: str) -> list[JobDetails]:
    """The submissions of the job `name`, first to last."""
    found = []
    for job in client.list_jobs():
        attempt = attempt_of(job.submission_id or "", name)
        if attempt is not None:
            found.append((attempt, job))
    return [job for _, job in sorted(found, key=lambda pair: pair[0])]


def _start(
    client: JobSubmissionClient, spec: Job, name: str, constraints: Path | None, output: str
) -> bool:
    """False where another submitter of the same spec was a moment faster."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            client.submit_job(
                entrypoint=entrypoint(spec),
                submission_id=name,
                runtime_env=runtime_env(spec, Path(folder), constraints),
                metadata={"output": output, "digest": spec.digest()},
            )
        except RuntimeError as error:
            if "already exists" in str(error):
                return False
            raise ClusterError(f"{name}: refused by the cluster: {_first_line(error)}") from None
    return True


async def _tail(client: JobSubmissionClient, name: str, write: Callable[[str], None]) -> None:
    async for lines in client.tail_job_logs(name):
        write(lines)


def _ended(client: JobSubmissionClient, submission_id: str) -> dict[str, Any]:
    # The log can end before Ray knows that the job has.
    while not client.get_job_status(submission_id).is_terminal():
        time.sleep(POLL_S)
    job = client.get_job_info(submission_id)
    return {"status": job.status.value, "exit_code": _exit_code(job)}


def _exit_code(job: JobDetails) -> int:
    """The driver's own; 1 where it never started or was stopped."""
    code = job.driver_exit_code
    if code is None:
        return 0 if job.status.value == "SUCCEEDED" else 1
    return code if code >= 0 else SIGNALLED - code


def _find(client: JobSubmissionClient, submission_id: str) -> JobDetails:
    attempts = attempts_of(client, submission_id)
    if not attempts:
        known = [str(job.submission_id) for job in client.list_jobs() if job.submission_id]
        raise ClusterError(
            f"{submission_id}: no such job on this cluster; the last of its jobs are "
            f"{', '.join(known[-5:]) or 'none'}"
        )
    return attempts[-1]


def _seconds(job: JobDetails) -> float:
    if not job.start_time:
        return 0.0
    return round((job.end_time or time.time() * 1000) / 1000 - job.start_time / 1000, 1)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
