"""The names that job files may use are those of the tables below; spec itself imports none."""

import typing

from posedive.body.poses import POSE_SOURCES
from posedive.datasets import DATASETS
from posedive.diffusion.config import CONDITION_CHANNELS
from posedive.diffusion.sampler import SAMPLERS
from posedive.render import RENDERERS
from posedive.spec import Render, parts
from posedive.spec.generate import Generator
from posedive.spec.train import ConditionName


def names_of(literal) -> set[str]:
    return set(typing.get_args(literal))


def test_names_in_specs_are_the_keys_of_the_tables():
    assert names_of(parts.Dataset.model_fields["name"].annotation) == set(DATASETS)
    assert names_of(Render.model_fields["renderer"].annotation) == set(RENDERERS)
    assert names_of(ConditionName) == set(CONDITION_CHANNELS)
    assert names_of(Generator.model_fields["sampler"].annotation) == set(SAMPLERS)


def test_pose_sources_in_specs_are_those_of_the_body():
    folders = {prefix.removesuffix(":") for prefix in parts.POSE_FOLDERS}
    assert set(parts.POSE_SOURCES) | folders == set(POSE_SOURCES)
