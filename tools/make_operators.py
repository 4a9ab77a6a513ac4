"""Write ``graphspec/graph/operators.pyi``: the builder's methods, one an operator, as a type checker and an editor see them.

Inputs and results are those of the operators' own ``infer``, attributes their fields: ``python -m tools.make_operators``.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

from graphspec.base.files import write_atomic
from graphspec.graph.ops import OPS, Op
from graphspec.graph.ops.op import REQUIRED, declared_attributes

FILE = Path(__file__).parents[1] / "graphspec" / "graph" / "operators.pyi"
HEAD = '''# ruff: noqa: A002
"""Written by tools/make_operators.py."""

from collections.abc import Sequence
from typing import Any, Literal

from graphspec.graph.ir.graph import Value

class Operators:
'''


def text() -> str:
    """The whole file."""
    return HEAD + "".join(method(name, OPS[name]) for name in sorted(OPS))


def method(name: str, cls: type[Op]) -> str:
    """``def Relu(self, X: Value) -> Value: ...``"""
    infer = inspect.signature(cls.infer)
    result = "Value" if str(infer.return_annotation) == "Type" else "tuple[Value, ...]"
    if "|" in str(infer.return_annotation):
        result = "Any"
    inputs = [_input(p) for p in list(infer.parameters.values())[1:]]
    starred = any(text.startswith("*") for text in inputs)
    annotations = {key: text for base in reversed(cls.__mro__) for key, text in inspect.get_annotations(base).items()}
    named = [_attribute(key, default, annotations[key]) for key, default in declared_attributes(cls).items()]
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


def _attribute(key: str, default: Any, annotation: str) -> str:
    return f"{key}: {annotation}" + ("" if default is REQUIRED else " = ...")


if __name__ == "__main__":
    write_atomic(FILE, text())
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", FILE], check=True)
