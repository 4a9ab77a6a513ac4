"""Optimizers with Adam's moments, which are stored as in ``elementwise``, and Lookahead around another one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import accumulate

import numpy as np
from pydantic import model_validator

from graphspec.base.arrays.calls import Calls
from graphspec.base.config import NonNegative, PositiveInt, Rate, invalid, setting
from graphspec.graph.ir.graph import Array, Maybe
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.optimizers import optimizer as base
from graphspec.graph.schedules import Scheduled


def adam_rate(step: int, rate: float, beta_1: float, beta_2: float) -> float:
    """Return the factor of Adam's quotient of moments in update ``step``."""
    first, second = (1 - beta_1) / (1 - beta_1 ** (step + 1)), 1 - beta_2 ** (step + 1)
    return rate * first * base.root(second / (1 - beta_2))


def accumulate_moments(g: Array, t: Array, u: Array, v: Array, betas: tuple[float, float]) -> Calls:
    """Return calls that update the two moments: ``u ← β₁u + g``, ``v ← β₂v + g²``."""
    beta_1, beta_2 = base.arrays_of(g, *betas)
    calls: Calls = [(np.multiply, u, beta_1, u), (np.add, u, g, u)]
    return [*calls, (np.multiply, v, beta_2, v), (np.square, g, t), (np.add, v, t, v)]


@twin(before=base.BEFORE)
def adam(  # noqa: PLR0913 (the operands of the kernel)
    p: Array,
    g: Array,
    other: Maybe,
    shrink: Maybe,
    u: Array,
    v: Array,
    largest: Maybe,
    rate: Array,
    beta_1: Array,
    beta_2: Array,
    epsilon: Array,
    /,
    *,
    t: Array,
) -> Calls:
    """Return calls for ``u ← β₁u + g``, ``v ← β₂v + g²``, ``p ← p − rate · u / (√v + ε)``, after :func:`begin`."""
    calls = base.begin(p, g, other, shrink)
    calls += [(np.multiply, u, beta_1, u), (np.add, u, g, u)]
    calls += [(np.multiply, v, beta_2, v), (np.square, g, t), (np.add, v, t, v)]
    if largest is not None:
        calls.append((partial(np.maximum, out=largest), largest, v))
        v = largest
    calls += [(np.sqrt, v, t), (np.add, t, epsilon, t), (np.divide, u, t, t), (np.multiply, t, rate, t)]
    return [*calls, (np.subtract, p, t, p)]


@twin()
def adam_idle(  # noqa: PLR0913 (the operands of the kernel)
    p: Array,
    u: Array,
    v: Array,
    largest: Maybe,
    rate: Array,
    beta_1: Array,
    beta_2: Array,
    epsilon: Array,
    ids: Maybe,
    count: Maybe,
    /,
    *,
    t: Array,
) -> Calls:
    """Return calls for :func:`adam` with a gradient of 0; the kernel also for the first ``count`` of the rows ``ids`` alone.

    :func:`graphspec.graph.kernels.compiled.of_rows` gives it these.
    """
    assert ids is None, "NumPy's calls are for all rows"
    calls: Calls = [(np.multiply, u, beta_1, u), (np.multiply, v, beta_2, v)]
    calls += [(np.sqrt, v if largest is None else largest, t), (np.add, t, epsilon, t), (np.divide, u, t, t)]
    return [*calls, (np.multiply, t, rate, t), (np.subtract, p, t, p)]


def adam_update(
    p: Array,
    g: Array,
    t: Array,
    moments: tuple[Array, Array, Array | None],
    rate: Array,
    betas: tuple[float, float],
    epsilon: float,
) -> Calls:
    """Return calls that update one block by Adam; the third moment is AMSGrad's, the largest second one so far, or None."""
    numbers = base.arrays_of(p, *betas, epsilon / base.root(1 - betas[1]))
    return adam(p, g, None, None, *moments, rate, *numbers, t=t)


def keeps_sign(beta: float) -> bool:
    """Return whether ``beta`` times a negative number is never −0, to which adding a gradient of 0 would give +0."""
    return beta > 0.5


class Moments(base.Optimizer):
    """Base of the optimizers with Adam's two moments and arguments."""

    beta_1: base.Decay = setting(0.9, "The decay rate of the mean of the gradient.")
    beta_2: base.Decay = setting(0.999, "The decay rate of the mean square of the gradient.")
    epsilon: base.Epsilon = setting(1e-7, "The constant that is added to the divisor.")

    moment_names = ("momentum", "velocity")


