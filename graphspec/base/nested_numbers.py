"""Numbers in nested lists, or in files: the values of a constant, and initial values of weights."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from graphspec.base.arrays.array_files import MAX_AXES, has_names
from graphspec.base.codes import Code
from graphspec.base.config import invalid


def nested(value: Any) -> Any:
    """Return nested lists as nested tuples, each level as long as its neighbours; raise GS104 or GS105."""
    shape: list[int] = []
    kinds: set[type] = set()
    depths: set[int] = set()
    uneven = invalid("must be numbers in lists of equal lengths, none of them empty")

    def visit(item: Any, depth: int) -> Any:
        if isinstance(item, list | tuple):
            if depth == len(shape):
                shape.append(len(item))
            if depth >= MAX_AXES or not item or len(item) != shape[depth] or depth in depths:
                raise uneven
            return tuple(visit(part, depth + 1) for part in item)
        if not isinstance(item, bool | int | float):
            raise invalid("must be a number, true or false, or lists of them", code=Code.WRONG_TYPE)
        depths.add(depth)
        if depth != len(shape):
            raise uneven
        kinds.add(type(item))
        if isinstance(item, float) and not math.isfinite(item):
            raise invalid("must not contain NaN or infinity", "write finite numbers")
        if isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise invalid("must fit 64 bits", "make the integers smaller")
        return item

    tuples = None if value is None else visit(value, 0)
    if bool in kinds and len(kinds) > 1:
        raise invalid("must not mix numbers with true and false", "write 0 and 1, or only true and false")
    return tuples


Numbers = Annotated[
    Any,
    BeforeValidator(nested),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "array", "items": {}}]}),
    Field(description="A number, true or false, or nested lists of them."),
]


def _reals(value: Any) -> Any:
    """Return a list of numbers as nested tuples of floats. One number stays: its own type is checked."""
    if not isinstance(value, list | tuple):
        return value

    def as_float(item: Any) -> Any:
        if isinstance(item, bool):
            raise invalid("must be numbers, not true or false", "write 1 and 0", code=Code.WRONG_TYPE)
        return tuple(map(as_float, item)) if isinstance(item, tuple) else float(item)

    return as_float(nested(value))


Reals = Annotated[  # a number, or nested lists of numbers
    float | tuple[Any, ...],
    BeforeValidator(_reals),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array", "items": {}}]}),
]


def check_given(value: Any, file: str | None, key: str | None, example: str) -> None:
    """Raise unless there is either a ``value`` or a ``file``, and a ``key`` only of a file whose arrays have names."""
    if value is None and file is None:
        raise invalid("needs `value` or `file`", f"such as `{example}`", code=Code.MISSING_KEY)
    if value is not None and file is not None:
        raise invalid("cannot have both `value` and `file`", "remove one of them")
    if key is not None and not has_names(str(file)):
        text = "must not be set without a `file` .npz or .safetensors, which have names"
        raise invalid(text, "remove it", key="key")
