"""Constraints: projections of weights after every update, with Keras's formulas and along Keras's axes."""

from __future__ import annotations

from functools import partial

import numpy as np
from pydantic import Field, model_validator

from graphspec.base.config import Config, IntOrInts, NonNegative, Rate, Registry, invalid, only_base
from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir.graph import Array, show
from graphspec.graph.kernels.context import Calls, need

_EPSILON = 1e-7


class Constraint(Config):
    """Projects a weight after every step."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise :class:`ShapeError` (GS301) if this constraint is not defined for weights of ``shape``."""

    def bind(self, W: Array, T: Array) -> Calls:
        """Return calls that constrain ``W`` in place; ``T`` is scratch of the same shape."""
        raise NotImplementedError


CONSTRAINTS: Registry[Constraint] = Registry("constraint", "MaxNorm")
CONSTRAINTS.refused["Constraint"] = only_base("constraints", "use MaxNorm, or leave it out")


@CONSTRAINTS.add("NonNeg", "non_neg")
class NonNeg(Constraint):
    """``max(w, 0)``."""

    def bind(self, W: Array, T: Array) -> Calls:
        return [(partial(np.maximum, out=W), W, np.zeros((), W.dtype))]


class NormConstraint(Constraint):
    """Base of the constraints on norms: ``w · desired(‖w‖) / (‖w‖ + 1e-7)``."""

    axis: IntOrInts = Field(0, description="The axes of a norm, in Keras's layout: 0 for Dense, [0, 1, 2] for Conv2D.")

    def check(self, shape: tuple[int, ...]) -> None:
        axes, rank, weight = self._axes(), len(shape), f"for a weight of shape {show(shape)}"
        if wrong := [axis for axis in axes if not -rank <= axis < rank]:
            has = f"its axes are 0 to {rank - 1}" if rank > 1 else "its only axis is 0" if rank else "it has no axes"
            raise ShapeError(Code.WRONG_RANK, f"has axis {wrong[0]} {weight}", hint=has)
        once = len({axis % rank for axis in axes}) == len(axes)
        text = f"has axis {list(axes)} {weight}, one of them twice"
        need(once, text, code=Code.VALUE_NOT_ALLOWED, hint="list each axis once")

    def _axes(self) -> tuple[int, ...]:
        return self.axis if isinstance(self.axis, tuple) else (self.axis,)

    def desired(self, norms: Array, t: Array) -> Calls:
        """Return calls that turn ``t``, a copy of ``norms``, into the desired norms."""
        raise NotImplementedError

    def bind(self, W: Array, T: Array) -> Calls:
        shape = list(W.shape)
        for axis in self._axes():
            shape[axis] = 1
        norms, t = np.zeros(shape, W.dtype), np.zeros(shape, W.dtype)
        epsilon = np.array(_EPSILON, W.dtype)
        calls: Calls = [(np.square, W, T), (np.add.reduce, T, self._axes(), None, norms, True), (np.sqrt, norms, norms)]
        calls += [(np.copyto, t, norms), *self.desired(norms, t), (np.add, norms, epsilon, norms)]
        return [*calls, (np.divide, t, norms, t), (np.multiply, W, t, W)]


@CONSTRAINTS.add("MaxNorm", "max_norm")
class MaxNorm(NormConstraint):
    """``w · min(‖w‖, max_value) / (‖w‖ + 1e-7)``: norms of at most ``max_value``.

    Srivastava et al., *Dropout: A simple way to prevent neural networks from overfitting*, JMLR 15 (2014).
    """

    max_value: NonNegative = Field(2.0, description="The largest norm.")

    def desired(self, norms: Array, t: Array) -> Calls:
        return [(np.clip, t, np.zeros((), t.dtype), np.array(self.max_value, t.dtype), t)]


@CONSTRAINTS.add("UnitNorm", "unit_norm")
class UnitNorm(NormConstraint):
    """``w / (‖w‖ + 1e-7)``: norms of 1."""

    def desired(self, norms: Array, t: Array) -> Calls:
        return [(t.fill, 1.0)]


@CONSTRAINTS.add("MinMaxNorm", "min_max_norm")
class MinMaxNorm(NormConstraint):
    """``w · (rate · clip(‖w‖, min_value, max_value) + (1 − rate)‖w‖) / (‖w‖ + 1e-7)``: norms between two bounds."""

    min_value: NonNegative = Field(0.0, description="The smallest norm.")
    max_value: NonNegative = Field(1.0, description="The largest norm.")
    rate: Rate = Field(1.0, description="The fraction of the way to the bounds in one step.")

    @model_validator(mode="after")
    def _order(self) -> MinMaxNorm:
        if self.min_value > self.max_value:
            text = f"must not be above `max_value`, {self.max_value:g}"
            raise invalid(text, "swap them", key="min_value", show_value=True)
        return self

    def desired(self, norms: Array, t: Array) -> Calls:
        numbers = (self.min_value, self.max_value, self.rate, 1 - self.rate)
        low, high, rate, complement = (np.array(x, t.dtype) for x in numbers)
        calls: Calls = [(np.clip, t, low, high, t)]
        if self.rate == 1:
            return calls
        unclipped = np.zeros_like(norms)
        calls += [(np.multiply, t, rate, t), (np.multiply, norms, complement, unclipped)]
        return [*calls, (np.add, t, unclipped, t)]


__all__ = ["CONSTRAINTS", "Constraint"]
__all__ += [cls.__name__ for cls in CONSTRAINTS]
