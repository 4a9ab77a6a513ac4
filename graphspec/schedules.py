"""Learning-rate schedules: an optimizer's learning rate as a function of the global step, counted from 0."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from graphspec.config import Config, NonNegative, Positive, Registry, invalid, only_base


class Schedule(Config):
    """Base of the schedules: the learning rate as a function of the step."""

    def __call__(self, step: int) -> float:
        """Return the learning rate at ``step``."""
        raise NotImplementedError


SCHEDULES: Registry[Schedule] = Registry("schedule", "CosineDecay")
SCHEDULES.refused["LearningRateSchedule"] = only_base("schedules", "use ExponentialDecay, or a number")


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
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise invalid("must increase", key="boundaries", show_value=True)
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


__all__ = ["SCHEDULES", "Schedule"]
__all__ += [cls.__name__ for cls in SCHEDULES]
