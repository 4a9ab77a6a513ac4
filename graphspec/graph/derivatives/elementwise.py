"""Rules of elementwise operators: from their formulas, where they have one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.graph.builder import Builder
from graphspec.graph.derivatives.walk import RULES, derivative, sum_to
from graphspec.graph.expressions import Expression, emit
from graphspec.graph.ir.graph import Node, Value
from graphspec.graph.ops import elementwise as tables
from graphspec.graph.ops.formulas import Gated

_TINY = float(np.finfo(np.float32).tiny)


def _of_formula(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Emit the gradient of a function of one input that a row of a table describes."""
    (X,), (Y,), (d,) = node.sources, node.outputs, dYs
    x, y, dy = (Expression(None) for _ in range(3))
    values = {id(x): X, id(y): Y, id(dy): d}
    result = op.formula(x, **op.attributes)[1] if isinstance(op, Gated) else op.gradient(x, y, dy, **op.attributes)
    return [emit(g, dy * result if isinstance(op, Gated) else result, values)]


def _of_formulas(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Emit the gradients of the two operands of a :class:`Binary`."""
    (d,), leaves = dYs, [Expression(None) for _ in range(4)]
    values = dict(zip(map(id, leaves), (*node.sources, *node.outputs, d), strict=True))
    result: list[Value | None] = [None, None]
    for k, gradient in op.gradients:
        if wants[k]:
            result[k] = sum_to(g, emit(g, gradient(*leaves), dict(values)), node.sources[k])
    return result


_ROWS = (tables.FUNCTIONS | tables.ACTIVATIONS).items()
RULES |= {name: _of_formula for name, row in _ROWS if row.gradient or row.of is Gated}
RULES |= dict.fromkeys(("Mul", "Div", "PRelu"), _of_formulas)


@derivative("Add", "Sub", "Sum", "Mean")
def terms(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on to each term: negated to a subtrahend, a share to each term of a mean."""
    (d,) = dYs
    d = d / float(len(wants)) if node.op == "Mean" else d
    signed = [-d if node.op == "Sub" and k == 1 and want else d for k, want in enumerate(wants)]
    return [sum_to(g, s, X) if want else None for s, X, want in zip(signed, node.sources, wants, strict=True)]


@derivative("Pow")
def power(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """``dX = d · Y · X ** (Y - 1)``; ``dY = d · Z · log X``, 0 where X ≤ 0."""
    (X, Y), (Z,), (d,) = node.sources, node.outputs, dYs
    y = Y if Y.dtype == "float32" else g.Cast(Y, to="float32")
    dX = sum_to(g, d * (g.Pow(X, y - 1.0) * y), X) if wants[0] else None
    return [dX, sum_to(g, d * Z * g.Log(g.Max(X, g.constant(_TINY))), Y) if wants[1] else None]


@derivative("Where")
def where(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on to the operand that was chosen."""
    (condition, A, B), (d,), zero = node.sources, dYs, g.constant(0.0)
    dA = sum_to(g, g.Where(condition, d, zero), A) if wants[1] else None
    return [None, dA, sum_to(g, g.Where(condition, zero, d), B) if wants[2] else None]


@derivative("Max", "Min")
def extremum(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on to the first operand that attains the extremum."""
    (Y,), (d,), result = node.outputs, dYs, list[Value | None]()
    for X, want in zip(node.sources, wants, strict=True):
        here = g.Where(g.Equal(X, Y), d, g.constant(0.0))
        result.append(sum_to(g, here, X) if want else None)
        d = d - here
    return result


@derivative("Clip")
def clip(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on where Y is at no bound."""
    (Y,), (dX,) = node.outputs, dYs
    low, high = (*node.inputs[1:], None, None)[:2]
    for outside in ([] if low is None else [low >= Y]) + ([] if high is None else [high <= Y]):
        dX = g.Where(outside, g.constant(0.0), dX)
    return [dX]


@derivative("Cast")
def cast(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on from floats to floats."""
    return dYs
