"""The base of the optimizers: Keras's arguments, an update rule on flat vectors, clipping, averages and constraints.

Groups of weights, by patterns of the weights' names, may have learning rates and a weight decay of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from graphspec.base.arrays.calls import Call, Calls
from graphspec.base.arrays.random import Clock
from graphspec.base.config import ANY_VALUE, FROM_LIST, Config, Neutral, NonNegative, Positive, Registry, invalid
from graphspec.base.errors import Code, Problem, did_you_mean
from graphspec.graph.ir.graph import Array, Param, Segment
from graphspec.graph.kernels.compiled import Neighbour, join
from graphspec.graph.kernels.context import Group
from graphspec.graph.optimizers.vectors import BLOCK, Lookup, Rows, RowUpdate, Vectors, blocks
from graphspec.graph.schedules import Schedule, Scheduled, rate_at


class WeightGroup(Config):
    """The settings of the weights whose names, ``node/role``, match: ``*`` is any text, ``?`` a letter."""

    weights: Annotated[str | tuple[str, ...], FROM_LIST] = Field(description="A pattern, or several.")
    learning_rate: Scheduled | None = Field(None, description="The learning rate of these weights.")
    learning_rate_scale: NonNegative | None = Field(None, description="A factor of the optimizer's learning rate.")
    weight_decay: Scheduled | None = Field(None, description="The weight decay of these weights.")

    @model_validator(mode="after")
    def _sets_something(self) -> WeightGroup:
        rate, scale = self.learning_rate is not None, self.learning_rate_scale is not None
        if rate and scale:
            text = "has both `learning_rate` and `learning_rate_scale`"
            raise invalid(text, "leave one of them out", key="learning_rate_scale")
        if not rate and not scale and self.weight_decay is None:
            raise invalid("sets nothing", "set `learning_rate`, `learning_rate_scale` or `weight_decay`", key="weights")
        return self

    def patterns(self) -> tuple[str, ...]:
        """Return the patterns."""
        return (self.weights,) if isinstance(self.weights, str) else self.weights

    def matches(self, name: str) -> bool:
        """Return whether a weight belongs to the group."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns())


_NUMBER = {"type": "number", "minimum": 0}
_KEYS: dict[str, dict[str, Any]] = {
    "weights": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "learning_rate": (scheduled := {"anyOf": [_NUMBER, {"x-kind": "schedule"}]}),
    "learning_rate_scale": _NUMBER,
    "weight_decay": scheduled,
}
_DESCRIBED = {k: {**v, "description": WeightGroup.model_fields[k].description} for k, v in _KEYS.items()}
_GROUP = {"type": "object", "properties": _DESCRIBED, "required": ["weights"], "additionalProperties": False}
Groups = Annotated[tuple[WeightGroup, ...], FROM_LIST, WithJsonSchema({"type": "array", "items": _GROUP})]


@dataclass(frozen=True)
class Settings:
    """What the weights of a part have: None for the optimizer's own."""

    learning_rate: float | Schedule | None = None
    scale: float | None = None
    weight_decay: float | Schedule | None = None

    def rate(self, whole: float | Schedule, step: int, current: float) -> float:
        """Return the rate at a step; if the optimizer's changes from ``whole`` to ``current``, all do in proportion."""
        if self.learning_rate is None:
            return current if self.scale is None else current * self.scale
        own = rate_at(self.learning_rate, step)
        return own if isinstance(whole, Schedule) or whole == 0 else own * (current / whole)


def settings_of(groups: Sequence[WeightGroup], name: str) -> Settings:
    """Return the settings of a weight: of each, the last group that matches and sets it."""
    settings = Settings()
    for group in groups:
        if not group.matches(name):
            continue
        if group.learning_rate is not None or group.learning_rate_scale is not None:
            settings = replace(settings, learning_rate=group.learning_rate, scale=group.learning_rate_scale)
        if group.weight_decay is not None:
            settings = replace(settings, weight_decay=group.weight_decay)
    return settings


def runs(groups: Sequence[WeightGroup], spans: Sequence[Segment], size: int) -> Iterator[tuple[Settings, slice]]:
    """Yield settings with the range of a vector that they hold for; together the ranges are all ``size`` elements.

    ``spans`` are the positions of the weights, in order.
    """
    at, current = 0, Settings()
    for k, span in enumerate(spans):
        settings = settings_of(groups, span.param.name)
        if k and settings != current:
            yield current, slice(at, span.start)
            at = span.start
        current = settings
    if at < size:
        yield current, slice(at, size)


