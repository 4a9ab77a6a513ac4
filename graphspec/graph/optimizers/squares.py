"""Optimizers that divide by the root of past squared gradients: RMSprop, Adagrad, Adadelta, Ftrl.

Means are stored divided by (1 − ρ): ``v ← ρv + g²`` instead of ``v ← ρv + (1 − ρ)g²``. All corrections are then scalar
factors, computed by one call per step; all other calls are in-place array arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from graphspec.base.config import NonNegative
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.optimizers.base import BEFORE, OPTIMIZERS, Decay, Epsilon, Optimizer, begin

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.graph.ir.graph import Array


@twin(before=BEFORE)
def rmsprop(  # noqa: PLR0913 (the operands of the kernel)
    p: Array,
    g: Array,
    other: Array | None,
    shrink: Array | None,
    v: Array,
    mean: Array | None,
    u: Array | None,
    rate: Array,
    rho: Array,
    epsilon: Array,
    share: Array | None,
    momentum: Array | None,
    /,
    *,
    t: Array,
) -> Calls:
    """Return the calls of :class:`RMSprop` for one block, after :func:`begin`.

    ``mean`` and ``share``, 1 − ρ, are there if it is centered; ``u`` and ``momentum`` if updates accumulate.
    """
    calls = begin(p, g, other, shrink)
    calls += [(np.multiply, v, rho, v), (np.square, g, t), (np.add, v, t, v)]
    if mean is None:
        calls.append((np.add, v, epsilon, t))
    else:
        calls += [(np.multiply, mean, rho, mean), (np.add, mean, g, mean), (np.square, mean, t)]
        calls += [(np.multiply, t, share, t), (np.subtract, v, t, t), (np.add, t, epsilon, t)]
    calls += [(np.sqrt, t, t), (np.divide, g, t, t), (np.multiply, t, rate, t)]
    if u is None:
        return [*calls, (np.subtract, p, t, p)]
    return [*calls, (np.multiply, u, momentum, u), (np.add, u, t, u), (np.subtract, p, u, p)]


@twin(before=BEFORE)
def adagrad(
    p: Array,
    g: Array,
    other: Array | None,
    shrink: Array | None,
    squares: Array,
    rate: Array,
    epsilon: Array,
    /,
    *,
    t: Array,
) -> Calls:
    """Return the calls of :class:`Adagrad` for one block, after :func:`begin`."""
    calls = begin(p, g, other, shrink)
    calls += [(np.square, g, t), (np.add, squares, t, squares), (np.add, squares, epsilon, t), (np.sqrt, t, t)]
    return [*calls, (np.divide, g, t, g), (np.multiply, g, rate, g), (np.subtract, p, g, p)]


@OPTIMIZERS.add("RMSprop", "rmsprop")
class RMSprop(Optimizer):
    """``v ← ρv + (1 − ρ)g²``, ``p ← p − ηg / √(v + ε)``.

    With ``centered`` the square of the mean gradient is subtracted from v. With momentum the updates u accumulate: ``u
    ← μu + ηg / √(v + ε)``, ``p ← p − u``. Tieleman and Hinton, *Neural Networks for Machine Learning*, lecture 6, 2012.
    """

    rho: Decay = Field(0.9, description="The decay rate of the mean square of the gradient.")
    momentum: float = Field(0.0, ge=0, le=1, description="The factor of the previous update.")
    epsilon: Epsilon = Field(1e-7, description="The constant that is added under the root.")
    centered: bool = Field(False, description="Whether to divide by the deviation from the mean gradient.")

    def moments(self) -> tuple[str, ...]:
        return ("velocity", *(("mean",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate / math.sqrt(1 - self.rho),)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        rho, share, momentum = (np.array(x, p.dtype) for x in (self.rho, 1 - self.rho, self.momentum))
        numbers = rho, np.array(self.epsilon / (1 - self.rho), p.dtype), share if self.centered else None
        slots = m["velocity"], m.get("mean"), m.get("momentum")
        return rmsprop(p, g, None, None, *slots, rate, *numbers, momentum if self.momentum else None, t=t)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        if self.centered or self.momentum:
            return None
        return [(np.multiply, m["velocity"], np.array(self.rho, p.dtype), m["velocity"])]


@OPTIMIZERS.add("Adagrad", "adagrad")
class Adagrad(Optimizer):
    """``a ← a + g²``, ``p ← p − ηg / √(a + ε)``.

    Duchi, Hazan and Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization*, JMLR 2011.
    """

    initial_accumulator_value: NonNegative = Field(0.1, description="The initial value of the sum of squares.")
    epsilon: Epsilon = Field(1e-7, description="The constant that is added to the sum of squares.")

    def moments(self) -> tuple[str, ...]:
        return ("accumulator",)

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        slots["accumulator"].fill(self.initial_accumulator_value)

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate,)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        return adagrad(p, g, None, None, m["accumulator"], rate, np.array(self.epsilon, p.dtype), t=t)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        return []


@OPTIMIZERS.add("Adadelta", "adadelta")
class Adadelta(Optimizer):
    """``v ← ρv + (1 − ρ)g²``, ``δ = g √(d + ε) / √(v + ε)``, ``d ← ρd + (1 − ρ)δ²``, ``p ← p − ηδ``.

    Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, 2012.
    """

    rho: Decay = Field(0.95, description="The decay rate of the mean squares.")
    epsilon: Epsilon = Field(1e-7, description="The constant that is added to the mean squares.")

    def moments(self) -> tuple[str, ...]:
        return ("accumulated_grad", "accumulated_delta_var")

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate,)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        v, d, rho = m["accumulated_grad"], m["accumulated_delta_var"], np.array(self.rho, p.dtype)
        epsilon = np.array(self.epsilon / (1 - self.rho), p.dtype)
        calls: Calls = [(np.multiply, v, rho, v), (np.square, g, t), (np.add, v, t, v)]
        calls += [(np.add, d, epsilon, t), (np.sqrt, t, t), (np.multiply, g, t, g)]
        calls += [(np.add, v, epsilon, t), (np.sqrt, t, t), (np.divide, g, t, g)]
        calls += [(np.multiply, d, rho, d), (np.square, g, t), (np.add, d, t, d)]
        return [*calls, (np.multiply, g, rate, g), (np.subtract, p, g, p)]

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        rho = np.array(self.rho, p.dtype)
        return [(np.multiply, mean, rho, mean) for mean in (m["accumulated_grad"], m["accumulated_delta_var"])]


@OPTIMIZERS.add("Ftrl", "ftrl")
class Ftrl(Optimizer):
    """``n' = n + g²``, ``z ← z + g + 2λₛp − (n'^−κ − n^−κ)p/η``, ``p ← (clip(z, ±λ₁) − z) / (n'^−κ/η + 2λ₂ + β/η)``.

    κ is ``learning_rate_power``; λ₁, λ₂ and λₛ are the strengths of L1, L2 and shrinkage.
    McMahan et al., *Ad Click Prediction: a View from the Trenches*, KDD 2013.
    """

    learning_rate_power: float = Field(-0.5, le=0, description="The power of the sum of squares in the learning rate.")
    initial_accumulator_value: NonNegative = Field(0.1, description="The initial value of the sum of squares.")
    l1_regularization_strength: NonNegative = Field(
        0.0, description="The strength λ₁ of L1; sets weights to exactly 0."
    )
    l2_regularization_strength: NonNegative = Field(0.0, description="The strength λ₂ of L2; shrinks weights.")
    l2_shrinkage_regularization_strength: NonNegative = Field(0.0, description="The strength λₛ of shrinkage.")
    beta: float = Field(0.0, description="The constant β in the divisor.")

    def moments(self) -> tuple[str, ...]:
        return ("accumulator", "linear")

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        # Not 0: if a gradient has always been 0, the quotient would be 0 / 0.
        slots["accumulator"].fill(max(self.initial_accumulator_value, 1e-30))

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        rate = max(rate, 1e-30)  # a schedule may end at 0; the weights then hardly change
        return (1 / rate, 2 * self.l2_regularization_strength + self.beta / rate)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        inverse_rate, shrinkage = factors
        n, z = m["accumulator"], m["linear"]
        high = np.array(self.l1_regularization_strength, p.dtype)
        low = np.negative(high)
        calls: Calls = [(np.add, z, g, z)]
        if self.l2_shrinkage_regularization_strength:
            twice = np.array(2 * self.l2_shrinkage_regularization_strength, p.dtype)
            calls += [(np.multiply, p, twice, t), (np.add, z, t, z)]
        calls += [(np.square, g, g), (np.add, g, n, g), self._power(n, t), (np.copyto, n, g), self._power(n, g)]
        calls += [(np.multiply, g, inverse_rate, g), (np.multiply, t, inverse_rate, t), (np.subtract, g, t, t)]
        calls += [(np.multiply, t, p, t), (np.subtract, z, t, z), (np.add, g, shrinkage, g)]
        calls += [(np.clip, z, low, high, t), (np.subtract, t, z, t), (np.divide, t, g, p)]
        return [*calls, (g.fill, 0.0)]

    def _power(self, x: Array, out: Array) -> tuple[object, ...]:
        if self.learning_rate_power == -0.5:
            return (np.sqrt, x, out)
        return (np.power, x, np.array(-self.learning_rate_power, x.dtype), out)
