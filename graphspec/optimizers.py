"""Optimizers over flat parameter vectors, with Keras's formulas and defaults.

Moments are kept divided by (1 − β): ``m ← βm + g`` in place of ``m ← βm + (1 − β)g``. All corrections are then factors
of the step, scalars that one call works out; the rest is in-place arithmetic on blocks that stay in cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from graphspec.config import Config, NonNegative, Positive, Registry
from graphspec.schedules import SCHEDULES, Schedule

if TYPE_CHECKING:
    from graphspec.compiler.ir import Array
    from graphspec.ops.base import Calls
    from graphspec.runtime.random import Clock
    from graphspec.runtime.store import Segment

_BLOCK = 1 << 16  # elements: the four or five operands of a step stay in the second-level cache


def _number_or_schedule(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str | dict | Schedule):
        raise PydanticCustomError("GS104", "must be a number or a schedule")
    return value if isinstance(value, int | float) else SCHEDULES.parse(value)


LearningRate = Annotated[
    NonNegative | Schedule,
    BeforeValidator(_number_or_schedule),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"x-kind": "schedule"}]}),
]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Epsilon = Annotated[float, Field(ge=1e-30)]
"""Not 0: where a gradient has always been 0, the quotient would be 0 / 0."""


class Rate:
    """The learning rate of a run. Without a schedule, ``value`` may be set; it is then part of a checkpoint."""

    __slots__ = ("schedule", "value")

    def __init__(self, learning_rate: float | Schedule) -> None:
        self.schedule = learning_rate if isinstance(learning_rate, Schedule) else None
        self.value = learning_rate(0) if isinstance(learning_rate, Schedule) else float(learning_rate)

    def advance(self, step: int) -> float:
        """The rate of ``step``, which becomes ``value``."""
        if self.schedule is not None:
            self.value = self.schedule(step)
        return self.value


class Optimizer(Config):
    """Base of the optimizers.

    A step is, as in Keras: clip the gradients, shrink the weights by ``learning_rate · weight_decay``, update, average.
    ``loss_scale_factor`` multiplies the loss and divides the gradients: with float32 the two cancel, so neither is done.
    """

    learning_rate: LearningRate = Field(0.001, description="A number, or a schedule.")
    weight_decay: NonNegative | None = Field(None, description="What a step takes from each weight, times the rate.")
    clipnorm: Positive | None = Field(None, description="Largest norm of the gradient of each weight.")
    clipvalue: Positive | None = Field(None, description="Largest size of each element of the gradients.")
    global_clipnorm: Positive | None = Field(None, description="Largest norm of all gradients together.")
    use_ema: bool = Field(False, description="Whether to train a moving average of the weights.")
    ema_momentum: float = Field(0.99, ge=0, le=1, description="How much of the moving average stays at each step.")
    ema_overwrite_frequency: int | None = Field(
        None, ge=1, description="Steps between taking the average; null for the end."
    )
    loss_scale_factor: Positive | None = Field(
        None, description="The loss is multiplied by this, the gradients divided."
    )
    gradient_accumulation_steps: int | None = Field(None, ge=2, description="Steps that share one update.")

    @model_validator(mode="after")
    def _one_clip(self) -> Optimizer:
        given = [k for k in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, k) is not None]
        if len(given) > 1:
            text = "only one of clipnorm, clipvalue and global_clipnorm may be set, got {given}"
            raise PydanticCustomError("GS105", text, {"given": " and ".join(given), "below": given[-1]})
        return self

    def moments(self) -> tuple[str, ...]:
        """The names of the vectors that the update rule keeps."""
        return ()

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        """The scalars of update ``step`` (from 0)."""
        raise NotImplementedError

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        """Calls that update ``p`` from ``g``, which may be overwritten; ``t`` is scratch of the same length."""
        raise NotImplementedError

    def rate(self) -> Rate:
        """The learning rate at the start of a run."""
        return Rate(self.learning_rate)

    def slots(self) -> tuple[str, ...]:
        """The names of the state vectors, each laid out as the trainable one and zero at the start."""
        ema = ("ema",) if self.use_ema else ()
        return self.moments() + ema + (("accumulator",) if self.gradient_accumulation_steps else ())

    def bind(
        self,
        P: Array,
        G: Array,
        slots: Mapping[str, Array],
        segments: Sequence[Segment],
        clock: Clock,
        rate: Rate,
    ) -> Calls:
        """Calls that update the weights ``P`` in place from their gradient ``G``, which they may overwrite.

        ``clock.step`` is the index, from 0, of the step that is being done.
        """
        every = self.gradient_accumulation_steps or 1
        factors = [np.zeros((), P.dtype) for _ in self.factors(0, 1.0)]
        shrink = np.ones((), P.dtype)

        def begin() -> None:
            learning_rate = rate.advance(clock.step)
            for array, value in zip(factors, self.factors(clock.step // every, learning_rate), strict=True):
                array.fill(value)
            if self.weight_decay:
                shrink.fill(1 - self.weight_decay * learning_rate)

        t = np.zeros(min(_BLOCK, P.size), P.dtype)
        update: Calls = [(begin,), *self._clip(G, segments)]
        for start in range(0, P.size, _BLOCK):
            block = slice(start, min(start + _BLOCK, P.size))
            p = P[block]
            if self.weight_decay:
                update.append((np.multiply, p, shrink, p))
            moments = {name: slots[name][block] for name in self.moments()}
            update += self.update(p, G[block], t[: p.size], moments, *factors)
        calls = _accumulate(update, G, slots["accumulator"], every, clock) if every > 1 else update
        return calls + (self._average(P, slots["ema"], t, every, clock) if self.use_ema else [])

    def finalize(self, P: Array, slots: Mapping[str, Array]) -> None:
        """The end of a training: with ``use_ema`` the weights become their moving average."""
        if self.use_ema:
            P[...] = slots["ema"]

    def _clip(self, G: Array, segments: Sequence[Segment]) -> Calls:
        if self.clipvalue is not None:
            low, high = np.array(-self.clipvalue, G.dtype), np.array(self.clipvalue, G.dtype)
            blocks = [G[start : start + _BLOCK] for start in range(0, G.size, _BLOCK)]
            return [(np.clip, g, low, high, g) for g in blocks]
        if self.clipnorm is not None:
            parts, limit = [G[s.start : s.stop] for s in segments], self.clipnorm
        elif self.global_clipnorm is not None:
            parts, limit = [G], self.global_clipnorm
        else:
            return []
        # Squares are summed as one BLAS call a weight; a weight's norm is the same in any layout.
        scales = [np.zeros((), G.dtype) for _ in parts]
        dots: Calls = [(np.dot, g, g, s) for g, s in zip(parts, scales, strict=True)]
        whole = self.global_clipnorm is not None

        def norms_to_scales() -> None:
            for scale in scales:
                norm = math.sqrt(scale)
                # As Keras: one gradient that is not finite spoils a global norm, so the run stops; but not its own.
                scale.fill(math.nan if whole and math.isinf(norm) else limit / max(limit, norm))

        return [*dots, (norms_to_scales,), *((np.multiply, g, s, g) for g, s in zip(parts, scales, strict=True))]

    def _average(self, P: Array, ema: Array, t: Array, every: int, clock: Clock) -> Calls:
        keep, take = np.zeros((), P.dtype), np.zeros((), P.dtype)

        def begin() -> None:
            momentum = self.ema_momentum if clock.step // every else 0.0
            keep.fill(momentum)
            take.fill(1 - momentum)

        def overwrite() -> None:
            if (clock.step // every + 1) % frequency == 0:
                np.copyto(P, ema)

        calls: Calls = [(begin,)]
        for start in range(0, P.size, _BLOCK):
            p, a = P[start : start + _BLOCK], ema[start : start + _BLOCK]
            u = t[: p.size]
            calls += [(np.multiply, a, keep, a), (np.multiply, p, take, u), (np.add, a, u, a)]
        frequency = self.ema_overwrite_frequency or 0
        return [*calls, (overwrite,)] if frequency else calls


def _accumulate(update: Calls, G: Array, total: Array, every: int, clock: Clock) -> Calls:
    """``update`` at every ``every``-th step, with the mean of the gradients since the last one."""
    gather: Calls = [(np.add, total, G, total)]
    share = np.array(1 / every, G.dtype)
    update = [(np.add, total, G, G), (np.multiply, G, share, G), *update, (total.fill, 0.0)]

    def run() -> None:
        for f, *a in update if (clock.step + 1) % every == 0 else gather:
            f(*a)

    return [(run,)]


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")


@OPTIMIZERS.add("SGD", "sgd")
class SGD(Optimizer):
    """``p ← p − ηg``; with momentum ``m ← μm − ηg``, ``p ← p + m``; Nesterov's ``p ← p + μm − ηg``."""

    learning_rate: LearningRate = Field(0.01, description="A number, or a schedule.")
    momentum: float = Field(0.0, ge=0, le=1, description="How much of the last update stays.")
    nesterov: bool = Field(False, description="Whether the gradient is taken ahead, as Nesterov does.")

    def moments(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate,)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        if not self.momentum:
            return [(np.multiply, g, rate, t), (np.subtract, p, t, p)]
        v, mu = m["momentum"], np.array(self.momentum, p.dtype)
        calls: Calls = [(np.multiply, g, rate, t), (np.multiply, v, mu, v), (np.subtract, v, t, v)]
        if not self.nesterov:
            return [*calls, (np.add, p, v, p)]
        return [*calls, (np.subtract, p, t, p), (np.multiply, v, mu, t), (np.add, p, t, p)]


