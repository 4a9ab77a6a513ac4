"""Optimizers that use the gradient or its moving average: SGD, Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from graphspec.graph.kernels.compiled import twin
from graphspec.graph.optimizers.base import BEFORE, OPTIMIZERS, Decay, LearningRate, Optimizer, begin

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.graph.ir.graph import Array


@twin(before=BEFORE)
def sgd(  # noqa: PLR0913 (the operands of the kernel)
    p: Array,
    g: Array,
    other: Array | None,
    shrink: Array | None,
    v: Array | None,
    rate: Array,
    momentum: Array | None,
    nesterov: Array | None,
    /,
    *,
    t: Array,
) -> Calls:
    """Return the calls of :class:`SGD` for one block, after :func:`begin`; ``nesterov`` is any array or None."""
    calls = begin(p, g, other, shrink)
    calls.append((np.multiply, g, rate, t))
    if v is None:
        return [*calls, (np.subtract, p, t, p)]
    calls += [(np.multiply, v, momentum, v), (np.subtract, v, t, v)]
    if nesterov is None:
        return [*calls, (np.add, p, v, p)]
    return [*calls, (np.subtract, p, t, p), (np.multiply, v, momentum, t), (np.add, p, t, p)]


@OPTIMIZERS.add("SGD", "sgd")
class SGD(Optimizer):
    """Gradient descent ``p ← p − ηg``; with momentum ``m ← μm − ηg``, ``p ← p + m``; Nesterov: ``p ← p + μm − ηg``.

    Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013.
    """

    learning_rate: LearningRate = Field(0.01, description="A number, or a schedule.")
    momentum: float = Field(0.0, ge=0, le=1, description="The factor μ of the previous update.")
    nesterov: bool = Field(False, description="Whether to use Nesterov's momentum.")

    def moments(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate,)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        momentum = np.array(self.momentum, p.dtype) if self.momentum else None
        nesterov = momentum if self.nesterov else None
        return sgd(p, g, None, None, m.get("momentum"), rate, momentum, nesterov, t=t)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        if not self.momentum:
            return []
        v, mu = m["momentum"], np.array(self.momentum, p.dtype)
        calls: Calls = [(np.multiply, v, mu, v)]
        return [*calls, (np.multiply, v, mu, t), (np.add, p, t, p)] if self.nesterov else [*calls, (np.add, p, v, p)]


@OPTIMIZERS.add("Lion", "lion")
class Lion(Optimizer):
    """``p ← p − η sign(β₁m + (1 − β₁)g)``, then ``m ← β₂m + (1 − β₂)g``.

    Chen et al., *Symbolic Discovery of Optimization Algorithms*, NeurIPS 2023.
    """

    beta_1: float = Field(0.9, gt=0, le=1, description="The weight of the mean gradient in the sign.")
    beta_2: Decay = Field(0.99, description="The decay rate of the mean of the gradient.")

    def moments(self) -> tuple[str, ...]:
        return ("momentum",)

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate,)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        u, beta_2 = m["momentum"], np.array(self.beta_2, p.dtype)
        old, new = np.array(self.beta_1 * (1 - self.beta_2), p.dtype), np.array(1 - self.beta_1, p.dtype)
        calls: Calls = [(np.multiply, u, old, t), (np.multiply, u, beta_2, u), (np.add, u, g, u)]
        calls += [(np.multiply, g, new, g), (np.add, t, g, t), (np.sign, t, t), (np.multiply, t, rate, t)]
        return [*calls, (np.subtract, p, t, p)]
