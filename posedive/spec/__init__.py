"""Job files: a YAML document in, a frozen, validated spec out; every mistake is a SpecError.

A document's `kind` picks its model from JOBS. No field reaches below `jobs/`, which unpacks it.
"""

from posedive.spec.base import Spec
from posedive.spec.generate import Generate
from posedive.spec.load import JOBS, load_job
from posedive.spec.render import Render
from posedive.spec.train import Train

Job = Render | Train | Generate

__all__ = ["JOBS", "Generate", "Job", "Render", "Spec", "Train", "load_job"]
