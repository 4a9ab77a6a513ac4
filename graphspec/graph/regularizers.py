"""Regularizers: penalties on weights and activations, lowered to operators and added to the loss."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.base.config import Config, NonNegative, Registry, only_base
from graphspec.base.errors import Code, ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Value, show
from graphspec.graph.kernels.context import need


class Regularizer(Config):
    """Base of the regularizers: a scalar penalty on a tensor."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise :class:`ShapeError` (GS301) if this regularizer is not defined for weights of ``shape``."""

    def lower(self, g: Builder, X: Value) -> Value:
        """Emit the penalty on ``X`` and return it, a float32 scalar."""
        raise NotImplementedError


REGULARIZERS: Registry[Regularizer] = Registry("regularizer", "L2")
REGULARIZERS.refused["Regularizer"] = only_base("regularizers", "use L2, or leave it out")


def _absolute(g: Builder, X: Value, factor: float) -> Value:
    return g.ReduceSum(g.Abs(X), keepdims=0) * factor


def _square(g: Builder, X: Value, factor: float) -> Value:
    return g.ReduceSumSquare(X, keepdims=0) * factor


@REGULARIZERS.add("L1", "l1")
class L1(Regularizer):
    """``l1 · Σ |x|``."""

    l1: Annotated[NonNegative, Field(description="Factor of the sum of absolute values.")] = 0.01

    def lower(self, g: Builder, X: Value) -> Value:
        return _absolute(g, X, self.l1)


@REGULARIZERS.add("L2", "l2")
class L2(Regularizer):
    """``l2 · Σ x²``."""

    l2: Annotated[NonNegative, Field(description="Factor of the sum of squares.")] = 0.01

    def lower(self, g: Builder, X: Value) -> Value:
        return _square(g, X, self.l2)


@REGULARIZERS.add("L1L2", "l1_l2")
class L1L2(Regularizer):
    """``l1 · Σ |x| + l2 · Σ x²``."""

    l1: Annotated[NonNegative, Field(description="Factor of the sum of absolute values.")] = 0.0
    l2: Annotated[NonNegative, Field(description="Factor of the sum of squares.")] = 0.0

    def lower(self, g: Builder, X: Value) -> Value:
        return _absolute(g, X, self.l1) + _square(g, X, self.l2)


@REGULARIZERS.add("OrthogonalRegularizer", "orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean of ``|cos|`` over all pairs of rows (or columns) of a weight (rows, columns).

    Rows and columns are those of Keras's layout. It is only for weights with two axes. Keras.
    """

    factor: Annotated[NonNegative, Field(description="Factor of the mean.")] = 0.01
    mode: Annotated[Literal["rows", "columns"], Field(description="The vectors that should be orthogonal.")] = "rows"

    def check(self, shape: tuple[int, ...]) -> None:
        text = f"needs a matrix, but the weight has shape {show(shape)}"
        need(len(shape) == 2, text, hint="use L2 here, or leave it out")
        text = f"needs two {self.mode}, but the weight of shape {show(shape)} has one"
        need(shape[self._axis] > 1, text, hint=f"use `mode: {'columns' if self.mode == 'rows' else 'rows'}`")

    @property
    def _axis(self) -> int:
        return 0 if self.mode == "rows" else 1

    def lower(self, g: Builder, X: Value) -> Value:
        if X.param is None:
            why = "it is for weights: it would compare the rows of a batch"
            text, key = f"has OrthogonalRegularizer on its output, but {why}", "activity_regularizer"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="use L1 or L2 here", key=key)
        shape, layout = X.param.shape, X.param.layout
        if layout.shape:
            X = g.reshape(X, [shape[axis] for axis in layout.perm] or shape)
        if layout.perm:
            X = g.transpose(X, [int(axis) for axis in np.argsort(layout.perm)])
        if self.mode == "columns":
            X = g.transpose(X, (1, 0))
        n, X = shape[self._axis], g.unit(X, [1])
        others = g.constant(np.float32(1) - np.eye(n, dtype=np.float32))
        return _absolute(g, X @ g.transpose(X, (1, 0)) * others, self.factor / (n * (n - 1)))


__all__ = ["REGULARIZERS", "Regularizer"]
__all__ += [cls.__name__ for cls in REGULARIZERS]
