"""Compare two graphs by what they compute: the names of nodes may differ, and independent nodes may change places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphspec.base.config import Config
from graphspec.graph.ir.graph import Graph, Node, Param, Value


def difference(one: Graph, other: Graph, renamed: Callable[[str], str]) -> str | None:
    """Return the first difference between two graphs, or None.

    Args:
        renamed: the name in ``other`` of a weight of ``one``.
    """
    if one.inputs.keys() != other.inputs.keys():
        return f"inputs {[*one.inputs]}, not {[*other.inputs]}"
    if {renamed(name) for name in one.params} != other.params.keys():
        lost = sorted({renamed(name) for name in one.params} ^ other.params.keys())
        return f"weights {', '.join(lost[:3])}"
    for key in ("outputs", "loss_inputs"):
        if getattr(one, key).keys() != getattr(other, key).keys():
            return f"{key} {[*getattr(one, key)]}, not {[*getattr(other, key)]}"
    if len(one.penalties) != len(other.penalties):
        return f"{len(one.penalties)} penalties, not {len(other.penalties)}"
    pairs = [(v, other.outputs[name]) for name, v in one.outputs.items()]
    pairs += [(v, other.loss_inputs[name]) for name, v in one.loss_inputs.items()]
    return _Pairs(renamed).walk(pairs)


class _Pairs:
    """Pairs of values that must be equal: what they are computed from is compared, too."""

    def __init__(self, renamed: Callable[[str], str]) -> None:
        self.renamed = renamed
        self.seen: dict[str, str] = {}

    def walk(self, pairs: list[tuple[Value | None, Value | None]] | list[tuple[Value, Value]]) -> str | None:
        """Compare pairs and everything before them; return the first difference."""
        stack: list[tuple[Value | None, Value | None]] = list(pairs)
        while stack:
            a, b = stack.pop()
            if a is None or b is None:
                if (only := a or b) is not None:
                    return f"{only.name} is missing"
                continue
            if a.name in self.seen:
                if self.seen[a.name] != b.name:
                    return f"{a.name} is {self.seen[a.name]} and {b.name}"
                continue
            self.seen[a.name] = b.name
            if (found := self._values(a, b)) is not None:
                return found
            stack.append((a.mask, b.mask))
            if a.node is not None and b.node is not None:
                stack += zip(a.node.inputs, b.node.inputs, strict=True)
        return None

    def _values(self, a: Value, b: Value) -> str | None:
        if (a.kind, str(a.type), a.index) != (b.kind, str(b.type), b.index):
            return f"{a.name} is {a.kind} {a.type}, not {b.kind} {b.type}"
        if a.kind == "input" and a.name != b.name:
            return f"input {a.name}, not {b.name}"
        if (a.param is None) != (b.param is None) or (a.param and b.param and not self._params(a.param, b.param)):
            return f"weight {a.name} is not {b.name}"
        if not equal(a.data, b.data):
            return f"constant {a.name} is not {b.name}"
        if a.node is not None and b.node is not None and not _nodes(a.node, b.node):
            return f"{a.node.op} {a.node.name} is not {b.node.op} {b.node.name}"
        return None

    def _params(self, a: Param, b: Param) -> bool:
        keys = ("shape", "layout", "trainable", "state", "initializer", "regularizer", "constraint", "sparse")
        return self.renamed(a.name) == b.name and all(equal(getattr(a, key), getattr(b, key)) for key in keys)


def _nodes(a: Node, b: Node) -> bool:
    return a.op == b.op and len(a.inputs) == len(b.inputs) and equal(a.attrs, b.attrs)


def equal(a: Any, b: Any) -> bool:
    """Return whether two values are equal, with arrays in them."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.float32(a) == np.float32(b))  # all computation is in float32
    if isinstance(a, Config) and type(a) is type(b):
        return equal(a.__dict__, b.__dict__)
    return bool(a == b)
