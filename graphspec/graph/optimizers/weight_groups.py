"""Groups of weights with learning rates and a weight decay of their own, by patterns of the weights' names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Config, NonNegative, invalid
from graphspec.base.errors import Problem, did_you_mean
from graphspec.graph.schedules import LearningRate, Schedule, rate_at

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Segment


class WeightGroup(Config):
    """The settings of the weights whose names, ``node/role``, match: ``*`` is any text, ``?`` a letter."""

    weights: Annotated[str | tuple[str, ...], FROM_LIST] = Field(description="A pattern, or several.")
    learning_rate: LearningRate | None = Field(None, description="The learning rate of these weights.")
    learning_rate_scale: NonNegative | None = Field(None, description="A factor of the optimizer's learning rate.")
    weight_decay: NonNegative | None = Field(None, description="The weight decay of these weights.")

    @model_validator(mode="after")
    def _sets_something(self) -> WeightGroup:
        if self.learning_rate is not None and self.learning_rate_scale is not None:
            text = "has both `learning_rate` and `learning_rate_scale`"
            raise invalid(text, "leave one of them out", key="learning_rate_scale")
        if self.learning_rate is None and self.learning_rate_scale is None and self.weight_decay is None:
            raise invalid("sets nothing", "set `learning_rate`, `learning_rate_scale` or `weight_decay`", key="weights")
        return self

    def patterns(self) -> tuple[str, ...]:
        """Return the patterns."""
        return (self.weights,) if isinstance(self.weights, str) else self.weights

    def matches(self, name: str) -> bool:
        """Return whether a weight belongs to the group."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns())


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_NUMBER = {"type": "number", "minimum": 0}
_RATE = {"anyOf": [_NUMBER, {"x-kind": "schedule"}]}
_KEYS: dict[str, dict[str, Any]] = {
    "weights": _TEXTS,
    "learning_rate": _RATE,
    "learning_rate_scale": _NUMBER,
    "weight_decay": _NUMBER,
}
_DESCRIBED = {k: {**v, "description": WeightGroup.model_fields[k].description} for k, v in _KEYS.items()}
_GROUP = {"type": "object", "properties": _DESCRIBED, "required": ["weights"], "additionalProperties": False}
Groups = Annotated[tuple[WeightGroup, ...], FROM_LIST, WithJsonSchema({"type": "array", "items": _GROUP})]


@dataclass(frozen=True)
class Settings:
    """What the weights of a part have: None for the optimizer's own."""

    learning_rate: float | Schedule | None = None
    scale: float | None = None
    weight_decay: float | None = None

    def rate(self, whole: float | Schedule, step: int, current: float) -> float:
        """Return the learning rate at a step. What changes the optimizer's rate changes all rates in proportion.

        Args:
            whole, current: the optimizer's rate as the spec sets it, and now.
        """
        if self.learning_rate is None:
            return current if self.scale is None else current * self.scale
        own = rate_at(self.learning_rate, step)
        return own if isinstance(whole, Schedule) or whole == 0 else own * (current / whole)


def settings_of(groups: Sequence[WeightGroup], name: str) -> Settings:
    """Return the settings of a weight: of each, the last group that matches and sets it."""
    rate: float | Schedule | None = None
    scale: float | None = None
    decay: float | None = None
    for group in groups:
        if not group.matches(name):
            continue
        if group.learning_rate is not None or group.learning_rate_scale is not None:
            rate, scale = group.learning_rate, group.learning_rate_scale
        decay = decay if group.weight_decay is None else group.weight_decay
    return Settings(rate, scale, decay)


def runs(groups: Sequence[WeightGroup], spans: Sequence[Segment], size: int) -> Iterator[tuple[Settings, slice]]:
    """Yield settings with the range of a vector that they hold for; together the ranges are all ``size`` elements.

    Args:
        spans: the positions of the weights, in order.
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
    found = []
    for k, group in enumerate(groups):
        for pattern in group.patterns():
            if any(fnmatchcase(name, pattern) for name in names):
                continue
            near = [name for name in names if "*" not in pattern] or [f"{n.partition('/')[0]}/*" for n in names]
            near += [f"*/{name.rpartition('/')[2]}" for name in names]
            hint = did_you_mean(pattern, list(dict.fromkeys(near))) or f"weights are called such as '{names[0]}'"
            text = f"has the pattern '{pattern}', which matches no trainable weight"
            found.append((k, Problem(Code.VALUE_NOT_ALLOWED, text, hint, "weights")))
    return found
