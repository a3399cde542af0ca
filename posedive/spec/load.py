"""A job file and its overrides -> a spec. YAML is read by the safe loader; keys may not repeat."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from posedive.errors import SpecError
from posedive.spec.evaluate import Evaluate
from posedive.spec.fit import Fit
from posedive.spec.generate import Generate
from posedive.spec.messages import explain, nearest
from posedive.spec.reid_table import ReidTable
from posedive.spec.render import Render
from posedive.spec.split import Split
from posedive.spec.train import Train

Job = Render | Fit | Train | Generate | Evaluate | ReidTable | Split
# The model of each kind; where a kind goes on by `what`, the models of these.
JOBS: dict[str, type[Job] | dict[str, type[Job]]] = {
    "render": Render,
    "fit": Fit,
    "train": Train,
    "generate": Generate,
    "evaluate": {"generator": Evaluate, "reid": ReidTable},
    "split": Split,
}

T = TypeVar("T")
log = logging.getLogger(__name__)


def load_job(path: str | Path, overrides: Sequence[str] = ()) -> Job:
    """The spec in the file at `path`, after overrides like 'generator.steps=4' (values in YAML).
    Raises SpecError with the file, the line and the key path of each mistake."""
    root = _compose(Path(path))
    document = _construct(root, Path(path))
    places = {key_path: f"{path}:{line}" for key_path, line in _lines(root)}
    for override in overrides:
        key_path = _override(document, override)
        places[key_path] = f"--set {override}"
    model = _chosen(JOBS, "kind", path, places, document)
    if isinstance(model, dict):
        model = _chosen(model, "what", path, places, document)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SpecError(explain(error, model, places, str(path))) from None


def _compose(path: Path) -> yaml.MappingNode:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such job file; see jobs/ for examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: can't be read as a text file: {error}") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SpecError(_syntax(path, error)) from None
    if not isinstance(root, yaml.MappingNode):
        got = "an empty file" if root is None else f"a {root.id}"
        raise SpecError(f"{path}: expected a mapping that begins with kind: ..., got {got}")
    return root


def _construct(root: yaml.MappingNode, path: Path) -> dict[str, Any]:
    # The node's own constructor, so that positions and values come from one parse.
    loader = yaml.SafeLoader("")
    try:
        _refuse_repeated_keys(root, path, ())
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        raise SpecError(_syntax(path, error)) from None
    finally:
        loader.dispose()


def _syntax(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}"
    if isinstance(error, yaml.constructor.ConstructorError):
        return f"{where}: {problem}; a job file holds plain YAML values only"
    return f"{where}: no valid YAML: {problem}"


def _refuse_repeated_keys(node: yaml.Node, path: Path, above: tuple[str, ...]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, path, above)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in seen:
            dotted = ".".join((*above, name))
            raise SpecError(f"{path}:{line}: {dotted} is given twice, first in line {seen[name]}")
        seen[name] = line
        _refuse_repeated_keys(value, path, (*above, name))


def _lines(node: yaml.Node, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """Key paths of a document with the line of each key."""
    if isinstance(node, yaml.SequenceNode):
        items = ((str(i), item, item) for i, item in enumerate(node.value))
    elif isinstance(node, yaml.MappingNode):
        items = ((str(key.value), key, value) for key, value in node.value)
    else:
        return []
    lines = []
    for name, key, value in items:
        lines.append(((*above, name), key.start_mark.line + 1))
        lines.extend(_lines(value, (*above, name)))
    return lines


def _override(document: dict[str, Any], override: str) -> tuple[str, ...]:
    """Sets one field of the document in place; returns its key path."""
    dotted, equals, text = override.partition("=")
    keys = tuple(dotted.strip().split("."))
    if not equals or not all(keys):
        raise SpecError(f"--set {override}: expected key.path=value, as in generator.steps=4")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(_syntax(Path(f"--set {override}"), error)) from None
    node = document
    for depth, key in enumerate(keys[:-1]):
        if node.get(key) is None:
            node[key] = {}
        if not isinstance(node[key], dict):
            above = ".".join(keys[: depth + 1])
            raise SpecError(f"--set {override}: {above} is {node[key]!r} and holds no keys")
        node = node[key]
    node[keys[-1]] = value
    return keys


def _chosen(table: Mapping[str, T], key: str, path: str | Path, places: dict, document: dict) -> T:
    """The table's entry that the document's `key` names."""
    name = document.get(key)
    if isinstance(name, str) and name in table:
        return table[name]
    if key not in document:
        hint = nearest(key, document)
        raise SpecError(
            f"{path}: {key} is missing; expected {key}: {' | '.join(table)}"
            + (f"; is {hint} a slip?" if hint else "")
        )
    guess = nearest(str(name), table)
    raise SpecError(
        f"{places[(key,)]}: {key}: expected one of {', '.join(table)}, got {name!r}"
        + (f"; did you mean {guess}?" if guess else "")
    )
