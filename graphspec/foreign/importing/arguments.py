"""Arguments of layers and other objects as a person writes them: without defaults, in their shortest form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from graphspec.base.config import Config, Registry
from graphspec.language.names import snake_case
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.base import Layer, NoEffect
from graphspec.vocabulary.metrics.base import Metric

T = TypeVar("T", bound=Config)
_NOISE = 5  # digits
_IGNORED = NoEffect.__metadata__[0].description
"""The description of arguments of Keras that have no effect here."""


class Shortener:
    """Shortens arguments of layers; equal ones are looked at once."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.defaults: dict[tuple[str, str], Any] = {}

    def layer(self, kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a layer: those that are no defaults, each in its shortest form."""
        cls = LAYERS.get(kind)
        if cls is None:
            return dict(arguments)
        key = json.dumps([kind, arguments], default=str)
        if key not in self.known:
            self.known[key] = shorten(cls, {name: _rounded(value) for name, value in arguments.items()})
        return dict(self.known[key])

    def default(self, kind: str, argument: str) -> Any:
        """Return the default of a layer's argument as a spec writes it; Ellipsis if there is none that a spec can write."""
        at = kind, argument
        if at not in self.defaults:
            self.defaults[at] = _default(kind, argument)
        return self.defaults[at]


def shorten(cls: type[Config], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that give an equal object of ``cls``; as they are if they are not valid."""
    short = dict(arguments)
    fields = {field.alias or name: field for name, field in cls.model_fields.items()}
    for key in arguments:
        same = _equality(partial(_make, cls), short)
        if same is None:
            return dict(arguments)
        rest = {k: v for k, v in short.items() if k != key}
        without_effect = key in fields and fields[key].description == _IGNORED
        if same(rest) or (without_effect and _equality(partial(_make, cls), rest)) or _means_default(cls, key, short):
            short = rest
        else:
            short[key] = _shortest(short[key], partial(_with, short, key, same))
    return short


def _make(cls: type[Config], arguments: Mapping[str, Any]) -> Config:
    return cls.model_validate(dict(arguments))


def _with(arguments: Mapping[str, Any], key: str, accepts: Callable[[Any], bool], value: Any) -> bool:
    return accepts({**arguments, key: value})


def shorten_object(registry: Registry[T], value: Any) -> Any:
    """Return a loss, an optimizer, … by its name, or as a mapping without defaults."""
    if isinstance(value, list):
        return [shorten_object(registry, item) for item in value]
    same = _equality(registry.parse, value)
    return value if same is None else _shortest(value, same)


def _equality(make: Callable[[Any], Any], given: Any) -> Callable[[Any], bool] | None:
    """Return whether other arguments make the object that ``given`` makes; None if these make none."""

    def made(values: Any) -> Any:
        try:
            return make(values)
        except (ValidationError, PydanticCustomError, ValueError, TypeError):
            return None

    wanted = made(given)
    if wanted is None:
        return None

    def same(values: Any) -> bool:
        found = made(values)
        if isinstance(found, Metric) and type(found) is type(wanted):  # how a metric is written is its name in the logs
            return (found.key, found.model_dump()) == (wanted.key, wanted.model_dump())
        try:
            return found is not None and bool(found == wanted)
        except ValueError:  # arrays among the arguments
            return False

    return same


def _rounded(value: Any) -> Any:
    """Return a value without the last digits of numbers that arithmetic left there: 0.07500000000000001 is 0.075."""
    if isinstance(value, list):
        return list(map(_rounded, value))
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        short = float(f"{value:.15g}")
        return short if len(repr(short)) + _NOISE < len(repr(value)) else value
    return value


def _means_default(cls: type[Config], key: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a value does what the default null does: a linear activation, or what another argument says, too."""
    field = cls.model_fields.get(key)
    if field is None or field.is_required() or field.default is not None:
        return False
    if key == "data_format":
        return bool(arguments[key] == "channels_last")
    if issubclass(cls, Layer) and (other := cls.same_by_default.get(key)) is not None:
        made = cls.model_validate(dict(arguments))
        return bool(getattr(made, key) == getattr(made, other))
    return "activation" in key and ACTIVATIONS.get(_name_of(arguments[key])) is ACTIVATIONS.get("linear")


def _name_of(value: Any) -> str:
    found = value.get("type") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else ""


def _shortest(value: Any, accepts: Callable[[Any], bool]) -> Any:
    """Return the shortest form of an argument that ``accepts``."""
    for short in _forms(value):
        if accepts(short):
            return short
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        short = dict(value)
        for key in value:
            rest = {k: v for k, v in short.items() if k != key}
            if key == "type":
                continue
            if accepts(rest):
                short = rest
            else:
                short[key] = _shortest(short[key], partial(_with, short, key, accepts))
        names = (snake_case(short["type"]), short["type"].lower()) if len(short) == 1 else ()
        return next(filter(accepts, names), short)
    return value


def _forms(value: Any) -> Iterator[Any]:
    """Yield shorter forms of a value, the shortest first."""
    if (
        isinstance(value, list)
        and value
        and isinstance(value[0], int | list)
        and all(item == value[0] for item in value)
    ):
        if isinstance(value[0], list) and value[0] and all(item == value[0][0] for item in value[0]):
            yield value[0][0]
        yield value[0]


def _default(kind: str, argument: str) -> Any:
    cls = LAYERS.get(kind)
    field = None if cls is None else next((f for n, f in cls.model_fields.items() if (f.alias or n) == argument), None)
    if field is None or field.is_required():
        return ...
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
        value = next(_forms(value), value)
    return value if value is None or isinstance(value, str | int | float | list) else ...
