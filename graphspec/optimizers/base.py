"""What an optimizer is: Keras's arguments, an update rule on flat vectors, and what every rule shares around it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from graphspec.arrays.split import pieces
from graphspec.codes import Code
from graphspec.config import WHATEVER, Config, Neutral, NonNegative, Positive, Registry, invalid
from graphspec.ir.graph import Segment
from graphspec.schedules import SCHEDULES, Schedule

if TYPE_CHECKING:
    from graphspec.arrays.calls import Calls
    from graphspec.arrays.random import Clock
    from graphspec.ir.graph import Array, Param
    from graphspec.kernels.group import Group

BLOCK = 1 << 15  # elements: the five to seven operands of a step stay in the second-level cache


def blocks(start: int, stop: int) -> list[slice]:
    """The range in pieces that stay in cache."""
    return pieces(start, stop, BLOCK)


def _not_a_rate(hint: str | None = None) -> PydanticCustomError:
    return invalid("must be a number or a schedule", hint, code=Code.WRONG_TYPE, show_value=True)


def _number_or_schedule(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str | dict | Schedule):
        raise _not_a_rate()
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value):
        raise _not_a_rate(f"write `{value}` without quotes")
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


@dataclass(frozen=True, slots=True)
class Vectors:
    """What an update works on: weights, gradients and slots, all laid out by ``segments`` with zeros between them.

    ``slots`` has the vectors by name, and the slots of one weight as ``<slot>/<weight>`` (:meth:`Optimizer.own_slots`).
    ``others`` are gradients of other workers that have not been added to ``G`` yet, in the stretches ``summed``.
    A rule changes the weights and the slots in place, and may overwrite ``G``.
    """

    P: Array
    G: Array
    slots: Mapping[str, Array]
    segments: Sequence[Segment]
    others: Sequence[Array] = ()
    summed: Sequence[slice] = ()

    @classmethod
    def of_workers(
        cls, weights: Array, gradients: Sequence[Array], slots: Mapping[str, Array], segments: Sequence[Segment]
    ) -> Vectors:
        """All weights, with one gradient a worker: they are added up in the first."""
        return cls(weights, gradients[0], slots, segments, gradients[1:])

    def part(self, part: slice, summed: Sequence[slice]) -> Vectors:
        """The part that one worker updates, of whole weights and pieces of others.

        Args:
            summed: where the gradients are added up, counted from the start of the part.
        """
        return Vectors(
            self.P[part],
            self.G[part],
            {name: slot if "/" in name else slot[part] for name, slot in self.slots.items()},
            [
                Segment(s.param, s.start - part.start, s.stop - part.start)
                for s in self.segments
                if part.start <= s.start and s.stop <= part.stop
            ],
            [gradient[part] for gradient in self.others],
            summed,
        )

    def total(self, block: slice) -> Calls:
        """Calls that add up the gradients of all workers, in their order."""
        cut = [slice(max(block.start, s.start), min(block.stop, s.stop)) for s in self.summed]
        return [(np.add, self.G[s], other[s], self.G[s]) for s in cut if s.start < s.stop for other in self.others]

    def longest(self) -> Array:
        """Scratch for the largest weight."""
        return np.zeros(max((s.stop - s.start for s in self.segments), default=0), self.P.dtype)


class Optimizer(Config):
    """Base of the optimizers.

    A step is, as in Keras: clip the gradients, shrink the weights by ``learning_rate · weight_decay``, update, average,
    constrain. With ``gradient_accumulation_steps`` the first three wait for their step, the others do not.
    ``loss_scale_factor`` multiplies the loss and divides the gradients: with float32 the two cancel, so neither is done.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = {  # all but the name are Keras 2's
        "name": WHATEVER,
        "jit_compile": Neutral((None, True, False), "it must be true or false"),
        "is_legacy_optimizer": Neutral((None, False), "the optimizers are Keras 3's"),
        "decay": Neutral((None, 0), "the rate falls by a schedule", "use `learning_rate: {type: InverseTimeDecay, …}`"),
    }

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
            raise invalid(
                f"cannot be set beside `{given[0]}`", f"leave one of {' and '.join(given)} out", key=given[-1]
            )
        return self

    def moments(self) -> tuple[str, ...]:
        """The names of the vectors that the update rule keeps."""
        return ()

    def own_slots(self, param: Param) -> dict[str, tuple[int, ...]]:
        """What the rule keeps of one weight besides: by name, the axes of the weight that the slot has."""
        return {}

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        """Fill the slots, which are zero, with what they hold before the first step."""

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        """The scalars of update ``step`` (from 0)."""
        raise NotImplementedError

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        """Calls that update ``p`` from ``g``; ``t`` is scratch of the same length.

        ``g`` may be overwritten, but where it lies between weights it is 0 and stays so: global norms count it.
        """
        raise NotImplementedError

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        """Calls of one update of all weights: decay by ``shrink``, then the rule, block by block."""
        t = np.zeros(min(BLOCK, v.P.size), v.P.dtype)
        calls: Calls = []
        for block in blocks(0, v.P.size):
            p = v.P[block]
            moments = {name: v.slots[name][block] for name in self.moments()}
            calls += [*v.total(block), *self.decay(p, shrink)]
            calls += self.update(p, v.G[block], t[: p.size], moments, *factors)
        return calls

    def decay(self, p: Array, shrink: Array) -> Calls:
        """The call that takes ``weight_decay`` from ``p``, if any."""
        return [(np.multiply, p, shrink, p)] if self.weight_decay else []

    def rate(self) -> Rate:
        """The learning rate at the start of a run."""
        return Rate(self.learning_rate)

    def slots(self) -> tuple[str, ...]:
        """The names of the state vectors, each laid out as the trainable one."""
        average = ("average",) if self.use_ema else ()
        return self.moments() + average + (("gradient_accumulator",) if self.gradient_accumulation_steps else ())

    def bind(self, v: Vectors, clock: Clock, rate: Rate, group: Group | None = None) -> Calls:
        """Calls that update the weights of ``v`` in place.

        ``clock.step`` is the index, from 0, of the step that is being done. In a group each member has a part of all
        weights (:meth:`Vectors.part`).
        """
        P, G, segments = v.P, v.G, v.segments
        every = self.gradient_accumulation_steps or 1
        factors = [np.zeros((), P.dtype) for _ in self.factors(0, 1.0)]
        shrink = np.ones((), P.dtype)

        decay, fills = self.weight_decay, [array.fill for array in factors]

        def begin() -> None:
            learning_rate = rate.advance(clock.step)
            for fill, value in zip(fills, self.factors(clock.step // every, learning_rate), strict=True):
                fill(value)
            if decay:
                shrink.fill(1 - decay * learning_rate)

        clip = self._clip(G, segments, group)
        sums: Calls = []
        if clip or every > 1 or type(self).updates is not Optimizer.updates:  # else block by block, in the cache
            sums = [call for block in blocks(0, G.size) for call in v.total(block)]
            v = replace(v, others=())
        calls: Calls = [(begin,), *clip, *self.updates(v, shrink, factors)]
        if every > 1:
            calls = _accumulate(calls, G, v.slots["gradient_accumulator"], every, clock)
        if self.use_ema:
            calls += self._average(P, v.slots["average"], every, clock)
        return [*sums, *calls, *constrain(P, segments)]

    def by_element(self) -> bool:
        """Whether a step changes every element for itself, but for constraints and what all share: weights may be cut."""
        return type(self).updates is Optimizer.updates and self.clipnorm is None

    def finalize(self, P: Array, slots: Mapping[str, Array]) -> None:
        """The end of a training: with ``use_ema`` the weights become their moving average."""
        if self.use_ema:
            P[...] = slots["average"]

    def _clip(self, G: Array, segments: Sequence[Segment], group: Group | None) -> Calls:
        if self.clipvalue is not None:
            low, high = np.array(-self.clipvalue, G.dtype), np.array(self.clipvalue, G.dtype)
            return [(np.clip, G[block], low, high, G[block]) for block in blocks(0, G.size)]
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
        if whole and group is not None and group.size > 1:
            dots.append((group.all_reduce, scales[0]))

        def norms_to_scales() -> None:
            for scale in scales:
                norm = math.sqrt(scale)
                # As Keras: one gradient that is not finite spoils a global norm, so the run stops; but not its own.
                scale.fill(math.nan if whole and math.isinf(norm) else limit / max(limit, norm))

        return [*dots, (norms_to_scales,), *((np.multiply, g, s, g) for g, s in zip(parts, scales, strict=True))]

    def _average(self, P: Array, average: Array, every: int, clock: Clock) -> Calls:
        keep, take = np.zeros((), P.dtype), np.zeros((), P.dtype)
        t = np.zeros(min(BLOCK, P.size), P.dtype)

        def begin() -> None:
            momentum = self.ema_momentum if clock.step // every else 0.0
            keep.fill(momentum)
            take.fill(1 - momentum)

        def overwrite() -> None:
            if (clock.step // every + 1) % frequency == 0:
                np.copyto(P, average)

        calls: Calls = [(begin,)]
        for block in blocks(0, P.size):
            p, a = P[block], average[block]
            u = t[: p.size]
            calls += [(np.multiply, a, keep, a), (np.multiply, p, take, u), (np.add, a, u, a)]
        frequency = self.ema_overwrite_frequency or 0
        return [*calls, (overwrite,)] if frequency else calls


def _accumulate(update: Calls, G: Array, total: Array, every: int, clock: Clock) -> Calls:
    """``update`` at every ``every``-th step, with the mean of the gradients since the last one."""
    waiting: Calls = [(np.add, total, G, total)]
    share = np.array(1 / every, G.dtype)
    update = [(np.add, total, G, G), (np.multiply, G, share, G), *update, (total.fill, 0.0)]

    def run() -> None:
        for f, *a in update if (clock.step + 1) % every == 0 else waiting:
            f(*a)

    return [(run,)]


def constrain(P: Array, segments: Sequence[Segment]) -> Calls:
    """Calls that put every weight with a constraint back where it belongs, along Keras's axes."""
    bound = [(s, s.param.constraint) for s in segments if s.param.constraint is not None]
    t = np.zeros(max((s.stop - s.start for s, _ in bound), default=0), P.dtype)
    calls: Calls = []
    for s, constraint in bound:
        calls += constraint.bind(s.view(P), s.view(t, first=0))
    return calls


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "Adam")
