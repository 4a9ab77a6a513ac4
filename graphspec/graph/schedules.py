"""Schedules: an optimizer's learning rate, or its weight decay, as a function of the global step, counted from 0."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import Config, NonNegative, Positive, PositiveInt, Registry, invalid, only_base
from graphspec.base.synonyms.keys import number_hint


class Schedule(Config):
    """Base of the schedules: the learning rate as a function of the step."""

    def __call__(self, step: int) -> float:
        """Return the learning rate at ``step``."""
        raise NotImplementedError


SCHEDULES: Registry[Schedule] = Registry("schedule", "CosineDecay")
SCHEDULES.refused["LearningRateSchedule"] = only_base("schedules", "use ExponentialDecay, or a number")


def _number_or_schedule(value: Any) -> Any:
    hint = number_hint(value) if isinstance(value, str) else None
    usable = isinstance(value, int | float | str | dict | Schedule) and not isinstance(value, bool)
    if hint is not None or not usable:
        raise invalid("must be a number or a schedule", hint, code=Code.WRONG_TYPE, show_value=True)
    return value if isinstance(value, int | float) else SCHEDULES.parse(value)


Scheduled = Annotated[
    NonNegative | Schedule,
    BeforeValidator(_number_or_schedule),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"x-kind": "schedule"}]}),
]


def rate_at(rate: float | Schedule, step: int) -> float:
    """Return a learning rate, or a weight decay, at ``step``."""
    return rate(step) if isinstance(rate, Schedule) else rate


class Decay(Schedule):
    """Base of the decays without an end, with the same decay in every ``decay_steps``."""

    initial_learning_rate: float = Field(description="The rate at step 0.")
    decay_steps: Positive = Field(description="Steps, not epochs, of one decay.")
    decay_rate: NonNegative = Field(description="The rate of the decay; see the formula.")
    staircase: bool = Field(False, description="Whether the rate changes only at multiples of decay_steps.")

    def decays(self, step: int) -> float:
        """Return ``step / decay_steps``, rounded down with ``staircase``."""
        p = step / self.decay_steps
        return math.floor(p) if self.staircase else p


@SCHEDULES.add()
class ExponentialDecay(Decay):
    """``initial_learning_rate · decay_rate ^ (step / decay_steps)``; with ``staircase`` the exponent is rounded down."""

    name: str = Field("ExponentialDecay", description="Accepted for compatibility; has no effect.")

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * float(self.decay_rate ** self.decays(step))


@SCHEDULES.add()
class InverseTimeDecay(Decay):
    """``initial_learning_rate / (1 + decay_rate · step / decay_steps)``; with ``staircase`` the quotient is rounded down."""

    name: str = Field("InverseTimeDecay", description="Accepted for compatibility; has no effect.")

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self.decays(step))


@SCHEDULES.add()
class PolynomialDecay(Schedule):
    """``(initial − end) · (1 − step / decay_steps) ^ power + end``; the rate is constant after ``decay_steps``.

    With ``cycle``, ``decay_steps`` in the formula is its smallest multiple that is not below the step.
    """

    initial_learning_rate: float = Field(description="The rate at step 0.")
    decay_steps: Positive = Field(description="Steps, not epochs, of one decay.")
    end_learning_rate: float = Field(0.0001, description="The rate at the end.")
    power: float = Field(1.0, description="Exponent of the polynomial.")
    cycle: bool = Field(False, description="Whether the decay begins again after its end.")
    name: str = Field("PolynomialDecay", description="Accepted for compatibility; has no effect.")

    def __call__(self, step: int) -> float:
        steps = self.decay_steps * (max(math.ceil(step / self.decay_steps), 1) if self.cycle else 1)
        p = min(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - p) ** self.power + self.end_learning_rate)


def _need_increase(boundaries: list[float] | list[int]) -> None:
    if any(a >= b for a, b in pairwise(boundaries)):
        raise invalid("must increase", key="boundaries", show_value=True)


@SCHEDULES.add()
class PiecewiseConstantDecay(Schedule):
    """``values[k]`` up to and including step ``boundaries[k]``; the last value after the last boundary."""

    boundaries: list[float] = Field(min_length=1, description="Steps at which the rate changes.")
    values: list[float] = Field(description="The rates: one more than boundaries.")
    name: str = Field("PiecewiseConstant", description="Accepted for compatibility; has no effect.")

    @model_validator(mode="after")
    def _lengths(self) -> PiecewiseConstantDecay:
        if len(self.values) != len(self.boundaries) + 1:
            text = f"must have one more value than `boundaries`, got {len(self.values)} for {len(self.boundaries)}"
            raise invalid(text, key="values")
        _need_increase(self.boundaries)
        return self

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


@SCHEDULES.add()
class CosineDecay(Schedule):
    """``((1 − alpha) · ½(1 + cos(π · step / decay_steps)) + alpha) · initial_learning_rate``.

    The rate is constant after ``decay_steps``. With ``warmup_target``, it first rises linearly to this target in
    ``warmup_steps``, then decays from it.
    Loshchilov and Hutter, *SGDR: Stochastic gradient descent with warm restarts*, ICLR 2017; Goyal et al.,
    *Accurate, large minibatch SGD*, arXiv:1706.02677.
    """

    initial_learning_rate: float = Field(description="The rate at step 0.")
    decay_steps: Positive = Field(description="Steps, not epochs, of one decay.")
    alpha: float = Field(0.0, description="The rate at the end, as a fraction of the rate at the start.")
    name: str = Field("CosineDecay", description="Accepted for compatibility; has no effect.")
    warmup_target: float | None = Field(None, description="The rate at the end of the warm-up; null for no warm-up.")
    warmup_steps: NonNegative = Field(0, description="Steps of the warm-up.")

    def __call__(self, step: int) -> float:
        start, target, elapsed = self.initial_learning_rate, self.warmup_target, float(step)
        if target is not None:
            if step < self.warmup_steps:
                return start + (target - start) * step / self.warmup_steps
            start, elapsed = target, step - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(elapsed, self.decay_steps) / self.decay_steps))
        return start * ((1 - self.alpha) * cosine + self.alpha)


@SCHEDULES.add()
class CosineDecayRestarts(Schedule):
    """Cosine decay with restarts; each decay is ``t_mul`` times as long and ``m_mul`` times as high as the one before.

    Loshchilov and Hutter, *SGDR: Stochastic gradient descent with warm restarts*, ICLR 2017.
    """

    initial_learning_rate: float = Field(description="The rate at step 0.")
    first_decay_steps: Positive = Field(description="Steps, not epochs, of the first decay.")
    t_mul: float = Field(2.0, ge=1, description="Length of each decay, as a multiple of the one before.")
    m_mul: NonNegative = Field(1.0, description="Initial rate of each decay, as a multiple of the one before.")
    alpha: float = Field(0.0, description="The rate at the end of a decay, as a fraction of the rate at its start.")
    name: str = Field("SGDRDecay", description="Accepted for compatibility; has no effect.")

    def __call__(self, step: int) -> float:
        fraction, length, restarts = step / self.first_decay_steps, 1.0, 0
        if self.t_mul == 1:
            restarts = math.floor(fraction)
            fraction -= restarts
        else:
            while fraction >= length:
                fraction -= length
                length *= self.t_mul
                restarts += 1
            fraction /= length
        cosine = 0.5 * self.m_mul**restarts * (1 + math.cos(math.pi * fraction))
        return float(self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))


@SCHEDULES.add()
class LinearWarmup(Schedule):
    """From ``initial_learning_rate`` linearly to the start of another rate in ``warmup_steps``, then that rate.

    The other rate's steps begin after the warm-up.
    """

    learning_rate: Scheduled = Field(description="The rate after the warm-up: a number, or a schedule.")
    warmup_steps: PositiveInt = Field(description="Steps, not epochs, of the warm-up.")
    initial_learning_rate: NonNegative = Field(0.0, description="The rate at step 0.")

    def __call__(self, step: int) -> float:
        if step >= self.warmup_steps:
            return rate_at(self.learning_rate, step - self.warmup_steps)
        target = rate_at(self.learning_rate, 0)
        return self.initial_learning_rate + (target - self.initial_learning_rate) * step / self.warmup_steps


@SCHEDULES.add()
class Sequential(Schedule):
    """Several rates, one after the other; each counts its steps from 0.

    ``schedules[k]`` begins at step ``boundaries[k-1]``: PyTorch's SequentialLR and its milestones.
    """

    schedules: list[Scheduled] = Field(min_length=1, description="Numbers and schedules, in order.")
    boundaries: list[PositiveInt] = Field(description="The steps at which the second, third, … schedule begins.")

    @model_validator(mode="after")
    def _lengths(self) -> Sequential:
        if len(self.schedules) != len(self.boundaries) + 1:
            text = f"must have one less than `schedules`, got {len(self.boundaries)} for {len(self.schedules)}"
            raise invalid(text, key="boundaries")
        _need_increase(self.boundaries)
        return self

    def __call__(self, step: int) -> float:
        k = sum(step >= boundary for boundary in self.boundaries)
        return rate_at(self.schedules[k], step - (self.boundaries[k - 1] if k else 0))


@SCHEDULES.add()
class Noam(Schedule):
    """``scale · d_model^−½ · min(t^−½, t · warmup_steps^−3/2)`` with t = step + 1: up linearly, then down with 1/√t.

    Vaswani et al., *Attention is all you need*, NeurIPS 2017.
    """

    d_model: PositiveInt = Field(description="The size of the network's vectors.")
    warmup_steps: PositiveInt = Field(4000, description="Steps, not epochs, of the warm-up.")
    scale: Positive = Field(1.0, description="A factor of the rate.")

    def __call__(self, step: int) -> float:
        t = step + 1
        return float(self.scale * self.d_model**-0.5 * min(t**-0.5, t * self.warmup_steps**-1.5))


@SCHEDULES.add()
class OneCycle(Schedule):
    """From ``max_learning_rate / div_factor`` up to the maximum, then down to a tiny rate: PyTorch's OneCycleLR.

    The last rate is the first one divided by ``final_div_factor``; it stays after ``total_steps``. With ``three_phase``
    the rate first falls to where it began, as slowly as it rose. Smith and Topin, *Super-convergence*, arXiv:1708.07120.
    """

    max_learning_rate: Positive = Field(description="The largest rate.")
    total_steps: int = Field(ge=2, description="Steps, not epochs, of the cycle.")
    pct_start: float = Field(0.3, gt=0, lt=1, description="The part of the steps in which the rate rises.")
    anneal_strategy: Literal["cos", "linear"] = Field("cos", description="The form of the rise and of the fall.")
    div_factor: Positive = Field(25.0, description="The largest rate divided by the first one.")
    final_div_factor: Positive = Field(1e4, description="The first rate divided by the last one.")
    three_phase: bool = Field(False, description="Whether the rate falls in two phases.")

    @model_validator(mode="after")
    def _rises(self) -> OneCycle:
        stop = self._phases()[0][0]
        if stop <= 0:
            raise invalid(f"leaves no step to rise in: it needs more than {1 / self.total_steps:g}", key="pct_start")
        if self.three_phase and self.pct_start > 0.5:
            raise invalid("must be at most 0.5 with `three_phase`", key="pct_start", show_value=True)
        return self

    def _phases(self) -> list[tuple[float, float, float]]:
        """Return the last step of each phase, with the rate before and after it."""
        high, rise = self.max_learning_rate, self.pct_start * self.total_steps - 1
        low = high / self.div_factor
        last = low / self.final_div_factor
        if self.three_phase:
            return [(rise, low, high), (2 * rise, high, low), (self.total_steps - 1, low, last)]
        return [(rise, low, high), (self.total_steps - 1, high, last)]

    def __call__(self, step: int) -> float:
        start, after = 0.0, 0.0
        for stop, before, after in self._phases():
            if step <= stop:
                p = (step - start) / (stop - start)
                if self.anneal_strategy == "linear":
                    return before + (after - before) * p
                return after + (before - after) / 2 * (1 + math.cos(math.pi * p))
            start = stop
        return after


__all__ = ["SCHEDULES", "Schedule"]
__all__ += [cls.__name__ for cls in SCHEDULES]
