"""Optimizers with an update that is element by element: SGD, Lion, RMSprop, Adagrad, Adadelta, Ftrl.

Means and moments are stored divided by (1 − β): ``m ← βm + g`` instead of ``m ← βm + (1 − β)g``. All corrections are then
scalar factors, computed by one call per step; all other calls are in-place array arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.config import NonNegative, setting
from graphspec.graph.ir.graph import Array, Maybe
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.optimizers import optimizer as base
from graphspec.graph.schedules import Scheduled


@twin(before=base.BEFORE)
def sgd(  # noqa: PLR0913 (the operands of the kernel)
    p: Array,
    g: Array,
    other: Maybe,
    shrink: Maybe,
    v: Maybe,
    rate: Array,
    momentum: Maybe,
    nesterov: Maybe,
    /,
    *,
    t: Array,
) -> Calls:
    """Return the calls of :class:`SGD` for one block, after :func:`begin`; ``nesterov`` is any array or None."""
    calls = base.begin(p, g, other, shrink)
    calls.append((np.multiply, g, rate, t))
    if v is None:
        return [*calls, (np.subtract, p, t, p)]
    calls += [(np.multiply, v, momentum, v), (np.subtract, v, t, v)]
    if nesterov is None:
        return [*calls, (np.add, p, v, p)]
    return [*calls, (np.subtract, p, t, p), (np.multiply, v, momentum, t), (np.add, p, t, p)]


@base.OPTIMIZERS.add("SGD", "sgd")
class SGD(base.Optimizer):
    """Gradient descent ``p ← p − ηg``; with momentum ``m ← μm − ηg``, ``p ← p + m``; Nesterov: ``p ← p + μm − ηg``.

    Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013.
    """

    learning_rate: Scheduled = setting(0.01, "A number, or a schedule.")
    momentum: float = setting(0.0, "The factor μ of the previous update.", ge=0, le=1)
    nesterov: bool = setting(False, "Whether to use Nesterov's momentum.")

    def moments(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        (momentum,) = base.arrays_of(p, self.momentum) if self.momentum else [None]
        nesterov = momentum if self.nesterov else None
        return sgd(p, g, None, None, m.get("momentum"), rate, momentum, nesterov, t=t)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        if not self.momentum:
            return []
        v, (mu,) = m["momentum"], base.arrays_of(p, self.momentum)
        calls: Calls = [(np.multiply, v, mu, v)]
        return [*calls, (np.multiply, v, mu, t), (np.add, p, t, p)] if self.nesterov else [*calls, (np.add, p, v, p)]


@base.OPTIMIZERS.add("Lion", "lion")
class Lion(base.Optimizer):
    """``p ← p − η sign(β₁m + (1 − β₁)g)``, then ``m ← β₂m + (1 − β₂)g``.

    Chen et al., *Symbolic Discovery of Optimization Algorithms*, NeurIPS 2023.
    """

    beta_1: float = setting(0.9, "The weight of the mean gradient in the sign.", gt=0, le=1)
    beta_2: base.Decay = setting(0.99, "The decay rate of the mean of the gradient.")

    moment_names = ("momentum",)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        u, numbers = m["momentum"], (self.beta_2, self.beta_1 * (1 - self.beta_2), 1 - self.beta_1)
        beta_2, old, new = base.arrays_of(p, *numbers)
        calls: Calls = [(np.multiply, u, old, t), (np.multiply, u, beta_2, u), (np.add, u, g, u)]
        calls += [(np.multiply, g, new, g), (np.add, t, g, t), (np.sign, t, t), (np.multiply, t, rate, t)]
        return [*calls, (np.subtract, p, t, p)]


@twin(before=base.BEFORE)
def rmsprop(  # noqa: PLR0913 (the operands of the kernel)
    p: Array,
    g: Array,
    other: Maybe,
    shrink: Maybe,
    v: Array,
    mean: Maybe,
    u: Maybe,
    rate: Array,
    rho: Array,
    epsilon: Array,
    share: Maybe,
    momentum: Maybe,
    /,
    *,
    t: Array,
) -> Calls:
    """Return the calls of :class:`RMSprop` for one block, after :func:`begin`.

    ``mean`` and ``share``, 1 − ρ, are there if it is centered; ``u`` and ``momentum`` if updates accumulate.
    """
    calls = base.begin(p, g, other, shrink)
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


@twin(before=base.BEFORE)
def adagrad(
    p: Array, g: Array, other: Maybe, shrink: Maybe, squares: Array, rate: Array, epsilon: Array, /, *, t: Array
) -> Calls:
    """Return the calls of :class:`Adagrad` for one block, after :func:`begin`."""
    calls = base.begin(p, g, other, shrink)
    calls += [(np.square, g, t), (np.add, squares, t, squares), (np.add, squares, epsilon, t), (np.sqrt, t, t)]
    return [*calls, (np.divide, g, t, g), (np.multiply, g, rate, g), (np.subtract, p, g, p)]


@base.OPTIMIZERS.add("RMSprop", "rmsprop")
class RMSprop(base.Optimizer):
    """``v ← ρv + (1 − ρ)g²``, ``p ← p − ηg / √(v + ε)``.

    With ``centered`` the square of the mean gradient is subtracted from v. With momentum the updates u accumulate: ``u
    ← μu + ηg / √(v + ε)``, ``p ← p − u``. Tieleman and Hinton, *Neural Networks for Machine Learning*, lecture 6, 2012.
    """

    rho: base.Decay = setting(0.9, "The decay rate of the mean square of the gradient.")
    momentum: float = setting(0.0, "The factor of the previous update.", ge=0, le=1)
    epsilon: base.Epsilon = setting(1e-7, "The constant that is added under the root.")
    centered: bool = setting(False, "Whether to divide by the deviation from the mean gradient.")

    def moments(self) -> tuple[str, ...]:
        return ("velocity", *(("mean",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate / base.root(1 - self.rho),)

    factors_by_rate = factors

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        given = self.rho, 1 - self.rho, self.momentum, self.epsilon / (1 - self.rho)
        rho, share, momentum, epsilon = base.arrays_of(p, *given)
        numbers = rho, epsilon, share if self.centered else None, momentum if self.momentum else None
        return rmsprop(p, g, None, None, m["velocity"], m.get("mean"), m.get("momentum"), rate, *numbers, t=t)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        if self.centered or self.momentum:
            return None
        return [(np.multiply, m["velocity"], np.array(self.rho, p.dtype), m["velocity"])]


@base.OPTIMIZERS.add("Adagrad", "adagrad")
class Adagrad(base.Optimizer):
    """``a ← a + g²``, ``p ← p − ηg / √(a + ε)``.

    Duchi, Hazan and Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization*, JMLR 2011.
    """

    initial_accumulator_value: NonNegative = setting(0.1, "The initial value of the sum of squares.")
    epsilon: base.Epsilon = setting(1e-7, "The constant that is added to the sum of squares.")

    moment_names = ("accumulator",)

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        slots["accumulator"].fill(self.initial_accumulator_value)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        return adagrad(p, g, None, None, m["accumulator"], rate, np.array(self.epsilon, p.dtype), t=t)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        return []


@base.OPTIMIZERS.add("Adadelta", "adadelta")
class Adadelta(base.Optimizer):
    """``v ← ρv + (1 − ρ)g²``, ``δ = g √(d + ε) / √(v + ε)``, ``d ← ρd + (1 − ρ)δ²``, ``p ← p − ηδ``.

    Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, 2012.
    """

    rho: base.Decay = setting(0.95, "The decay rate of the mean squares.")
    epsilon: base.Epsilon = setting(1e-7, "The constant that is added to the mean squares.")

    moment_names = ("accumulated_grad", "accumulated_delta_var")

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        v, d = m["accumulated_grad"], m["accumulated_delta_var"]
        rho, epsilon = base.arrays_of(p, self.rho, self.epsilon / (1 - self.rho))
        calls: Calls = [(np.multiply, v, rho, v), (np.square, g, t), (np.add, v, t, v)]
        calls += [(np.add, d, epsilon, t), (np.sqrt, t, t), (np.multiply, g, t, g)]
        calls += [(np.add, v, epsilon, t), (np.sqrt, t, t), (np.divide, g, t, g)]
        calls += [(np.multiply, d, rho, d), (np.square, g, t), (np.add, d, t, d)]
        return [*calls, (np.multiply, g, rate, g), (np.subtract, p, g, p)]

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        rho = np.array(self.rho, p.dtype)
        return [(np.multiply, mean, rho, mean) for mean in (m["accumulated_grad"], m["accumulated_delta_var"])]


@base.OPTIMIZERS.add("Ftrl", "ftrl")
class Ftrl(base.Optimizer):
    """``n' = n + g²``, ``z ← z + g + 2λₛp − (n'^−κ − n^−κ)p/η``, ``p ← (clip(z, ±λ₁) − z) / (n'^−κ/η + 2λ₂ + β/η)``.

    κ is ``learning_rate_power``; λ₁, λ₂ and λₛ are the strengths of L1, L2 and shrinkage.
    McMahan et al., *Ad Click Prediction: a View from the Trenches*, KDD 2013.
    """

    learning_rate_power: float = setting(-0.5, "The power of the sum of squares in the learning rate.", le=0)
    initial_accumulator_value: NonNegative = setting(0.1, "The initial value of the sum of squares.")
    l1_regularization_strength: NonNegative = setting(0.0, "The strength λ₁ of L1; sets weights to exactly 0.")
    l2_regularization_strength: NonNegative = setting(0.0, "The strength λ₂ of L2; shrinks weights.")
    l2_shrinkage_regularization_strength: NonNegative = setting(0.0, "The strength λₛ of shrinkage.")
    beta: float = setting(0.0, "The constant β in the divisor.")

    moment_names = ("accumulator", "linear")

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
