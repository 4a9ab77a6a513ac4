"""What the tests of expansion share."""

from __future__ import annotations

from typing import Any

from graphspec.base.errors import Diagnostic
from graphspec.language.expand import Expanded

INPUT = "inputs: {x: {shape: [4]}}\n"
TWO = "inputs: {x: {shape: [4]}, y: {shape: [4]}}\n"


def wires(expanded: Expanded) -> dict[str, list[str | None]]:
    """What each concrete node takes: ``node`` or ``node:k``."""
    return {
        name: [None if r is None else r.name if r.output == 0 else f"{r.name}:{r.output}" for r in refs]
        for name, refs in expanded.refs.items()
    }


def args(expanded: Expanded, name: str) -> dict[str, Any]:
    (node,) = [node for node in expanded.nodes if node.full == name]
    plain = node.tree.plain()
    return {key: value for key, value in plain.items() if key not in ("name", "type", "inputs")}


def found(expanded: Expanded) -> list[tuple[str, int | None, int | None]]:
    return [(d.code, d.line, d.column) for d in sorted(expanded.diagnostics, key=Diagnostic.sort_key)]


def fine(expanded: Expanded) -> Expanded:
    assert not expanded.diagnostics, expanded.diagnostics
    return expanded
