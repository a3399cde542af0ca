"""Pydantic's errors -> messages in our own style: where, key path, expected, got, what it is for.

One line per mistake, in the order of the file: `jobs/demo.yaml:9: generator.steps: expected a
whole number > 0, got 'eight' (denoising steps per image)`.
"""

import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

KeyPath = tuple[str, ...]

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of"}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely a slip of, or None."""
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def explain(
    error: ValidationError, model: type[BaseModel], places: Mapping[KeyPath, str], source: str
) -> str:
    """All mistakes of a document, one a line. `places` tells where each key path was written."""
    lines: dict[KeyPath, str] = {}
    for mistake in error.errors(include_url=False):
        path, field, owner = _locate(model, mistake["loc"])
        # A union reports once per member; the field's own words cover them all.
        if path not in lines:
            place = _place(path, places, source)
            lines[path] = f"{place}: {_describe(mistake, path, field, owner)}"
    return "\n".join(lines.values())


def _locate(
    model: type[BaseModel], loc: tuple[int | str, ...]
) -> tuple[KeyPath, FieldInfo | None, type[BaseModel]]:
    """Key path, field and owning model of a pydantic location, less its names of union members."""
    path: list[str] = []
    owner: type[BaseModel] = model
    field: FieldInfo | None = None
    for part in loc:
        if isinstance(part, int):
            path.append(str(part))
            continue
        inner = _model_in(field.annotation) if field else owner
        if inner is None:
            break  # a union member's name, or a key of a free mapping
        owner = inner
        path.append(part)
        field = owner.model_fields.get(part)
        if field is None:
            break  # an unknown key
    return tuple(path), field, owner


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _place(path: KeyPath, places: Mapping[KeyPath, str], source: str) -> str:
    for depth in range(len(path), 0, -1):
        if path[:depth] in places:
            return places[path[:depth]]
    return source


def _describe(mistake: Any, path: KeyPath, field: FieldInfo | None, owner: type[BaseModel]) -> str:
    dotted = ".".join(path)
    why = f" ({field.description})" if field and field.description else ""
    if mistake["type"] == "extra_forbidden":
        guess = nearest(path[-1], owner.model_fields)
        known = ", ".join(owner.model_fields)
        return f"{dotted}: unknown key; " + (
            f"did you mean {guess}?" if guess else f"known here: {known}"
        )
    if mistake["type"] == "missing":
        return f"{dotted}: missing; expected {_expected(field, path)}{why}"
    if mistake["type"] == "value_error":
        message = str(mistake["ctx"]["error"])
        return f"{dotted}: {message}" if dotted else message
    got = mistake["input"]
    guess = nearest(got, _choices(field)) if isinstance(got, str) else None
    did_you_mean = f"; did you mean {guess}?" if guess else ""
    return f"{dotted}: expected {_expected(field, path)}, got {got!r}{did_you_mean}{why}"


def _choices(field: FieldInfo | None) -> list[str]:
    if field is None:
        return []
    found: list[str] = []
    todo = [field.annotation]
    while todo:
        annotation = todo.pop()
        if get_origin(annotation) is Literal:
            found.extend(str(value) for value in get_args(annotation))
        else:
            todo.extend(get_args(annotation))
    return found


def _expected(field: FieldInfo | None, path: KeyPath) -> str:
    if field is None:
        return "another value"
    if path[-1].isdigit() and get_origin(field.annotation) is tuple:
        return _in_words(get_args(field.annotation)[0])
    return _in_words(field.annotation, field.metadata)


def _in_words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [m for each in args[1:] for m in getattr(each, "metadata", [each])]
        return _in_words(args[0], [*inner, *metadata])
    if origin in (Union, types.UnionType):
        # The bounds of `float | None` belong to the number.
        return " or ".join(_in_words(each, () if each is type(None) else metadata) for each in args)
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(str(value) for value in args)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"a list, each {_in_words(args[0])}"
        return f"a list of {len(args)}, each {_in_words(args[0])}"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping with keys among {', '.join(annotation.model_fields)}"
    return " ".join([WORDS.get(annotation, "a mapping"), *_bounds(metadata)])


def _bounds(metadata: Iterable[Any]) -> list[str]:
    found = [
        f"{sign} {getattr(each, name)}"
        for each in metadata
        for name, sign in BOUNDS.items()
        if getattr(each, name, None) is not None
    ]
    if any(getattr(each, "min_length", None) for each in metadata):
        found.append("that is not empty")
    return [" and ".join(found)] if found else []
