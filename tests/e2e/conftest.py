"""A generate job small enough for a test, on the embedded parts and a real local Ray."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from posedive.spec import load_job
from posedive.spec.generate import Generate

SMALL: dict[str, Any] = {
    "kind": "generate",
    "dataset": {"name": "embedded", "seed": 7, "identities": 4},
    "generator": {"steps": 2, "batch_size": 4},
    "images_per_identity": 4,
    "output": {"min_shards": 4},
}


class Job:
    """A spec file in a folder; `spec(a.b=c)` reads it with overrides."""

    def __init__(self, folder: Path, uri: str):
        document = copy.deepcopy(SMALL)
        document["output"]["uri"] = uri
        self.path = folder / "small.yaml"
        self.path.write_text(yaml.safe_dump(document))

    def spec(self, **overrides: object) -> Generate:
        pairs = [f"{key.replace('__', '.')}={value}" for key, value in overrides.items()]
        spec = load_job(self.path, pairs)
        assert isinstance(spec, Generate)
        return spec


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, str(tmp_path / "out"))


@pytest.fixture
def fresh_ray() -> Iterator[None]:
    """Workers have the environment that Ray was started in: a test that changes it starts anew."""
    ray.shutdown()
    yield
    ray.shutdown()
