"""Everything that posedive raises on purpose.

PosediveError
├── RequestError          exit code 2: the request was wrong; nothing was done
│   ├── SpecError         a job file: unknown key, wrong type, wrong value
│   ├── DatasetError      a root that is missing or is not what it is said to be
│   ├── BodyError         a body model or pose file that can't be read, or would run code
│   ├── WeightsError      a generator or estimator checkpoint that is missing or of another kind
│   ├── StorageError      a store that can't be reached, written, or trusted with conditional PUT
│   ├── ClusterError      a Ray cluster that can't be reached, or has no such job
│   └── PlanMismatch      the output holds another plan
└── RunError              exit code 1: the work began, and the data or the run fell short
    └── ShardError        a shard whose bytes are not what its manifest says

A message says what, where, expected, got, and what to do.
"""


class PosediveError(Exception):
    """Base of the tree; `exit_code` is what the command line ends with."""

    exit_code = 1


class RequestError(PosediveError):
    exit_code = 2


class SpecError(RequestError):
    pass


class DatasetError(RequestError):
    pass


class BodyError(RequestError):
    pass


class WeightsError(RequestError):
    pass


class StorageError(RequestError):
    pass


class ClusterError(RequestError):
    pass


class PlanMismatch(RequestError):  # noqa: N818 - it names an outcome, as FileExistsError's kin do
    pass


class RunError(PosediveError):
    pass


class ShardError(RunError):
    pass
