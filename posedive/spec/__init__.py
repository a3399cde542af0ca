"""Job files: a YAML document in, a frozen, validated spec out; every mistake is a SpecError.

A document's `kind`, and an evaluation's `what`, pick its model from JOBS. No field reaches below
`jobs/`, which unpacks it.
"""

from posedive.spec.base import Spec
from posedive.spec.evaluate import Evaluate
from posedive.spec.fit import Fit
from posedive.spec.generate import Generate
from posedive.spec.load import JOBS, Job, load_job
from posedive.spec.reid_table import ReidTable
from posedive.spec.render import Render
from posedive.spec.split import Split
from posedive.spec.train import Train

__all__ = [
    "JOBS",
    "Evaluate",
    "Fit",
    "Generate",
    "Job",
    "ReidTable",
    "Render",
    "Spec",
    "Split",
    "Train",
    "load_job",
]
