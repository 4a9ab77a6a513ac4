"""The activations inside recurrent operators, in place, with derivatives that are computed from the value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.common import copy_cast, negate
from graphspec.kernels.context import Context, need

Write = Callable[[Array, Array], Calls]


@dataclass(frozen=True)
class Gate:
    """An activation with its numbers.

    ``apply(X)`` gives calls that replace X by ``Y = f(X)``; ``slope(Y, D)`` gives calls for ``D = f'(X)``.
    """

    name: str
    alpha: float
    beta: float
    apply: Callable[[Array], Calls]
    slope: Write

    @property
    def bounded(self) -> bool:
        return self.name in ("Sigmoid", "HardSigmoid", "Tanh", "Softsign")


_NONE: tuple[float, ...] = ()
_REQUIRED = math.nan
NUMBERS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "Sigmoid": (_NONE, _NONE),
    "Tanh": (_NONE, _NONE),
    "Relu": (_NONE, _NONE),
    "Softsign": (_NONE, _NONE),
    "Softplus": (_NONE, _NONE),
    "LeakyRelu": ((0.01,), _NONE),
    "ThresholdedRelu": ((_REQUIRED,), _NONE),
    "Elu": ((1.0,), _NONE),
    "Affine": ((_REQUIRED,), (_REQUIRED,)),
    "ScaledTanh": ((_REQUIRED,), (_REQUIRED,)),
    "HardSigmoid": ((0.2,), (0.5,)),
}
"""The alpha and the beta of each activation of ONNX's recurrent operators, with ONNX's default. Where no default is given
here, onnxruntime's differs from ONNX's."""
_CANONICAL = {name.lower(): name for name in NUMBERS}


def parse(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> list[tuple[str, float, float]]:
    """Each activation with its alpha and beta, which are handed out in order to those that take one, as onnxruntime does.

    Raises:
        ShapeError: ``GS105`` for an unknown name, missing or superfluous numbers, or a slope that is not positive.
    """
    left = [list(alphas or ()), list(betas or ())]
    parsed = []
    for written in names:
        name = _CANONICAL.get(written.lower(), "")
        need(bool(name), f"does not know the activation '{written}'", code="GS105")
        numbers = [0.0, 0.0]
        for k, default in enumerate(NUMBERS[name]):
            if default:
                numbers[k] = left[k].pop(0) if left[k] else default[0]
        need(not any(map(math.isnan, numbers)), f"needs numbers for the activation {name}", code="GS105")
        signed = name in ("LeakyRelu", "Elu", "HardSigmoid", "ScaledTanh")
        need(not signed or numbers[0] > 0, f"needs an alpha above 0 for {name}, got {numbers[0]}", code="GS105")
        parsed.append((name, numbers[0], numbers[1]))
    need(not any(left), "has more numbers for its activations than they take", code="GS105")
    return parsed


def gate(ctx: Context, spec: tuple[str, float, float], size: Sequence[int]) -> Gate:
    """The activation ``spec`` for arrays of up to ``size``, within the forward calls or within the backward calls."""
    name, alpha, beta = spec
    apply, slope = _FUNCTIONS[name](_Room(ctx, size), alpha, beta)
    return Gate(name, alpha, beta, apply, slope)


class _Room:
    """Constants and temporaries for one activation; temporaries are made when first asked for."""

    def __init__(self, ctx: Context, size: Sequence[int]) -> None:
        self.ctx, self.size = ctx, int(np.prod(size, dtype=np.int64))
        self._blocks: dict[Any, Array] = {}

    def constant(self, value: float) -> Array:
        return self.ctx.constant(value)

    def like(self, X: Array, dtype: Any = None) -> Array:
        kind = np.dtype(X.dtype if dtype is None else dtype)
        if kind not in self._blocks:
            self._blocks[kind] = self.ctx.scratch((self.size,), kind)
        return self._blocks[kind][: X.size].reshape(X.shape)


Pair = tuple[Callable[[Array], Calls], Write]


def _sigmoid(room: _Room, alpha: float, beta: float) -> Pair:
    half, one = room.constant(0.5), room.constant(1.0)  # ½ · tanh(x / 2) + ½ costs one tanh

    def apply(X: Array) -> Calls:
        return [(np.multiply, X, half, X), (np.tanh, X, X), (np.multiply, X, half, X), (np.add, X, half, X)]

    def slope(Y: Array, D: Array) -> Calls:
        return [(np.subtract, one, Y, D), (np.multiply, Y, D, D)]

    return apply, slope


def _tanh(room: _Room, alpha: float, beta: float) -> Pair:
    one = room.constant(1.0)
    return (
        lambda X: [(np.tanh, X, X)],
        lambda Y, D: [(np.square, Y, D), (np.subtract, one, D, D)],
    )


def _positive(room: _Room, Y: Array, D: Array, low: float) -> Calls:
    """``D = 1`` where ``Y > 0``, else ``low``."""
    calls: Calls = [(partial(np.greater, out=D, casting="unsafe"), Y, room.constant(0.0))]
    if low:
        calls += [(np.multiply, D, room.constant(1.0 - low), D), (np.add, D, room.constant(low), D)]
    return calls


def _relu(room: _Room, alpha: float, beta: float) -> Pair:
    zero = room.constant(0.0)
    return lambda X: [(partial(np.maximum, out=X), X, zero)], lambda Y, D: _positive(room, Y, D, 0.0)


def _leaky_relu(room: _Room, alpha: float, beta: float) -> Pair:
    slope, steeper = room.constant(alpha), np.maximum if alpha <= 1 else np.minimum

    def apply(X: Array) -> Calls:
        t = room.like(X)
        return [(np.multiply, X, slope, t), (partial(steeper, out=X), X, t)]

    return apply, lambda Y, D: _positive(room, Y, D, alpha)


def _thresholded_relu(room: _Room, alpha: float, beta: float) -> Pair:
    threshold, zero = room.constant(alpha), room.constant(0.0)

    def apply(X: Array) -> Calls:
        over = room.like(X, np.bool_)
        return [(np.greater, X, threshold, over), (np.multiply, X, over, X)]

    return apply, lambda Y, D: [(partial(np.not_equal, out=D, casting="unsafe"), Y, zero)]


def _elu(room: _Room, alpha: float, beta: float) -> Pair:
    zero, scale = room.constant(0.0), room.constant(alpha)

    def apply(X: Array) -> Calls:  # max(x, 0) + alpha · expm1(min(x, 0))
        t = room.like(X)
        return [
            (partial(np.minimum, out=t), X, zero),
            (np.expm1, t, t),
            (np.multiply, t, scale, t),
            (partial(np.maximum, out=X), X, zero),
            (np.add, X, t, X),
        ]

    def slope(Y: Array, D: Array) -> Calls:  # y > 0: 1, else y + alpha
        t = room.like(Y)
        return [
            (partial(np.minimum, out=D), Y, zero),
            (np.add, D, scale, D),
            (partial(np.greater, out=t, casting="unsafe"), Y, zero),
            (np.multiply, t, room.constant(1.0 - alpha), t),
            (np.add, D, t, D),
        ]

    return apply, slope


def _affine(room: _Room, alpha: float, beta: float) -> Pair:
    scale, shift = room.constant(alpha), room.constant(beta)

    def apply(X: Array) -> Calls:
        calls: Calls = [] if alpha == 1.0 else [(np.multiply, X, scale, X)]
        return calls if beta == 0.0 else [*calls, (np.add, X, shift, X)]

    return apply, lambda Y, D: [(copy_cast, D, scale)]


def _scaled_tanh(room: _Room, alpha: float, beta: float) -> Pair:
    scale, inner = room.constant(alpha), room.constant(beta)

    def apply(X: Array) -> Calls:
        return [(np.multiply, X, inner, X), (np.tanh, X, X), (np.multiply, X, scale, X)]

    def slope(Y: Array, D: Array) -> Calls:  # beta · (alpha - y² / alpha)
        return [
            (np.square, Y, D),
            (np.multiply, D, room.constant(-beta / alpha), D),
            (np.add, D, room.constant(alpha * beta), D),
        ]

    return apply, slope


def _hard_sigmoid(room: _Room, alpha: float, beta: float) -> Pair:
    scale, shift, zero, one = (room.constant(c) for c in (alpha, beta, 0.0, 1.0))

    def apply(X: Array) -> Calls:
        return [
            (np.multiply, X, scale, X),
            (np.add, X, shift, X),
            (partial(np.maximum, out=X), X, zero),
            (partial(np.minimum, out=X), X, one),
        ]

    def slope(Y: Array, D: Array) -> Calls:
        below = room.like(Y, np.bool_)
        return [
            (partial(np.greater, out=D, casting="unsafe"), Y, zero),
            (np.less, Y, one, below),
            (np.multiply, D, below, D),
            (np.multiply, D, scale, D),
        ]

    return apply, slope


def _softsign(room: _Room, alpha: float, beta: float) -> Pair:
    one = room.constant(1.0)

    def apply(X: Array) -> Calls:
        t = room.like(X)
        return [(np.absolute, X, t), (np.add, t, one, t), (np.divide, X, t, X)]

    def slope(Y: Array, D: Array) -> Calls:  # (1 - |y|)²
        return [(np.absolute, Y, D), (np.subtract, one, D, D), (np.square, D, D)]

    return apply, slope


def _softplus(room: _Room, alpha: float, beta: float) -> Pair:
    zero = room.constant(0.0)

    def apply(X: Array) -> Calls:
        t = room.like(X)
        return [
            (np.absolute, X, t),
            negate(t, t),
            (np.exp, t, t),
            (np.log1p, t, t),
            (partial(np.maximum, out=X), X, zero),
            (np.add, X, t, X),
        ]

    def slope(Y: Array, D: Array) -> Calls:  # 1 - exp(-y)
        return [negate(Y, D), (np.expm1, D, D), negate(D, D)]

    return apply, slope


_FUNCTIONS: dict[str, Callable[[_Room, float, float], Pair]] = {
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "ThresholdedRelu": _thresholded_relu,
    "Elu": _elu,
    "Affine": _affine,
    "ScaledTanh": _scaled_tanh,
    "HardSigmoid": _hard_sigmoid,
    "Softsign": _softsign,
    "Softplus": _softplus,
}
