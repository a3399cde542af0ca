"""Checks the shapes that signatures promise, while tests run; named in pyproject's addopts.

jaxtyping wraps each function of the package in its own bookkeeping of dimensions and calls this
type checker inside. Only array annotations are checked: the rest is pyright's.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from jaxtyping import AbstractArray


def _is_array(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, AbstractArray)


def arrays(function: Any) -> Any:
    """`function`, which raises TypeError for an array of another shape or dtype than annotated;
    jaxtyping puts the words to it."""
    if not inspect.isfunction(function):
        return function  # what numba compiled, say
    hints = {name: hint for name, hint in function.__annotations__.items() if _is_array(hint)}
    if not hints:
        return function
    return _checked(function, hints)


def _checked(function: Callable[..., Any], hints: dict[str, Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs).arguments
        for name, hint in hints.items():
            if name in bound and not isinstance(bound[name], hint):
                raise TypeError(name)
        result = function(*args, **kwargs)
        if "return" in hints and not isinstance(result, hints["return"]):
            raise TypeError("return")
        return result

    return checked
