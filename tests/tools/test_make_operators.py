"""The stub of the builder is what the operators say."""

from __future__ import annotations

import ast

from graphspec.graph.ops import OPS
from tools.make_operators import FILE, text


def test_the_stub_is_current() -> None:
    written = ast.parse(FILE.read_text(encoding="utf-8"))
    assert ast.dump(written) == ast.dump(ast.parse(text())), "python -m tools.make_operators"
    (operators,) = (node for node in written.body if isinstance(node, ast.ClassDef))
    assert {node.name for node in operators.body if isinstance(node, ast.FunctionDef)} == set(OPS)
