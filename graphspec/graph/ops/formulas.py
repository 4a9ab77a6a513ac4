"""Elementwise functions of one input, made from rows of tables: a sentence, a formula and its gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from graphspec.graph.expressions import Expression, Formula, leaf, letters, record_blocks
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import each_block, output_for, saved_like
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.ops.op import OPS, Memoryless, in_place


class Unary(Memoryless):
    """``Y = f(X)``, element by element. A row of a table makes a subclass."""

    elementwise = True
    blockwise = True
    formula: ClassVar[Formula]  # returns Y of X and the attributes, by name; Y may have the memory of X
    gradient: ClassVar[Formula | None] = None  # returns it of X, Y, Y's gradient and the attributes
    # Raises ShapeError for an input that the function is not defined for, given the attributes too.
    accepts: ClassVar[Callable[..., None]] = staticmethod(lambda X, **attributes: need.float(X))
    truth: ClassVar[bool] = False  # whether Y is bools

    def infer(self, X: Value) -> Type:
        self.accepts(X, **self.attributes)
        return Type("bool", X.shape) if self.truth else X.type

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = output_for(ctx, (0, X), dtype=np.dtype(np.bool_) if self.truth else None)
        calls = record_blocks(ctx, lambda x, y: [(y, self.formula(leaf(x), **self.attributes))], X, Y)
        gradient = self.gradient
        if gradient is None:
            return Y, calls, None

        def gradients(x: Array, y: Array, d: Array) -> list[tuple[Array, Expression]]:
            return [(d, gradient(leaf(x), leaf(y), leaf(d), **self.attributes))]

        return Y, calls, in_place(ctx)(lambda dY: record_blocks(ctx, gradients, X, Y, dY))


class Gated(Unary):
    """``Y = X · gate(X)``, whose derivative is computed with it: backward multiplies by it and reads neither X nor Y.

    ``formula`` returns Y and the derivative.
    """

    def forward(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        """Return the calls that write Y, which may be X itself, and its derivative unless ``slope`` is None."""

        def formulas(x: Array, y: Array, dx: Array | None = None) -> list[tuple[Array, Expression]]:
            value, derivative = self.formula(leaf(x), **self.attributes)
            return [(y, value)] if dx is None else [(dx, derivative), (y, value)]

        return record_blocks(ctx, formulas, *([X, Y] if slope is None else [X, Y, slope]))

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = output_for(ctx, (0, X))
        slope = saved_like(ctx, X) if ctx.wants(0) else None

        @in_place(ctx)
        def backward(dY: Array) -> Calls:
            assert slope is not None
            return each_block(np.multiply, dY, slope, dY)

        return Y, self.forward(ctx, X, Y, slope), backward


class Row:
    """What makes an operator: the sentence of its documentation, its formula and gradient, and facts of its class.

    The formula's parameters with a default are the operator's attributes. From the gradient follows which arrays are kept
    for backward.
    """

    def __init__(
        self, about: str, formula: Formula, gradient: Formula | None = None, *, of: type[Unary] = Unary, **facts: Any
    ) -> None:
        self.about, self.formula, self.gradient, self.of, self.facts = about, formula, gradient, of, facts

    def operator(self, name: str, module: str) -> type[Unary]:
        parameters = inspect.signature(self.formula).parameters.values()
        attributes = {p.name: p.default for p in parameters if p.default is not p.empty}
        result = self.formula(Expression(None), **attributes)
        read = set() if self.gradient is None else letters(self.gradient, ("X", "Y", "d"), attributes)
        members: dict[str, Any] = {
            "__doc__": self.about,
            "__module__": module,
            "__annotations__": {key: type(default).__name__ for key, default in attributes.items()},
            "keeps_in": (0,) if "X" in read else (),
            "keeps_out": "Y" in read,
            "truth": isinstance(result, Expression) and result.truth,
            **attributes,
            **self.facts,
            "accepts": staticmethod(self.facts.get("accepts", self.of.accepts)),
            "formula": staticmethod(self.formula),
            "gradient": None if self.gradient is None else staticmethod(self.gradient),
        }
        return type(name, (self.of,), members)


def register(module: str, rows: Mapping[str, Row]) -> None:
    """Make the operators of a table, and register them under their names."""
    for name, entry in rows.items():
        OPS[name] = entry.operator(name, module)