@OPTIMIZERS.add("RMSprop", "rmsprop")
class RMSprop(Optimizer):
    """``v ← ρv + (1 − ρ)g²``, ``p ← p − ηg / √(v + ε)``; centered: ``v`` less the square of the mean gradient.

    Hinton, *Neural networks for machine learning*, lecture 6.
    """

    rho: Decay = Field(0.9, description="How much of the mean square of the gradient stays.")
    momentum: float = Field(0.0, ge=0, le=1, description="How much of the last update stays.")
    epsilon: Epsilon = Field(1e-7, description="Added to the divisor.")
    centered: bool = Field(False, description="Whether the mean of the gradient is taken out.")

    def moments(self) -> tuple[str, ...]:
        return ("velocity", *(("mean",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        return (rate / math.sqrt(1 - self.rho),)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        v, rho = m["velocity"], np.array(self.rho, p.dtype)
        epsilon = np.array(self.epsilon / (1 - self.rho), p.dtype)
        calls: Calls = [(np.multiply, v, rho, v), (np.square, g, t), (np.add, v, t, v)]
        if self.centered:
            mean, rest = m["mean"], np.array(1 - self.rho, p.dtype)
            calls += [(np.multiply, mean, rho, mean), (np.add, mean, g, mean)]
            calls += [(np.square, mean, t), (np.multiply, t, rest, t), (np.subtract, v, t, t), (np.add, t, epsilon, t)]
        else:
            calls += [(np.add, v, epsilon, t)]
        calls += [(np.sqrt, t, t), (np.divide, g, t, t), (np.multiply, t, rate, t)]
        if not self.momentum:
            return [*calls, (np.subtract, p, t, p)]
        u, mu = m["momentum"], np.array(self.momentum, p.dtype)
        return [*calls, (np.multiply, u, mu, u), (np.add, u, t, u), (np.subtract, p, u, p)]


@OPTIMIZERS.add("Adam", "adam")
class Adam(Optimizer):
    """``m ← β₁m + (1 − β₁)g``, ``v ← β₂v + (1 − β₂)g²``, ``p ← p − η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε)``.

    With ``amsgrad``, v is the largest so far. Kingma and Ba, *Adam*, ICLR 2015; Reddi et al., ICLR 2018.
    """

    beta_1: Decay = Field(0.9, description="How much of the mean of the gradient stays.")
    beta_2: Decay = Field(0.999, description="How much of the mean square of the gradient stays.")
    epsilon: Epsilon = Field(1e-7, description="Added to the divisor.")
    amsgrad: bool = Field(False, description="Whether the mean square never falls.")

    def moments(self) -> tuple[str, ...]:
        return ("momentum", "velocity", *(("velocity_max",) if self.amsgrad else ()))

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        first, second = (1 - self.beta_1) / (1 - self.beta_1 ** (step + 1)), 1 - self.beta_2 ** (step + 1)
        return (rate * first * math.sqrt(second / (1 - self.beta_2)),)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        (rate,) = factors
        u, v = m["momentum"], m["velocity"]
        beta_1, beta_2 = np.array(self.beta_1, p.dtype), np.array(self.beta_2, p.dtype)
        epsilon = np.array(self.epsilon / math.sqrt(1 - self.beta_2), p.dtype)
        calls: Calls = [(np.multiply, u, beta_1, u), (np.add, u, g, u)]
        calls += [(np.multiply, v, beta_2, v), (np.square, g, t), (np.add, v, t, v)]
        if self.amsgrad:
            largest = m["velocity_max"]
            calls.append((partial(np.maximum, out=largest), largest, v))
            v = largest
        calls += [(np.sqrt, v, t), (np.add, t, epsilon, t), (np.divide, u, t, t), (np.multiply, t, rate, t)]
        return [*calls, (np.subtract, p, t, p)]


@OPTIMIZERS.add("AdamW", "adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay. Loshchilov and Hutter, *Decoupled weight decay regularization*, ICLR 2019."""

    weight_decay: NonNegative | None = Field(0.004, description="What a step takes from each weight, times the rate.")

    @model_validator(mode="after")
    def _decays(self) -> AdamW:
        if self.weight_decay is None:
            raise PydanticCustomError("GS105", "AdamW needs a number for weight_decay", {"below": "weight_decay"})
        return self