@base.OPTIMIZERS.add("Adam", "adam")
class Adam(Moments):
    """``m ← β₁m + (1 − β₁)g``, ``v ← β₂v + (1 − β₂)g²``, ``p ← p − η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε)``.

    With ``amsgrad`` the largest v so far is used. Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR
    2015; Reddi et al., *On the Convergence of Adam and Beyond*, ICLR 2018.
    """

    amsgrad: bool = setting(False, "Whether the mean square never decreases (AMSGrad).")

    def moments(self) -> tuple[str, ...]:
        return (*super().moments(), *(("velocity_max",) if self.amsgrad else ()))

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (adam_rate(step, rate, self.beta_1, self.beta_2),)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        moments = m["momentum"], m["velocity"], m.get("velocity_max")
        return adam_update(p, g, t, moments, rate, (self.beta_1, self.beta_2), self.epsilon)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        if not keeps_sign(self.beta_1):
            return None
        moments, (rate,) = (m["momentum"], m["velocity"], m.get("velocity_max")), factors
        beta_1, beta_2, epsilon = base.arrays_of(p, self.beta_1, self.beta_2, self.epsilon / base.root(1 - self.beta_2))
        return adam_idle(p, *moments, rate, beta_1, beta_2, epsilon, None, None, t=t)


@base.OPTIMIZERS.add("AdamW", "adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay λ: ``p ← p − ηλp``, then Adam's update.

    Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019.
    """

    weight_decay: Scheduled | None = setting(0.004, base.OF_DECAY)

    @model_validator(mode="after")
    def _decays(self) -> AdamW:
        if self.weight_decay is None:
            text, hint = "must be a number or a schedule", "use Adam for no weight decay"
            raise invalid(text, hint, key="weight_decay", show_value=True)
        return self


@base.OPTIMIZERS.add("Adamax", "adamax")
class Adamax(Moments):
    """``m ← β₁m + (1 − β₁)g``, ``u ← max(β₂u, |g|)``, ``p ← p − η/(1 − β₁ᵗ) · m / (u + ε)``.

    Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015.
    """

    moment_names = ("momentum", "norm")

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate * (1 - self.beta_1) / (1 - self.beta_1 ** (step + 1)),)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        u, norm, (beta_1, beta_2) = m["momentum"], m["norm"], base.arrays_of(p, self.beta_1, self.beta_2)
        calls: Calls = [(np.multiply, u, beta_1, u), (np.add, u, g, u), (np.multiply, norm, beta_2, norm)]
        calls += [(np.abs, g, g), (partial(np.maximum, out=norm), norm, g)]
        return [*calls, *self._move(p, t, u, norm, factors)]

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        if not keeps_sign(self.beta_1):
            return None
        u, norm, (beta_1, beta_2) = m["momentum"], m["norm"], base.arrays_of(p, self.beta_1, self.beta_2)
        return [(np.multiply, u, beta_1, u), (np.multiply, norm, beta_2, norm), *self._move(p, t, u, norm, factors)]

    def _move(self, p: Array, t: Array, u: Array, norm: Array, factors: Sequence[Array]) -> Calls:
        """Return calls for ``p ← p − rate · u / (norm + ε)``."""
        (rate,), (epsilon,) = factors, base.arrays_of(p, self.epsilon)
        calls: Calls = [(np.add, norm, epsilon, t), (np.divide, u, t, t), (np.multiply, t, rate, t)]
        return [*calls, (np.subtract, p, t, p)]


@cache
def _nadam_products() -> tuple[float, ...]:
    """Return ``Π (1 − ½ · 0.96ᵏ)`` for k = 1 … t, up to the t from which the factors are 1 in float64."""
    return tuple(accumulate((1 - 0.5 * 0.96**k for k in range(1, 1000)), lambda a, b: a * b, initial=1.0))


@base.OPTIMIZERS.add("Nadam", "nadam")
class Nadam(Moments):
    """Adam with Nesterov's momentum: ``p ← p − η (μₜ₊₁m / (1 − Uₜ₊₁) + (1 − μₜ)g / (1 − Uₜ)) / (√(v / (1 − β₂ᵗ)) + ε)``.

    ``μₜ = β₁(1 − ½ · 0.96ᵗ)`` and ``Uₜ = μ₁ ⋯ μₜ``. Dozat, *Incorporating Nesterov Momentum into Adam*, 2016.
    """

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        t, products = step + 1, _nadam_products()
        now, next_ = (self.beta_1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        product = self.beta_1**t * products[min(t, len(products) - 1)]
        scale = base.root((1 - self.beta_2**t) / (1 - self.beta_2))
        of_mean = rate * scale * next_ * (1 - self.beta_1) / (1 - product * next_)
        return of_mean, rate * scale * (1 - now) / (1 - product), self.epsilon * scale

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        of_mean, of_gradient, epsilon = factors
        u, v = m["momentum"], m["velocity"]
        calls = accumulate_moments(g, t, u, v, (self.beta_1, self.beta_2))
        calls += [(np.multiply, g, of_gradient, g), (np.multiply, u, of_mean, t), (np.add, g, t, g)]
        calls += [(np.sqrt, v, t), (np.add, t, epsilon, t), (np.divide, g, t, g)]
        return [*calls, (np.subtract, p, g, p)]


@base.OPTIMIZERS.add("RAdam", "radam")
class RAdam(Moments):
    """Adam whose quotient is rectified by its variance: ``p ← p − η r m̂ / (√v̂ + ε)``, in the first steps ``p ← p − η m̂``.

    r is ``√((ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ))`` once ``ρ = ρ∞ − 2tβ₂ᵗ / (1 − β₂ᵗ)`` is above 5, with
    ``ρ∞ = 2 / (1 − β₂) − 1``, as in PyTorch. Not in Keras.
    Liu et al., *On the Variance of the Adaptive Learning Rate and Beyond*, ICLR 2020.
    """

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        t, power, last = step + 1, self.beta_2 ** (step + 1), 2 / (1 - self.beta_2) - 1
        rho, rate = last - 2 * t * power / (1 - power), rate * (1 - self.beta_1) / (1 - self.beta_1**t)
        if rho <= 5:
            return rate, 0.0, 1.0
        r = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
        scale = math.sqrt(1 - self.beta_2)
        return rate * r * math.sqrt(1 - power) / scale, 1.0, self.epsilon / scale

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate, share, epsilon), u, v = factors, m["momentum"], m["velocity"]
        calls = accumulate_moments(g, t, u, v, (self.beta_1, self.beta_2))
        calls += [(np.sqrt, v, t), (np.multiply, t, share, t), (np.add, t, epsilon, t), (np.divide, u, t, t)]
        return [*calls, (np.multiply, t, rate, t), (np.subtract, p, t, p)]


@base.OPTIMIZERS.add("Lookahead", "lookahead")
class Lookahead(base.Optimizer):
    """The updates of ``optimizer``; after every k of them ``s ← s + α(p − s)``, ``p ← s``, with slow weights s.

    Other settings, such as the learning rate, are those of ``optimizer`` unless they are set here.
    Zhang et al., *Lookahead Optimizer: k steps forward, 1 step back*, NeurIPS 2019. Not in Keras.
    """

    optimizer: base.Inner = setting("Adam", "The optimizer of the fast weights.", validate_default=True)
    k: PositiveInt = setting(5, "The number of updates from one of the slow weights to the next.")
    alpha: Rate = setting(0.5, "How far the slow weights move to the fast ones.")

    @model_validator(mode="after")
    def _inner(self) -> Lookahead:
        inner = self.optimizer
        if type(inner).updates is not base.Optimizer.updates or isinstance(inner, Lookahead):
            text = f"cannot be {type(inner).__name__}"
            raise invalid(text, "use one that updates each element by itself, such as AdamW", key="optimizer")
        for key in base.Optimizer.model_fields.keys() - self.model_fields_set:
            self.__dict__[key] = getattr(inner, key)
        return self

    def moments(self) -> tuple[str, ...]:
        return (*self.optimizer.moments(), "slow")

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        self.optimizer.start(P, slots)
        slots["slow"][...] = P

    def updates_rows(self) -> bool:
        return False  # the slow weights of all rows move

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        due = 0.0 ** (self.k - 1 - step % self.k)
        return (*self.optimizer.factors(step, rate), due, 1 - due, due * self.alpha)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (*own, due, keep, move), s = factors, m["slow"]
        calls = self.optimizer.update(p, g, t, m, *own)
        calls += [(np.subtract, p, s, t), (np.multiply, t, move, t), (np.add, s, t, s)]
        return [*calls, (np.multiply, p, keep, p), (np.multiply, s, due, t), (np.add, p, t, p)]


@base.OPTIMIZERS.add("ScheduleFreeAdamW", "schedulefreeadamw")
class ScheduleFreeAdamW(Moments):
    """``z ← z − ηg / (√(v / (1 − β₂ᵗ)) + ε)``, ``x ← (1 − 1/t)x + z/t``, ``p = (1 − β₁)z + β₁x``.

    z is the slot ``momentum``. Gradients, validation and export use p, as in Keras.
    Defazio et al., *The Road Less Scheduled*, NeurIPS 2024.
    """

    learning_rate: Scheduled = setting(0.0025, "A number, or a schedule.")
    epsilon: base.Epsilon = setting(1e-8, "The constant that is added to the divisor.")
    warmup_steps: NonNegative = setting(0, "Steps in which the learning rate increases linearly.")

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        slots["momentum"][...] = P

    def updates_rows(self) -> bool:
        return False  # p is a mean over all steps

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        t = step + 1
        if self.warmup_steps > 0:
            rate *= min(t / self.warmup_steps, 1.0)
        scale = base.root((1 - self.beta_2**t) / (1 - self.beta_2))
        return rate * scale, self.epsilon * scale, 1 - 1 / t, 1 / t, (1 - 1 / t) * (1 - self.beta_1)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        # With d the step of z, p follows from its old value without storing x: p ← (1 − 1/t)(p − (1 − β₁)d) + z/t.
        rate, epsilon, keep, add, back = factors
        z, v, (beta_2,) = m["momentum"], m["velocity"], base.arrays_of(p, self.beta_2)
        calls: Calls = [(np.multiply, v, beta_2, v), (np.square, g, t), (np.add, v, t, v)]
        calls += [(np.sqrt, v, t), (np.add, t, epsilon, t), (np.divide, g, t, g), (np.multiply, g, rate, g)]
        calls += [(np.subtract, z, g, z), (np.multiply, p, keep, p), (np.multiply, g, back, g)]
        return [*calls, (np.subtract, p, g, p), (np.multiply, z, add, t), (np.add, p, t, p)]