def unmatched(groups: Sequence[WeightGroup], names: Sequence[str]) -> list[tuple[int, Problem]]:
    """Return, by group, GS105 for each pattern that matches none of the trainable weights ``names``."""
    problems = []
    for k, pattern in ((k, pattern) for k, group in enumerate(groups) for pattern in group.patterns()):
        if any(fnmatchcase(name, pattern) for name in names):
            continue
        near = [name for name in names if "*" not in pattern] or [f"{n.partition('/')[0]}/*" for n in names]
        near += [f"*/{name.rpartition('/')[2]}" for name in names]
        hint = did_you_mean(pattern, list(dict.fromkeys(near))) or f"weights are called such as '{names[0]}'"
        text = f"has the pattern '{pattern}', which matches no trainable weight"
        problems.append((k, Problem(Code.VALUE_NOT_ALLOWED, text, hint, "weights")))
    return problems


BEFORE = (Neighbour("other", np.add, ("g", "other", "g")), Neighbour("shrink", np.multiply, ("p", "shrink", "p")))
"""The calls before an update that compiled kernels take in: the sum with another worker's gradient, and weight decay."""


def begin(p: Array, g: Array, other: Array | None, shrink: Array | None) -> Calls:
    """Return the calls of :data:`BEFORE`, for the operands that are there."""
    calls: Calls = [] if other is None else [(np.add, g, other, g)]
    return calls if shrink is None else [*calls, (np.multiply, p, shrink, p)]


OF_DECAY = "The decay of weights per step, times the learning rate: a number, or a schedule."
_DECAYS = ("weight_decay", "adam_weight_decay")
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Epsilon = Annotated[float, Field(ge=1e-30)]  # not 0: if a gradient has always been 0, the quotient would be 0 / 0


def root(x: float) -> float:
    """Return the root of a number, or of a :class:`graphspec.graph.derivatives.updates.Number`."""
    return math.sqrt(x) if isinstance(x, float | int) else x.sqrt()


def arrays_of(like: Array, *numbers: float) -> list[Array]:
    """Return numbers as arrays () with the dtype of another array."""
    return [np.array(number, like.dtype) for number in numbers]


class Rate:
    """The learning rate of a run. Without a schedule ``value`` may be set; then checkpoints contain it."""

    __slots__ = ("schedule", "value")

    def __init__(self, learning_rate: float | Schedule) -> None:
        self.schedule = learning_rate if isinstance(learning_rate, Schedule) else None
        self.value = learning_rate(0) if isinstance(learning_rate, Schedule) else float(learning_rate)

    def advance(self, step: int) -> float:
        """Set ``value`` to the rate of ``step`` and return it."""
        if self.schedule is not None:
            self.value = self.schedule(step)
        return self.value


def _decaying_rate(arguments: Mapping[str, Any]) -> str:
    """Return a hint with the schedule that computes what Keras 2 did with ``decay``."""
    rate, decay = arguments.get("learning_rate", arguments.get("lr", 0.001)), arguments["decay"]
    if not all(isinstance(number, int | float) for number in (rate, decay)):
        return "write a schedule as `learning_rate`, such as `{type: InverseTimeDecay, …}`"
    schedule = f"{{type: InverseTimeDecay, initial_learning_rate: {rate:g}, decay_steps: 1, decay_rate: {decay:g}}}"
    return f"the same is `learning_rate: {schedule}`"


