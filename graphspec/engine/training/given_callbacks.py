"""The callbacks that a Python caller passes to ``fit``: objects, or names and mappings as in a spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from graphspec.base.config import Config, named
from graphspec.base.errors import Diagnostic, Problems, SpecError, UsageError
from graphspec.language.explain import validate
from graphspec.language.read import tree_from_dict
from graphspec.vocabulary.callbacks import CALLBACKS, Callback

GivenCallbacks = Sequence[Callback | str | Mapping[str, Any]]
"""Callbacks as ``fit`` takes them: objects, names, or mappings with ``type``."""
_EXAMPLE = "`callbacks=[EarlyStopping(patience=3)]` or `callbacks=[{'type': 'EarlyStopping', 'patience': 3}]`"


class _Given(Config):
    callbacks: list[named(CALLBACKS, Callback)] = Field(description="Callbacks.")  # type: ignore[valid-type]


def given_callbacks(value: Any) -> list[Callback]:
    """Return the callbacks of ``fit(callbacks=value)``: each may be an object, a name, or a mapping with ``type``.

    Raises:
        UsageError: one of them is something else, or has wrong arguments.
    """
    if isinstance(value, str | Mapping | Callback):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"`callbacks` must be a list of callbacks, got {_described(value)}; write {_EXAMPLE}")
    return [_callback(item) for item in value]


def _callback(item: Any) -> Callback:
    if isinstance(item, Callback):
        return item
    if isinstance(item, type) and issubclass(item, Callback):
        raise UsageError(f"`callbacks` contains the class {item.__name__}; create the object: `{item.__name__}()`")
    if not isinstance(item, str | Mapping):
        what = f"`callbacks` contains {_described(item)}, which is no callback"
        if "keras" in type(item).__module__:
            name = type(item).__name__
            fix = f"use `graphspec.callbacks.{name}`" if CALLBACKS.get(name) else f"write {_EXAMPLE}"
        elif callable(item):
            fix = "derive a class from `graphspec.callbacks.Callback` for code of your own (docs/python.md)"
        else:
            fix = f"write {_EXAMPLE}"
        raise UsageError(f"{what}; {fix}")
    problems = Problems()
    tree = tree_from_dict({"callbacks": [item]}, problems)
    found = None if problems.found else validate(_Given, tree, "`fit`", problems)
    if found is None:
        texts = [f"{d.message}; {d.hint}" if d.hint else d.message for d in problems.found]
        raise UsageError("\n".join(text.replace("`callbacks[0]`", "`callbacks`") for text in texts))
    (callback,) = found.callbacks
    assert isinstance(callback, Callback)
    return callback


def refuse_misspelt_monitors(callbacks: Sequence[Callback], keys: Sequence[str]) -> None:
    """Raise GS105 for callbacks whose monitored name is nearly one that a run logs, by the keys without ``val_``.

    Another unknown name may be a value that a callback of the caller's own adds to the logs.
    """
    logged = [*dict.fromkeys([*keys, *(f"val_{key}" for key in keys if not key.startswith("val_"))])]
    found = [
        Diagnostic.of(type(callback).__name__, problem)
        for callback in callbacks
        for problem in callback.check(logged)
        if problem.severity == "error" and problem.key == "monitor" and (problem.hint or "").startswith("did you mean")
    ]
    if found:
        raise SpecError(found)


def _described(value: Any) -> str:
    """Return what ``value`` is, in words."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function `{value.__name__}`"
    return f"a value of type {type(value).__name__}"
