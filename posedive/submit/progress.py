"""How far a submitted job is, from its own log: the last line that says progress={...}.

The log comes through the dashboard's port, so that whoever may see the job may see this, with no
access to the store.
"""

import json
import re
from typing import Any

_LINE = re.compile(r"\bprogress=(\{.*\})\s*$", re.MULTILINE)


def last_progress(log: str) -> dict[str, Any] | None:
    """None before the first shard, or for a job that tells none."""
    for found in reversed(list(_LINE.finditer(log))):
        try:
            return json.loads(found[1])
        except ValueError:  # a line cut by a rotation, or another's line written into it
            continue
    return None