class Optimizer(Config):
    """Base of the optimizers.

    As in Keras, a step clips the gradients, shrinks the weights by ``learning_rate · weight_decay``, updates, averages
    and constrains them. With ``gradient_accumulation_steps`` clipping, decay and update run only at every n-th step;
    averages and constraints run at every step. ``loss_scale_factor`` would multiply the loss and divide the gradients;
    in float32 both cancel, and neither is computed.

    In the formulas p is a weight, g its gradient, η the learning rate, and t the number of the update, from 1.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = {  # all except the name are Keras 2's
        "name": ANY_VALUE,
        "jit_compile": Neutral((None, True, False), "it must be true or false"),
        "is_legacy_optimizer": Neutral((None, False), "the optimizers are Keras 3's"),
        "decay": Neutral((None, 0), "it was a decay of the rate, not of the weights", _decaying_rate),
    }

    moment_names: ClassVar[tuple[str, ...]] = ()  # the state vectors of the update rule, if they are always the same
    factors_by_rate: ClassVar[Any] = None  # the class's own `factors`, if they do not depend on the step

    learning_rate: Scheduled = Field(0.001, description="A number, or a schedule.")
    weight_decay: Scheduled | None = Field(None, description=OF_DECAY)
    clipnorm: Positive | None = Field(None, description="The largest norm of each weight's gradient.")
    clipvalue: Positive | None = Field(None, description="The largest absolute value of each element of the gradients.")
    global_clipnorm: Positive | None = Field(None, description="The largest norm of all gradients together.")
    use_ema: bool = Field(False, description="Whether the result of training is a moving average of the weights.")
    ema_momentum: float = Field(0.99, ge=0, le=1, description="The weight of the old moving average in every update.")
    ema_overwrite_frequency: int | None = Field(
        None,
        ge=1,
        description="The number of steps after which the average replaces the weights; null for only at the end.",
    )
    loss_scale_factor: Positive | None = Field(
        None, description="Without effect: the loss would be multiplied by it and the gradients divided by it."
    )
    gradient_accumulation_steps: int | None = Field(None, ge=2, description="The number of steps per update.")
    groups: Groups = Field(
        (),
        description="Settings of some weights: `weights`, patterns of their names, with a `learning_rate`, "
        "`learning_rate_scale` or `weight_decay`.",
    )

    @model_validator(mode="after")
    def _one_clip(self) -> Optimizer:
        limits = [k for k in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, k) is not None]
        if len(limits) > 1:
            hint = f"leave one of {' and '.join(limits)} out"
            raise invalid(f"cannot be combined with `{limits[0]}`", hint, key=limits[-1])
        return self

    def moments(self) -> tuple[str, ...]:
        """Return the names of the state vectors of the update rule."""
        return self.moment_names

    def own_slots(self, param: Param) -> dict[str, tuple[int, ...]]:
        """Return additional slots of one weight: by name, the axes of the weight that the slot has."""
        return {}

    def start(self, P: Array, slots: Mapping[str, Array]) -> None:
        """Set the initial values of the slots; they are 0 before."""

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        """Return the scalars of update ``step`` (from 0)."""
        return (rate,)

    def update(self, p: Array, g: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls:
        """Return calls that update ``p`` from ``g``; ``t`` is a scratch buffer of the same length.

        The calls may overwrite ``g``, but they keep the zeros between the weights: global norms include them.
        """
        raise NotImplementedError

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        """Return calls for one update of all weights: decay by ``shrink``, then the rule, block by block."""
        t = np.zeros(min(BLOCK, v.P.size), v.P.dtype)

        def update(block: slice) -> Calls:
            p = v.P[block]
            moments = {name: v.slots[name][block] for name in self.moments()}
            calls = [*v.sum_gradients(block), *self.decay(p, shrink)]
            return join([*calls, *self.update(p, v.G[block], t[: p.size], moments, *factors)])

        calls = [call for block in v.blocks() for call in update(block)]
        for lookup in v.lookups:
            whole = [call for block in blocks(lookup.start, lookup.stop) for call in update(block)]
            calls.append((self._row_update(v, lookup, whole, factors).run,))
        return calls

    def _row_update(self, v: Vectors, lookup: Lookup, whole: Calls, factors: Sequence[Array]) -> RowUpdate:
        moments = {name: lookup.view(v.slots[name]) for name in self.moments()}
        rows = Rows(lookup.view(v.P), [lookup.view(G) for G in (v.G, *v.others)], moments)

        def update(p: Array, g: Array, t: Array, m: Mapping[str, Array]) -> Calls:
            return self.update(p, g, t, m, *factors)

        def idle(p: Array, t: Array, m: Mapping[str, Array]) -> Calls:
            return self.idle(p, t, m, *factors) or []

        probe = dict.fromkeys(moments, rows.P[0]) if len(rows.P) else {}
        stays = lookup.touched.sparse or not len(rows.P) or not idle(rows.P[0], rows.P[0], probe)
        return RowUpdate(lookup, rows, update, None if stays else idle, whole)

    def idle(self, p: Array, t: Array, m: Mapping[str, Array], *factors: Array) -> Calls | None:
        """Return the calls of :meth:`update` for a gradient of 0, with the same bits; None if they are not known.

        There are none if such weights and moments stay as they are. If all moments of a row are 0, the calls must not
        change it.
        """
        return None

    def skips_rows(self) -> bool:
        """Return whether rows with a gradient of 0 need fewer calls, for the same bits."""
        decays = self.weight_decay or any(group.weight_decay for group in self.groups)
        if decays or self.gradient_accumulation_steps or self.clips() or not self.updates_rows():
            return False
        x, factor = np.zeros(0, np.float32), np.zeros((), np.float32)
        return self.idle(x, x, dict.fromkeys(self.moments(), x), *(factor for _ in self.factors(0, 1.0))) is not None

    def updates_rows(self) -> bool:
        """Return whether a row can be updated without the others."""
        return type(self).updates is Optimizer.updates

    def clips(self) -> bool:
        """Return whether gradients are clipped."""
        return any(limit is not None for limit in (self.clipnorm, self.clipvalue, self.global_clipnorm))

    def decay(self, p: Array, shrink: Array) -> Calls:
        """Return the call that applies ``weight_decay`` to ``p``, if there is one."""
        return [(np.multiply, p, shrink, p)] if self.weight_decay else []

    def rate(self) -> Rate:
        """Return the learning rate at the start of a run."""
        return Rate(self.learning_rate)

    def slots(self) -> tuple[str, ...]:
        """Return the names of the state vectors; each has the layout of the trainable weights."""
        average = ("average",) if self.use_ema else ()
        return self.moments() + average + (("gradient_accumulator",) if self.gradient_accumulation_steps else ())

    def bind(self, v: Vectors, clock: Clock, rate: Rate, group: Group | None = None) -> Calls:
        """Return calls that update the weights of ``v`` in place.

        ``clock.step`` is the index, from 0, of the current step. In a group every member updates a shard of the weights
        (:meth:`Vectors.part`).
        """
        P, G, segments = v.P, v.G, v.segments
        every = self.gradient_accumulation_steps or 1
        clip = self._clip(G, segments, group)
        sums: Calls = []
        by_block = type(self).updates is Optimizer.updates  # then gradients are summed block by block, in the cache
        if clip or every > 1 or not by_block:
            sums = [call for block in blocks(0, G.size) for call in v.sum_gradients(block)]
            v = replace(v, others=())
        touched = [call for lookup in v.lookups for call in lookup.touched.share(group)]
        calls: Calls = [*clip, *touched, *self._updates(v, clock, rate)]
        if every > 1:
            calls = _accumulate(calls, G, v.slots["gradient_accumulator"], every, clock, group)
        if self.use_ema:
            calls += self._average(P, v.slots["average"], every, clock)
        return [*sums, *calls, *constrain(P, segments)]

    def _updates(self, v: Vectors, clock: Clock, rate: Rate) -> Calls:
        """Return the calls of :meth:`updates` for each run of weights with equal settings, after their scalars."""
        every = self.gradient_accumulation_steps or 1
        owners: list[tuple[Settings, Optimizer, list[Array], Array, bool]] = []
        calls: Calls = []
        parts = [(settings, v.cut_out(run)) for settings, run in runs(self.groups, v.spans, v.P.size)]
        for settings, part in parts if self.groups else [(Settings(), v)]:
            owner = next((each for each in owners if each[0] == settings), None)
            if owner is None:
                own = self.with_settings(settings)
                scalars = [np.zeros((), v.P.dtype) for _ in own.factors(0, 1.0)]
                owners.append(owner := (settings, own, scalars, np.ones((), v.P.dtype), own._at(0) is not own))
            _, own, factors, shrink, _ = owner
            calls += own.updates(part, shrink, factors)

        # The scalars depend on nothing but the current rate: they are as in the last step if that is.
        by_rate = type(self).factors in (Optimizer.factors, type(self).factors_by_rate) and not any(
            has_schedules or isinstance(settings.learning_rate, Schedule) for settings, *_, has_schedules in owners
        )
        last: float | None = None

        def begin() -> None:
            nonlocal last
            current = rate.value if rate.schedule is None else rate.advance(clock.step)
            if by_rate and current == last:
                return
            last = current
            for settings, own, factors, shrink, _ in owners:
                learning_rate = settings.rate(self.learning_rate, clock.step, current)
                values = own.scalars(clock.step, learning_rate, every)
                for array, value in zip((*factors, shrink), values, strict=True):
                    array.fill(value)

        return [(begin,), *calls]

    def with_settings(self, settings: Settings) -> Optimizer:
        """Return the optimizer with the weight decay of some weights."""
        if settings.weight_decay is None:
            return self
        keys = [key for key in _DECAYS if key in type(self).model_fields]
        return self.model_copy(update=dict.fromkeys(keys, settings.weight_decay))

    def scalars(self, step: int, rate: float, every: int) -> tuple[float, ...]:
        """Return the factors of a step, of which ``every`` make an update, then what is kept of the weights by decay."""
        now = self._at(step)
        kept = 1 - rate_at(now.weight_decay or 0.0, step) * rate if self.weight_decay else 1.0
        return (*now.factors(step // every, rate), kept)

    def _at(self, step: int) -> Optimizer:
        """Return the optimizer with the decays that its schedules give at a step."""
        decays = {k: d(step) for k in _DECAYS if isinstance(d := getattr(self, k, None), Schedule)}
        return self.model_copy(update=decays) if decays else self

    def decay_of(self, name: str) -> float | Schedule:
        """Return the weight decay of a weight."""
        return self.with_settings(settings_of(self.groups, name)).weight_decay or 0.0

    def elementwise(self) -> bool:
        """Return True if a step updates every element independently, except for constraints: shards may split weights."""
        return type(self).updates is Optimizer.updates and self.clipnorm is None

    def finalize(self, P: Array, slots: Mapping[str, Array]) -> None:
        """Finish training: with ``use_ema`` the weights become their moving average."""
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
        # One BLAS call per weight sums the squares: a weight's norm does not depend on the layout.
        scales = [np.zeros((), G.dtype) for _ in parts]
        dots: Calls = [(np.dot, g, g, s) for g, s in zip(parts, scales, strict=True)]
        is_global = self.global_clipnorm is not None
        if is_global and group is not None and group.size > 1:
            dots.append((group.all_reduce, scales[0]))

        def norms_to_scales() -> None:
            for scale in scales:
                norm = math.sqrt(scale)
                # As in Keras, an infinite gradient makes a global norm NaN and the run stops; a weight's own norm does not.
                scale.fill(math.nan if is_global and math.isinf(norm) else limit / max(limit, norm))

        return [*dots, (norms_to_scales,), *((np.multiply, g, s, g) for g, s in zip(parts, scales, strict=True))]

    def _average(self, P: Array, average: Array, every: int, clock: Clock) -> Calls:
        keep, add = np.zeros((), P.dtype), np.zeros((), P.dtype)
        t = np.zeros(min(BLOCK, P.size), P.dtype)

        def begin() -> None:
            momentum = self.ema_momentum if clock.step // every else 0.0
            keep.fill(momentum)
            add.fill(1 - momentum)

        def overwrite() -> None:
            if (clock.step // every + 1) % frequency == 0:
                np.copyto(P, average)

        calls: Calls = [(begin,)]
        for block in blocks(0, P.size):
            p, a = P[block], average[block]
            u = t[: p.size]
            calls += [(np.multiply, a, keep, a), (np.multiply, p, add, u), (np.add, a, u, a)]
        frequency = self.ema_overwrite_frequency or 0
        return [*calls, (overwrite,)] if frequency else calls


def _accumulate(update: Calls, G: Array, total: Array, every: int, clock: Clock, group: Group | None) -> Calls:
    """Return calls that run ``update`` at every ``every``-th step, with the mean gradient since the last update.

    The sums over a group stay calls of their own, made in every step, since shards of one worker are made in step there.
    """
    factor = np.array(1 / every, G.dtype)
    update = [(np.add, total, G, G), (np.multiply, G, factor, G), *update, (total.fill, 0.0)]

    def run(due: Calls, waiting: Calls) -> None:
        for f, *a in due if (clock.step + 1) % every == 0 else waiting:
            f(*a)

    def of_group(call: Call) -> bool:
        return group is not None and getattr(call[0], "__self__", None) is group

    calls: Calls = []
    waiting: Calls = [(np.add, total, G, total)]
    for apart, part in groupby(update, of_group):
        together = list(part)
        calls += together if apart else [(run, together, waiting)]
        waiting = []
    return calls


def constrain(P: Array, segments: Sequence[Segment]) -> Calls:
    """Return calls that apply the constraints of all weights, along Keras's axes."""
    bound = [(s, s.param.constraint) for s in segments if s.param.constraint is not None]
    t = np.zeros(max((s.stop - s.start for s, _ in bound), default=0), P.dtype)
    calls: Calls = []
    for s, constraint in bound:
        calls += constraint.bind(s.view(P), s.view(t, first=0))
    return calls


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "Adam")
Inner = Annotated[Optimizer, BeforeValidator(OPTIMIZERS.parse), WithJsonSchema({"x-kind": "optimizer"})]
