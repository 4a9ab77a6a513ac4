"""Activations that a file spells by parts, as one operator: the same function with fewer passes over memory.

::

    Mul(x, Sigmoid(x))                              Swish(x)
    Mul(x, HardSigmoid(x, 1/6, 1/2))                HardSwish(x)
    Div(Mul(x, Clip(Add(x, 3), 0, 6)), 6)           HardSwish(x)
    Mul(Mul(x, Add(Erf(Div(x, √2)), 1)), 1/2)       Gelu(x)

The parts stay in the graph only if something else reads them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphspec.graph.ir.graph import Node, Value

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder

_NEAR = 1e-6
"""Constants of files are rounded to float32, and some are written with six digits."""


def whole_activation(g: Builder, made: Value) -> Value:
    """Return the activation that a value is the last part of, else the value."""
    node = made.node
    if node is None or node.op not in ("Mul", "Div") or len(node.inputs) != 2 or not made.type.is_float:
        return made
    a, b = node.inputs
    if a is None or b is None:
        return made
    if node.op == "Mul":
        for X, gate in ((a, b), (b, a)):
            if gate.node is not None and X.shape == made.shape and (found := _gated(g, X, gate.node)) is not None:
                return found
    number = _number(b) if node.op == "Div" else next((n for v in (a, b) if (n := _number(v)) is not None), None)
    inner: Value = a if node.op == "Div" or _number(b) is not None else b
    if not number or inner.node is None or inner.node.op != "Mul":
        return made
    scale = 1 / number if node.op == "Div" else number
    for part, other in (inner.node.inputs, inner.node.inputs[::-1]):
        if part is None or other is None or other.node is None or part.shape != made.shape:
            continue
        if _is(scale, 1 / 6) and _is_relu6(part, other.node):
            return g.HardSwish(part)
        if _is(scale, 0.5) and _is_erf(part, other.node):
            return g.Gelu(part)
    return made


def _gated(g: Builder, X: Value, gate: Node) -> Value | None:
    if not gate.inputs or gate.inputs[0] is None or gate.inputs[0].name != X.name:
        return None
    if gate.op == "Sigmoid":
        return g.Swish(X)
    if gate.op == "HardSigmoid" and _is(gate.attrs["alpha"], 1 / 6) and _is(gate.attrs["beta"], 0.5):
        return g.HardSwish(X)
    return None


def _is_relu6(X: Value, node: Node) -> bool:
    """Return whether a node is ``Clip(X + 3, 0, 6)``."""
    if node.op != "Clip" or len(node.inputs) != 3 or (_number(node.inputs[1]), _number(node.inputs[2])) != (0.0, 6.0):
        return False
    return _plus(X, node.inputs[0], 3.0)


def _is_erf(X: Value, node: Node) -> bool:
    """Return whether a node is ``Erf(X / √2) + 1``."""
    if node.op != "Add":
        return False
    for part, one in (node.inputs, node.inputs[::-1]):
        erf = None if part is None else part.node
        if erf is not None and erf.op == "Erf" and _number(one) == 1.0 and erf.inputs[0] is not None:
            return _scaled(X, erf.inputs[0])
    return False


def _scaled(X: Value, value: Value) -> bool:
    node = value.node
    if node is None or node.op not in ("Mul", "Div"):
        return False
    a, b = node.inputs
    if node.op == "Mul" and _number(b) is None:
        a, b = b, a
    number = _number(b)
    if a is None or a.name != X.name or number is None:
        return False
    return _is(number, math.sqrt(2.0) if node.op == "Div" else math.sqrt(0.5))


def _plus(X: Value, value: Value | None, number: float) -> bool:
    node = None if value is None else value.node
    if node is None or node.op != "Add":
        return False
    a, b = node.inputs
    if _number(b) is None:
        a, b = b, a
    return a is not None and a.name == X.name and _number(b) == number


def _number(value: Value | None) -> float | None:
    """Return the only element of a constant; None for other values."""
    if value is None or value.kind != "constant" or value.data is None or value.data.size != 1:
        return None
    return float(value.data.reshape(()))


def _is(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_NEAR)
