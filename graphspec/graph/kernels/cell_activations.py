"""The activations of recurrent operators. They work in place; their derivatives are computed from their value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import copy_cast, negate
from graphspec.graph.kernels.context import Context, need

Write = Callable[[Array, Array], Calls]


@dataclass(frozen=True)
class Gate:
    """An activation with its alpha and beta.

    ``apply(X)`` returns calls that replace X by ``Y = f(X)``; ``slope(Y, D)`` returns calls for ``D = f'(X)``.
    """

    name: str
    alpha: float
    beta: float
    apply: Callable[[Array], Calls]
    slope: Write

    @property
    def bounded(self) -> bool:
        """Whether the values of the activation are bounded."""
        return self.name in ("Sigmoid", "HardSigmoid", "Tanh", "Softsign")


_UNUSED: tuple[float, ...] = ()
_REQUIRED = math.nan
DEFAULTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "Sigmoid": (_UNUSED, _UNUSED),
    "Tanh": (_UNUSED, _UNUSED),
    "Relu": (_UNUSED, _UNUSED),
    "Softsign": (_UNUSED, _UNUSED),
    "Softplus": (_UNUSED, _UNUSED),
    "LeakyRelu": ((0.01,), _UNUSED),
    "ThresholdedRelu": ((_REQUIRED,), _UNUSED),
    "Elu": ((1.0,), _UNUSED),
    "Affine": ((_REQUIRED,), (_REQUIRED,)),
    "ScaledTanh": ((_REQUIRED,), (_REQUIRED,)),
    "HardSigmoid": ((0.2,), (0.5,)),
}
"""The default alpha and beta of each activation of ONNX's recurrent operators; empty if the activation does not use it.
``_REQUIRED``: the defaults of ONNX and onnxruntime differ, so the spec must give the value."""
_CANONICAL = {name.lower(): name for name in DEFAULTS}


def parse_activations(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> list[tuple[str, float, float]]:
    """Return each activation with its alpha and beta.

    As in onnxruntime, the activations that use an alpha or a beta receive them in the order of the lists.

    Raises:
        ShapeError: ``GS105`` for an unknown name, missing or surplus values, or a slope that is not positive.
    """
    unused = [list(alphas or ()), list(betas or ())]
    parsed = []
    for given_name in names:
        name = _CANONICAL.get(given_name.lower(), "")
        need(bool(name), f"does not know the activation '{given_name}'", code=Code.VALUE_NOT_ALLOWED)
        values = [0.0, 0.0]
        for k, default in enumerate(DEFAULTS[name]):
            if default:
                values[k] = unused[k].pop(0) if unused[k] else default[0]
        need(
            not any(map(math.isnan, values)),
            f"needs an alpha or a beta for the activation {name}",
            code=Code.VALUE_NOT_ALLOWED,
        )
        signed = name in ("LeakyRelu", "Elu", "HardSigmoid", "ScaledTanh")
        need(
            not signed or values[0] > 0,
            f"needs an alpha above 0 for {name}, got {values[0]}",
            code=Code.VALUE_NOT_ALLOWED,
        )
        parsed.append((name, values[0], values[1]))
    need(not any(unused), "has more alphas or betas than its activations use", code=Code.VALUE_NOT_ALLOWED)
    return parsed


def gate(ctx: Context, spec: tuple[str, float, float], size: Sequence[int]) -> Gate:
    """Return the activation ``spec`` for arrays of up to ``size``, valid in one pass (forward or backward)."""
    name, alpha, beta = spec
    apply, slope = _FUNCTIONS[name](_Scratch(ctx, size), alpha, beta)
    return Gate(name, alpha, beta, apply, slope)


class _Scratch:
    """Constants and scratch buffers of one activation; a buffer is allocated when it is first requested."""

    def __init__(self, ctx: Context, size: Sequence[int]) -> None:
        self.ctx, self.size = ctx, int(np.prod(size, dtype=np.int64))
        self._buffers: dict[Any, Array] = {}

    def constant(self, value: float) -> Array:
        return self.ctx.constant(value)

    def like(self, X: Array, dtype: Any = None) -> Array:
        dtype = np.dtype(X.dtype if dtype is None else dtype)
        if dtype not in self._buffers:
            self._buffers[dtype] = self.ctx.scratch((self.size,), dtype)
        return self._buffers[dtype][: X.size].reshape(X.shape)


Functions = tuple[Callable[[Array], Calls], Write]


def _sigmoid(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    half, one = scratch.constant(0.5), scratch.constant(1.0)  # ½ · tanh(x / 2) + ½ needs only one slow call, tanh

    def apply(X: Array) -> Calls:
        return [(np.multiply, X, half, X), (np.tanh, X, X), (np.multiply, X, half, X), (np.add, X, half, X)]

    def slope(Y: Array, D: Array) -> Calls:
        return [(np.subtract, one, Y, D), (np.multiply, Y, D, D)]

    return apply, slope


def _tanh(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    one = scratch.constant(1.0)
    return (
        lambda X: [(np.tanh, X, X)],
        lambda Y, D: [(np.square, Y, D), (np.subtract, one, D, D)],
    )


def _positive(scratch: _Scratch, Y: Array, D: Array, low: float) -> Calls:
    """Return calls for ``D = 1`` where ``Y > 0``, else ``low``."""
    calls: Calls = [(partial(np.greater, out=D, casting="unsafe"), Y, scratch.constant(0.0))]
    if low:
        calls += [(np.multiply, D, scratch.constant(1.0 - low), D), (np.add, D, scratch.constant(low), D)]
    return calls


def _relu(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    zero = scratch.constant(0.0)
    return lambda X: [(partial(np.maximum, out=X), X, zero)], lambda Y, D: _positive(scratch, Y, D, 0.0)


def _leaky_relu(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    slope, steeper = scratch.constant(alpha), np.maximum if alpha <= 1 else np.minimum

    def apply(X: Array) -> Calls:
        t = scratch.like(X)
        return [(np.multiply, X, slope, t), (partial(steeper, out=X), X, t)]

    return apply, lambda Y, D: _positive(scratch, Y, D, alpha)


def _thresholded_relu(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    threshold, zero = scratch.constant(alpha), scratch.constant(0.0)

    def apply(X: Array) -> Calls:
        over = scratch.like(X, np.bool_)
        return [(np.greater, X, threshold, over), (np.multiply, X, over, X)]

    return apply, lambda Y, D: [(partial(np.not_equal, out=D, casting="unsafe"), Y, zero)]


def _elu(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    zero, scale = scratch.constant(0.0), scratch.constant(alpha)

    def apply(X: Array) -> Calls:  # max(x, 0) + alpha · expm1(min(x, 0))
        t = scratch.like(X)
        return [
            (partial(np.minimum, out=t), X, zero),
            (np.expm1, t, t),
            (np.multiply, t, scale, t),
            (partial(np.maximum, out=X), X, zero),
            (np.add, X, t, X),
        ]

    def slope(Y: Array, D: Array) -> Calls:  # 1 where y > 0, else y + alpha
        t = scratch.like(Y)
        return [
            (partial(np.minimum, out=D), Y, zero),
            (np.add, D, scale, D),
            (partial(np.greater, out=t, casting="unsafe"), Y, zero),
            (np.multiply, t, scratch.constant(1.0 - alpha), t),
            (np.add, D, t, D),
        ]

    return apply, slope


def _affine(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    scale, shift = scratch.constant(alpha), scratch.constant(beta)

    def apply(X: Array) -> Calls:
        calls: Calls = [] if alpha == 1.0 else [(np.multiply, X, scale, X)]
        return calls if beta == 0.0 else [*calls, (np.add, X, shift, X)]

    return apply, lambda Y, D: [(copy_cast, D, scale)]


def _scaled_tanh(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    scale, inner = scratch.constant(alpha), scratch.constant(beta)

    def apply(X: Array) -> Calls:
        return [(np.multiply, X, inner, X), (np.tanh, X, X), (np.multiply, X, scale, X)]

    def slope(Y: Array, D: Array) -> Calls:  # beta · (alpha - y² / alpha)
        return [
            (np.square, Y, D),
            (np.multiply, D, scratch.constant(-beta / alpha), D),
            (np.add, D, scratch.constant(alpha * beta), D),
        ]

    return apply, slope


def _hard_sigmoid(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    scale, shift, zero, one = (scratch.constant(c) for c in (alpha, beta, 0.0, 1.0))

    def apply(X: Array) -> Calls:
        return [
            (np.multiply, X, scale, X),
            (np.add, X, shift, X),
            (partial(np.maximum, out=X), X, zero),
            (partial(np.minimum, out=X), X, one),
        ]

    def slope(Y: Array, D: Array) -> Calls:
        below = scratch.like(Y, np.bool_)
        return [
            (partial(np.greater, out=D, casting="unsafe"), Y, zero),
            (np.less, Y, one, below),
            (np.multiply, D, below, D),
            (np.multiply, D, scale, D),
        ]

    return apply, slope


def _softsign(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    one = scratch.constant(1.0)

    def apply(X: Array) -> Calls:
        t = scratch.like(X)
        return [(np.absolute, X, t), (np.add, t, one, t), (np.divide, X, t, X)]

    def slope(Y: Array, D: Array) -> Calls:  # (1 - |y|)²
        return [(np.absolute, Y, D), (np.subtract, one, D, D), (np.square, D, D)]

    return apply, slope


def _softplus(scratch: _Scratch, alpha: float, beta: float) -> Functions:
    zero = scratch.constant(0.0)

    def apply(X: Array) -> Calls:
        t = scratch.like(X)
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


_FUNCTIONS: dict[str, Callable[[_Scratch, float, float], Functions]] = {
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
