"""Write ``graphspec/graph/operators.pyi``: the builder's methods, one an operator, as a type checker and an editor see them.

Inputs, attributes and results are those of the operators' own ``infer`` and ``bind``: ``python -m tools.make_operators``.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from graphspec.files import write_atomic
from graphspec.ops import OPS, Op
from graphspec.ops.base import attributes

FILE = Path(__file__).parents[1] / "graphspec" / "graph" / "operators.pyi"
HEAD = '''# ruff: noqa: A002
"""Written by tools/make_operators.py."""

from collections.abc import Sequence
from typing import Any

from graphspec.ir.graph import Value

class Operators:
'''
_SIMPLE = ("int", "float", "str", "bool", "int | None", "float | None", "str | None", "tuple[int, ...]")
_LISTS = ("Sequence[int]", "Sequence[int] | None", "Sequence[float]", "Sequence[float] | None", "Sequence[str]")


def text() -> str:
    """The whole file."""
    return HEAD + "".join(method(name, OPS[name]) for name in sorted(OPS))


def method(name: str, cls: type[Op]) -> str:
    """``def Relu(self, X: Value) -> Value: ...``"""
    infer = inspect.signature(cls.infer)
    typed = {p.name: str(p.annotation) for p in infer.parameters.values() if p.kind is p.KEYWORD_ONLY}
    result = "Value" if str(infer.return_annotation) == "Type" else "tuple[Value, ...]"
    if "|" in str(infer.return_annotation):
        result = "Any"
    given = attributes(cls)  # type: ignore[arg-type]
    inputs = [_input(p) for p in infer.parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    inputs = [text for text in inputs if text.partition(":")[0] not in given]
    starred = any(text.startswith("*") for text in inputs)
    named = [_attribute(key, default, typed.get(key)) for key, default in given.items()]
    if named and not starred:
        named.insert(0, "*")
    line = f"    def {name}({', '.join(['self', *_positional(inputs, starred), *named])}) -> {result}: ..."
    return line + "\n"


def _positional(inputs: list[str], starred: bool) -> list[str]:
    return inputs if starred or not inputs else [*inputs, "/"]


def _input(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"*{parameter.name}: Value | None"
    optional = parameter.default is not parameter.empty
    return f"{parameter.name}: Value | None" + (" = None" if optional else "")


def _attribute(key: str, default: Any, annotation: str | None) -> str:
    kind = annotation if annotation in (*_SIMPLE, *_LISTS) else None
    if kind is None:
        kind = type(default).__name__ if type(default) in (int, float, str) else "Any"
    if kind == "float":
        kind = "float"
    return f"{key}: {kind}" + ("" if default is inspect.Parameter.empty else " = ...")


if __name__ == "__main__":
    write_atomic(FILE, text())
