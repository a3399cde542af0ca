"""plan.json: what an output was asked to hold, written once by its first run, compared by the rest.

In: a Plan, the weights' digest, the spec (only what changes the result). Out: a JSON object
  {"format", "digest", "weights", "plan": {...}, "inputs": {...}, "spec": {...},
   "identities": [[pid, [[camid, num_images], ...]], ...]}
`digest` covers `plan`, which covers the identities by their sha256. Shards carry the same digest.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from posedive.errors import PlanMismatch, ShardError, StorageError
from posedive.shards.layout import PREFIX, Identity, Layout
from posedive.shards.plan import Plan, digest, identities_sha256
from posedive.storage import Store, open_store

NAME = "plan.json"
FORMAT = "posedive-plan/1"
MAX_DIFFERENCES = 8


def open_output(uri: str) -> Store:
    """The store of an output, given as its root or as the `shards` folder in it."""
    store = open_store(uri)
    parent, _, last = uri.rstrip("/").rpartition("/")
    if last == PREFIX.rstrip("/") and parent and not store.exists(NAME):
        above = open_store(parent)
        if above.exists(NAME):
            return above
    return store


def plan_document(plan: Plan, weights: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """plan.json for `plan`. weights: the generator's digest; spec: plain JSON values."""
    return {
        "format": FORMAT,
        "digest": plan.digest,
        "weights": weights,
        "plan": plan.description,
        "inputs": plan.inputs,
        "spec": dict(spec),
        "identities": [[one.pid, one.cameras] for one in plan.layout.identities],
    }


def open_plan(store: Store, document: Mapping[str, Any]) -> bool:
    """Makes `store` the output of this plan: True for the first run, False for one that resumes.

    Raises PlanMismatch, naming each field with its old and new value, over another plan's output.
    """
    if not store.exists(NAME) and store.list(PREFIX) and not store.exists(NAME):
        raise PlanMismatch(
            f"{store.uri}: holds {PREFIX} but no {NAME}, so nobody knows what they were planned "
            "for; choose another output, or put the file back"
        )
    encoded = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    if store.put_if_absent(NAME, encoded):
        return True
    try:
        stored = read_document(store)
    except ShardError as error:
        raise PlanMismatch(f"{error}; choose another output") from error
    differences = _differences(stored, json.loads(encoded))
    if differences:
        more = len(differences) - MAX_DIFFERENCES
        shown = differences[:MAX_DIFFERENCES] + ([f"and {more} more"] if more > 0 else [])
        raise PlanMismatch(
            f"{store.uri}: holds another plan: {'; '.join(shown)}. Choose another output, "
            "or go back to the old values to resume"
        )
    return False


def read_document(store: Store) -> dict[str, Any]:
    """plan.json of an output. Raises StorageError when there is none, ShardError for a bad one."""
    if not store.exists(NAME):
        raise StorageError(f"{store.uri}: no {NAME}; is this the output of `posedive generate`?")
    where = f"{store.uri}/{NAME}"
    try:
        document = json.loads(store.get(NAME))
    except ValueError as error:
        raise ShardError(f"{where}: expected JSON, got something else ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ShardError(f"{where}: expected format {FORMAT!r}, got another kind of file")
    if digest(document.get("plan", {})) != document.get("digest"):
        raise ShardError(f"{where}: its digest doesn't match its plan; was it edited?")
    return document


def layout_of(document: Mapping[str, Any]) -> Layout:
    """The layout that a plan.json describes. Raises ShardError when the two disagree."""
    plan = document["plan"]
    try:
        identities = tuple(
            Identity(pid, tuple((camid, count) for camid, count in cameras))
            for pid, cameras in document["identities"]
        )
        seed, per_identity = plan["seed"], plan["images_per_identity"]
        layout = Layout(seed, per_identity, plan["shards"], identities)
        agrees = identities_sha256(identities) == plan["identities"]["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError(f"{NAME}: can't be read ({type(error).__name__}: {error})") from error
    if not agrees:
        raise ShardError(f"{NAME}: its identities aren't those of its digest; was it edited?")
    return layout


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = _leaves(old), _leaves(new)
    told = []
    for name in sorted(before.keys() | after.keys()):
        if not _same(before.get(name), after.get(name)):
            told.append(f"{name} was {_shown(before, name)}, now {_shown(after, name)}")
    return told


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=1e-6)
    return old == new


def _leaves(document: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by dotted name, less what only repeats others: the digest, the identities' table."""
    found: dict[str, Any] = {}

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{name}.{key}" if name else str(key), inner)
        else:
            found[name] = value

    walk("", {name: document[name] for name in document.keys() - {"digest", "identities"}})
    return found


def _shown(leaves: Mapping[str, Any], name: str) -> str:
    if name not in leaves:
        return "absent"
    value = leaves[name]
    text = f"{value:.6g}" if isinstance(value, float) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
