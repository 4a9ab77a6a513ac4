"""What every object of a spec is made of: strict pydantic models, found by name in registries.

A layer, loss, optimizer, … is one small class derived from :class:`Config`; its fields are Keras's arguments with
Keras's defaults. An argument that takes an object accepts a name or a mapping, ``he_normal`` or ``{type: L2, l2: 0.001}``;
:func:`named` makes the field type for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from graphspec.codes import Code
from graphspec.errors import Problem, did_you_mean

T = TypeVar("T", bound="Config")
V = TypeVar("V")


def a(noun: str) -> str:
    """``an optimizer``, ``a loss``."""
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def invalid(
    message: str,
    hint: str | None = None,
    *,
    code: Code = Code.VALUE_NOT_ALLOWED,
    key: str | None = None,
    show_value: bool = False,
) -> PydanticCustomError:
    """A :class:`Problem` for a validator to raise.

    Args:
        message: what is wrong with the argument; in a validator of the whole model with the argument ``key``, or with the
            object where there is no key.
        show_value: whether the value, as it is written in the spec, is put behind the message: ``…, not 3``.
    """
    context = {"message": message, "problem": Problem(code, message, hint, key), "show_value": show_value}
    return PydanticCustomError(code.value, "{message}", context)


def only(allowed: V, reason: str, hint: str = "leave it out") -> Callable[[V], V]:
    """A validator for an argument of Keras that is accepted with one value alone."""

    def check(value: V) -> V:
        if value != allowed:
            raise invalid(f"must be {json.dumps(allowed)}, since {reason}", hint)
        return value

    return check


class Neutral(NamedTuple):
    """A key that Keras's configurations have and that is no argument here: what it may say, since that changes nothing."""

    values: tuple[Any, ...] = ()
    """What is accepted; whatever it is, where there is none."""
    reason: str = ""
    """Why anything else is refused."""
    hint: str | None = None

    def accepts(self, given: Any) -> bool:
        """Whether ``given`` is one of the values; true and false are no numbers."""
        same = (isinstance(given, bool) == isinstance(value, bool) and given == value for value in self.values)
        return not self.values or any(same)


WHATEVER = Neutral()


FLOAT32 = 3.4028235677973366e38
"""From here on numbers are rounded to infinity in float32."""


def _beyond(value: Any) -> float | None:
    """The first number that is beyond float32, also in nested tuples."""
    if isinstance(value, tuple):
        return next((found for item in value if (found := _beyond(item)) is not None), None)
    return value if isinstance(value, float) and abs(value) >= FLOAT32 else None


class Config(BaseModel):
    """Base of everything that a spec configures: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(
        defer_build=True,
        strict=True,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
    )
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that people look for here, and where that is said instead."""
    neutral: ClassVar[Mapping[str, Neutral]] = {}
    """Keys that are accepted without effect where they say what is so anyway; a field of the same name goes first."""

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral(cls, arguments: Any) -> Any:
        if not cls.neutral or not isinstance(arguments, dict) or cls.neutral.keys().isdisjoint(arguments):
            return arguments
        known = {key: neutral for key, neutral in cls.neutral.items() if key not in cls.model_fields}
        return {k: v for k, v in arguments.items() if k not in known or not known[k].accepts(v)}

    def model_post_init(self, _: Any) -> None:
        """Refuse a number that float32 cannot hold, in which all is computed."""
        for name, value in self.__dict__.items():
            if type(value) in (float, tuple) and (wrong := _beyond(value)) is not None:
                key = type(self).model_fields[name].alias or name
                hint = f"{wrong:g} is beyond 3.4e38, the largest number of float32"
                raise invalid("must fit float32", hint, key=key, show_value=True)


