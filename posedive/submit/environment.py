"""What travels with a submitted job: its file, S3's address, and on request the package itself.

    job.yaml           the spec with its overrides, resolved; the working directory
    env_vars           where S3 is (ADDRESS_VARIABLES), never who asks: keys and tokens stay off
    py_modules, pip    with a constraints file: this package, and its dependencies as pinned there
Ray keeps a runtime environment in clear and shows it to whoever opens the dashboard, so credentials
are the cluster's own affair: a Kubernetes secret, an instance's role.
"""

import os
import re
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import posedive
from posedive.errors import SpecError
from posedive.spec import Job

JOB_FILE, CONSTRAINTS_FILE = "job.yaml", "constraints.txt"
ADDRESS_VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


def job_yaml(spec: Job) -> str:
    """The whole spec as a job file; `load_job` reads it back."""
    return yaml.safe_dump(spec.document(), sort_keys=False, allow_unicode=True)


def entrypoint(spec: Job, path: str = JOB_FILE) -> str:
    return f"python -m posedive {spec.kind} {path} --json"


def address_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of ADDRESS_VARIABLES that are set. Raises SpecError for an address with a password."""
    found = {name: environ[name] for name in ADDRESS_VARIABLES if environ.get(name)}
    for name, value in found.items():
        if "@" in urlsplit(value).netloc or "@" in value:
            raise SpecError(f"{name}: expected an address without user and password in it")
    return found


def runtime_env(spec: Job, folder: Path, constraints: Path | None = None) -> dict[str, Any]:
    """Ray's runtime environment for the job; `folder`, empty, becomes its working directory.

    constraints: pins for pip where the cluster's image lacks posedive; None where it has it.
    """
    (folder / JOB_FILE).write_text(job_yaml(spec), encoding="utf-8")
    told: dict[str, Any] = {
        "working_dir": str(folder),
        "env_vars": address_variables(os.environ),
    }
    if constraints is None:
        return told
    if not constraints.is_file():
        raise SpecError(f"--install {constraints}: no such file; expected pip's constraints")
    shutil.copyfile(constraints, folder / CONSTRAINTS_FILE)
    return told | {
        "py_modules": [str(Path(posedive.__file__).parent)],
        "pip": [
            # pip itself replaces the variable, which Ray sets to where the folder was unpacked
            f"--constraint ${{RAY_RUNTIME_ENV_CREATE_WORKING_DIR}}/{CONSTRAINTS_FILE}",
            *dependencies(),
        ],
    }


def dependencies() -> list[str]:
    """Of the installed package, less its extras and less Ray, which is the cluster's."""
    try:
        listed = requires("posedive") or []
    except PackageNotFoundError:
        raise SpecError("--install needs posedive installed here: pip install -e .") from None
    needed = [line for line in listed if "extra ==" not in line]
    return [line for line in needed if not re.match(r"ray\b", line)]
