"""Numbers in place of inputs: ``inputs: [x, 1.0]``, ``[x, [0, -1]]``, and null for an optional input that is absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.language.tree import Problems, Tree, describe

if TYPE_CHECKING:
    from graphspec.language.names import Item
    from graphspec.vocabulary.layers.base import Layer, Number


def written_inputs(entry: Tree) -> dict[int, Tree]:
    """Return the numbers, lists of numbers and nulls in the list ``inputs`` of an entry, by their positions."""
    inputs = entry.get("inputs")
    items = inputs.value if inputs is not None and isinstance(inputs.value, list) else ()
    return {k: item for k, item in enumerate(items) if _is_number(item) or _is_vector(item) or _is_null(item)}


def refuse(value: Tree, key: str, problems: Problems, hint: str = "") -> None:
    """Report a value in a list of names that is no name."""
    hint = hint or "write a node's name, or `name:k` for its output k"
    problems.value(value, Code.WRONG_TYPE, f"`{key}` must contain names, not {describe(value)}", hint=hint)


def check_written(item: Item, cls: type[Layer] | None, problems: Problems) -> dict[int, Number | None] | None:
    """Return the numbers among the inputs of a node; None if the layer does not take them, which is reported."""
    wrong = False
    for value in item.written.values():
        if cls is None:
            wrong = True
        elif _is_null(value) and not cls.takes_absent:
            refuse(value, "inputs", problems)
            wrong = True
        elif not _is_null(value) and not cls.takes_numbers:
            hint = "operations (`ops.add`), ONNX's operators and layers such as Add and Multiply take numbers, too"
            refuse(value, "inputs", problems, hint)
            wrong = True
    inputs = item.tree.get("inputs")
    if inputs is not None and item.written and not wrong and len(item.written) == len(inputs.value):
        hint = "name at least one node or input"
        problems.value(inputs, Code.WRONG_INPUT_COUNT, "`inputs` names no node", hint=hint)
        wrong = True
    return None if wrong else {k: value.plain() for k, value in item.written.items()}


def _is_number(value: Tree) -> bool:
    return isinstance(value.value, int | float) and not isinstance(value.value, bool) and not value.unknown


def _is_vector(value: Tree) -> bool:
    return isinstance(value.value, list) and bool(value.value) and all(map(_is_number, value.value))


def _is_null(value: Tree) -> bool:
    return value.value is None and not value.unknown