class Registry(Generic[T]):
    """The classes of one kind by all the names that Keras knows them by.

    Args:
        kind: what the classes are, for messages: ``"layer"``, ``"loss"``, …
        example: a name that answers mention.
    """

    def __init__(self, kind: str, example: str) -> None:
        self.kind = kind
        self.example = example
        self._classes: dict[str, type[T]] = {}
        self._modules: dict[str, str] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        """Names that Keras knows and a spec cannot have: why, and what to write instead."""

    def found_in(self, package: str, families: Mapping[str, str]) -> None:
        """Say where the classes are: all names, in order, by the module of ``package``.

        A module is imported when one of its names is asked for: making the classes takes longer than checking a spec.
        """
        self._modules = {name: f"{package}.{family}" for family, names in families.items() for name in names.split()}

    def add(self, *names: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: register under ``names`` (default: the class's name); the first one is the primary name.

        Raises:
            ValueError: a name is taken, or a class of graphspec is missing in the table of names where there is one.
        """

        def register(cls: type[T]) -> type[T]:
            every = names or (cls.__name__,)
            for name in every:
                listed = self._modules.get(name)
                if listed is not None and _is_outside(cls):
                    raise ValueError(f"{name!r} is a {self.kind} of graphspec already")
                if self._modules and listed != cls.__module__ and not _is_outside(cls):
                    *package, family = cls.__module__.split(".")
                    raise ValueError(f"{name!r} is missing under {family!r} in {'/'.join(package)}/__init__.py")
                if self._classes.setdefault(name, cls) is not cls:
                    raise ValueError(f"two {self.kind} classes are called {name!r}")
            return cls

        return register

    def get(self, name: str) -> type[T] | None:
        if name not in self._classes and name in self._modules:
            import_module(self._modules[name])
        return self._classes.get(name)

    def names(self) -> list[str]:
        """All names, aliases included, in order."""
        return [*self._modules, *(name for name in self._classes if name not in self._modules)]

    def plugins(self) -> list[str]:
        """The modules outside graphspec that have added classes."""
        return list(dict.fromkeys(cls.__module__ for cls in self._classes.values() if _is_outside(cls)))

    def primary(self) -> list[str]:
        """One name a class."""
        names: dict[type[T] | None, str] = {}
        for name in self.names():
            names.setdefault(self.get(name), name)
        return list(names.values())

    def suggest(self, name: str) -> str | None:
        """A name that may have been meant, else all of them where they are few."""
        if (call := re.fullmatch(r"(\w+)\((.*)\)", name)) and self.get(call[1]) is not None:
            return f"write `{call[1]}`" if not call[2] else f"arguments stand in a mapping: `{{type: {call[1]}, …}}`"
        few = f"there are {', '.join(primary)}" if len(primary := self.primary()) <= 15 else None
        return did_you_mean(name, self.names()) or few

    def _hint_type(self, value: Mapping[str, Any]) -> str | None:
        """How to say the type in a mapping that does not."""
        if self.get(next(iter(value), "")) is not None:
            return f"the name is a value: `{{type: {next(iter(value))}, …}}`"
        close = (found for key in value if key != "type" and (found := did_you_mean(key, ["type"])))
        return next(close, None) or self.suggest("")

    def __iter__(self) -> Iterator[type[T]]:
        return (self._classes[name] for name in self.primary())

    def parse(self, value: Any) -> Any:
        """An instance from a name, a mapping with ``type``, or an instance.

        Raises:
            PydanticCustomError: a problem (see :func:`invalid`), or ``nested`` whose context has the ``errors`` of the
                inner model, each with its ``loc`` below this value.
        """
        if value is None or isinstance(value, Config):  # whether null may stand here, the field's type says
            return value
        if isinstance(value, str):
            name, arguments, key = value, {}, None
        elif isinstance(value, dict):
            if not isinstance(value.get("type"), str):
                raise invalid(
                    f"needs `type`, the name of {a(self.kind)}", self._hint_type(value), code=Code.MISSING_KEY
                )
            name, arguments, key = value["type"], {k: v for k, v in value.items() if k != "type"}, "type"
        else:
            text, hint = f"must be the name of {a(self.kind)} or a mapping with its `type`", f"such as `{self.example}`"
            raise invalid(text, hint, code=Code.WRONG_TYPE, show_value=True)
        cls = self.get(name)
        if cls is None and name in self.refused:
            reason, hint = self.refused[name]
            raise invalid(f"names {name}, which is refused: {reason}", hint, key=key)
        if cls is None:
            text, found = f"names an unknown {self.kind} '{name}'", self.suggest(name)
            raise invalid(text, found, code=Code.UNKNOWN_CLASS, key=key)
        try:
            return cls.model_validate(arguments)
        except ValidationError as error:
            inner = error.errors(include_url=False)
            nested: dict[str, Any] = {"kind": self.kind, "name": name, "errors": inner}
            raise PydanticCustomError("nested", "{kind} '{name}'", nested) from None


def _is_outside(cls: type) -> bool:
    return cls.__module__.partition(".")[0] != __name__.partition(".")[0]


def only_base(of: str, instead: str) -> tuple[str, str]:
    """Why the base of a kind of Keras's classes is refused, and what to write instead."""
    return f"it is the base of all {of} and does nothing", instead


def named(registry: Registry[Any], base: Any) -> Any:
    """The field type of an argument that takes an object of ``registry`` by name or mapping."""
    schema = {"x-kind": registry.kind}  # `spec/schema.py` makes the reference
    return Annotated[base, BeforeValidator(registry.parse), WithJsonSchema(schema)]


def _one_or_each(n: int) -> BeforeValidator:
    return BeforeValidator(lambda value: tuple(value) if isinstance(value, list | tuple) else (value,) * n)


FROM_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Makes a list the tuple that stands in a frozen config."""


def as_tuple(value: V | tuple[V, ...] | None) -> tuple[V, ...]:
    """One value as a tuple of one, null as an empty one."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


LARGEST = 2**31 - 1
"""The largest size that a spec may name; products of sizes stay far below what the runtime can count."""
PositiveInt = Annotated[int, Field(ge=1, le=LARGEST)]
Rate = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Ints = Annotated[tuple[int, ...], FROM_LIST]
"""A list of integers."""
IntOrInts = Annotated[int | tuple[int, ...], FROM_LIST]
"""One integer or a list of them (axes)."""
Axes = Annotated[int | Annotated[tuple[int, ...], Field(min_length=1)], FROM_LIST]
"""One axis, or several."""
FloatOrFloats = Annotated[float | tuple[float, ...], FROM_LIST]
"""One number or a list of them."""
Size1 = Annotated[tuple[PositiveInt], _one_or_each(1)]
Size2 = Annotated[tuple[PositiveInt, PositiveInt], _one_or_each(2)]
Size3 = Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], _one_or_each(3)]
"""One integer for all spatial axes, or one each."""
Natural = Annotated[int, Field(ge=0, le=LARGEST)]
Naturals1 = Annotated[tuple[Natural], _one_or_each(1)]
Naturals2 = Annotated[tuple[Natural, Natural], _one_or_each(2)]
Naturals3 = Annotated[tuple[Natural, Natural, Natural], _one_or_each(3)]
"""The same, from 0."""
