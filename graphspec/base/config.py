"""The base class of everything that a spec configures, and the registries that find classes by name.

A layer, loss, optimizer, … is a strict pydantic model derived from :class:`Config`. Its fields are Keras's arguments
with Keras's defaults. An argument that takes an object accepts a name or a mapping: ``he_normal`` or
``{type: L2, l2: 0.001}``. :func:`named` creates the field type for such an argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from graphspec.base.arguments import Called
from graphspec.base.deprecation import Old, name_today
from graphspec.base.errors import Code, Problem, did_you_mean, shorten
from graphspec.base.libraries import names_in
from graphspec.base.synonyms.keys import fold, otherwise, synonym

T = TypeVar("T", bound="Config")
V = TypeVar("V")


def with_article(noun: str) -> str:
    """Return ``noun`` with its indefinite article: ``an optimizer``, ``a loss``."""
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def class_name(name: str) -> str:
    """Return how the class of a name is called in Python: ``LeakyRelu`` for ``leaky_relu``."""
    return "".join(part[0].upper() + part[1:] for part in name.split("_"))


def invalid(
    message: str,
    hint: str | None = None,
    *,
    code: Code = Code.VALUE_NOT_ALLOWED,
    key: str | None = None,
    show_value: bool = False,
    old: Old | None = None,
) -> PydanticCustomError:
    """Return the exception by which a validator reports a :class:`Problem`.

    ``message``: the problem of the argument. A validator of the whole model reports a problem of the argument ``key``,
    or of the object if there is no key; ``show_value``: append the value, as it is written in the spec, to the message:
    ``…, not 3``. ``old``: what the value is today, if it is a name of older versions.
    """
    problem = Problem(code, message, hint, key, old=old)
    context = {"message": message, "problem": problem, "show_value": show_value}
    return PydanticCustomError(code.value, "{message}", context)


@dataclass(frozen=True, slots=True)
class Only:
    """A validator for an argument of Keras that accepts one value only; ``message`` is the problem of every other one."""

    allowed: Any
    message: str
    hint: str

    def __call__(self, value: Any) -> Any:
        if value != self.allowed:
            raise invalid(self.message, self.hint)
        return value


def setting(default: Any, description: str, **more: Any) -> Any:
    """Return a field with a default, ``...`` for none, and a description, which hints and the JSON Schema show."""
    return Field(default, description=description, **more)


def described(text: str, **more: Any) -> Any:
    """Return what describes a type, with its limits: an argument of ``Annotated``."""
    return Field(description=text, **more)


def only(allowed: Any, reason: str, hint: str = "leave it out") -> Only:
    """Return a validator for an argument of Keras that accepts one value only."""
    return Only(allowed, f"must be {json.dumps(allowed)}, since {reason}", hint)


class Neutral(NamedTuple):
    """A key of Keras's configurations that is not an argument here, and the values that are accepted without effect."""

    values: tuple[Any, ...] = ()  # the accepted values; an empty tuple accepts every value
    reason: str = ""  # the reason for refusing other values
    hint: str | Callable[[Mapping[str, Any]], str] | None = None  # how to replace one; a function gets the arguments

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` is accepted. True and false do not equal 1 and 0."""
        equal = (isinstance(value, bool) == isinstance(known, bool) and value == known for known in self.values)
        return not self.values or any(equal)


ANY_VALUE = Neutral()


FLOAT32_LIMIT = 3.4028235677973366e38  # the smallest number that float32 rounds to infinity


def _beyond_float32(value: Any) -> float | None:
    """Return the first number in ``value``, a number or a nested tuple, that float32 cannot represent."""
    if isinstance(value, tuple):
        return next((found for item in value if (found := _beyond_float32(item)) is not None), None)
    return value if isinstance(value, float) and abs(value) >= FLOAT32_LIMIT else None


class Config(BaseModel, metaclass=Called):
    """Base class of everything that a spec configures: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(
        defer_build=True, strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that users often write here by mistake, each with a hint to the right place. Keys of other frameworks are in
    ``graphspec/base/synonyms/keys.toml``."""
    in_float64: ClassVar[frozenset[str]] = frozenset()
    """Arguments that may be larger than float32, since the graph has a number that is computed from them."""
    neutral: ClassVar[Mapping[str, Neutral]] = {}
    """Keys that are accepted without effect if their value is neutral. A field of the same name takes precedence."""

    old_keys: ClassVar[Mapping[str, Old]] = {}
    """Keys of older versions: specs with one go on, with a warning, and ``graphspec upgrade`` rewrites it."""
    old_values: ClassVar[Mapping[str, Mapping[str, Old]]] = {}
    """By key, words of older versions, likewise."""

    def __init_subclass__(cls, **attributes: Any) -> None:
        """Take the keywords of a class statement as attributes: ``class Sum(Layer, supports_masking=True)``."""
        super().__init_subclass__()
        for name, value in attributes.items():
            setattr(cls, name, value)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        _forget_class_variables(cls)

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral(cls, arguments: Any) -> Any:
        if not cls.neutral or not isinstance(arguments, dict) or cls.neutral.keys().isdisjoint(arguments):
            return arguments
        known = {key: neutral for key, neutral in cls.neutral.items() if key not in cls.model_fields}
        return {k: v for k, v in arguments.items() if k not in known or not known[k].accepts(v)}

    def model_post_init(self, _: Any) -> None:
        """Refuse numbers that float32, the dtype of all computation, cannot represent."""
        for name, value in self.__dict__.items():
            if name in self.in_float64 or type(value) not in (float, tuple):
                continue
            if (wrong := _beyond_float32(value)) is not None:
                key = type(self).model_fields[name].alias or name
                hint = f"{wrong:g} is larger than 3.4e38, the largest number of float32"
                raise invalid("must fit float32", hint, key=key, show_value=True)
        self.check_arguments()

    def check_arguments(self) -> None:
        """Raise :func:`invalid` if arguments, each of which is right, do not fit together."""


def _forget_class_variables(cls: type[Config]) -> None:
    """Drop the annotations of class variables once pydantic has read them: it reads those of all bases for each class."""
    annotations = vars(cls).get("__annotations__", {})
    for name in annotations.keys() & cls.__class_vars__:
        del annotations[name]


_forget_class_variables(Config)

_plugins: list[str] | None = None
_packages: set[str] = set()  # of plugins
_unfinished: list[tuple[type[Config], dict[str, Any]]] = []  # classes with keys of unknown types; where they are


def load_plugins() -> list[str]:
    """Import what installed packages name under the entry points ``graphspec.extend``, once; return what fails there."""
    global _plugins
    if _plugins is None:
        from importlib.metadata import entry_points  # takes longer than checking a spec without plugins

        _plugins = []  # what they look up meanwhile loads nothing
        for entry in sorted(entry_points(group="graphspec.extend")):
            _packages.add(entry.module.partition(".")[0])
            try:
                entry.load()
                _finish(entry.module.partition(".")[0])
            except (Exception, SystemExit) as error:  # whatever their code raises
                text = failure(error) or f"{type(error).__name__}: {error}"
                _plugins.append(f"the plugin '{entry.name}' cannot be loaded: {text}")
    return _plugins


def _finish(package: str) -> None:
    """Look up the types of a package's classes that Python has not yet: before 3.14 only those that are texts."""
    for cls, classes in _unfinished:
        try:
            if cls.__module__.partition(".")[0] == package:
                cls.model_rebuild()
        except NameError as error:
            for name in [name for name, known in classes.items() if known is cls]:
                del classes[name]
            raise NameError(f"name {error.name!r} is not defined, of a key of {cls.__name__}") from None


def failure(error: BaseException) -> str | None:
    """Return what a plugin's code raised, and where; None if it comes from elsewhere."""
    steps = [
        (frame.f_globals.get("__name__"), frame.f_code.co_filename, at) for frame, at in walk_tb(error.__traceback__)
    ]
    own = [(file, at) for module, file, at in steps if str(module).partition(".")[0] in _packages]
    place = f"{Path(own[-1][0]).name}, line {own[-1][1]}" if own else None
    return place and f"{type(error).__name__}: {shorten(str(error), 300)} ({place})"


_FEW = 15  # classes that a hint lists
_FEW_NAMES = 60  # names that a registry of a few classes may have; classes of larger ones are not imported to be listed


class Registry(Generic[T]):
    """The classes of one kind, by all names that Keras has for them. ``example`` is a name that hints mention."""

    def __init__(self, kind: str, example: str) -> None:
        self.kind = kind
        self.example = example
        self._classes: dict[str, type[T]] = {}
        self._modules: dict[str, str] = {}
        self._made: dict[str, str] = {}
        self._rows: dict[str, tuple[Sequence[str], Callable[[], type[T]]]] = {}
        self.families: dict[str, str] = {}  # of each name: a family stands together on the pages of the vocabulary
        self._folded: dict[str, list[str]] = {}
        self._folded_refused: dict[str, str] = {}
        self._folded_count = -1
        self.refused: dict[str, tuple[str, str]] = {}  # names of Keras, with the reason and the replacement
        self.old: dict[str, Old] = {}  # names of older versions

    def family(self, cls: type[Config]) -> str:
        """Return the family of a class: that of its names, else its file."""
        return self.families.get(cls.__name__, cls.__module__.rpartition(".")[2])

    def found_in(self, package: str, families: Mapping[str, str] | None = None) -> None:
        """Declare the modules of the classes: all names, in order, by the module of ``package`` (its ``names.json``).

        A module with several families has a key for each, ``module/family``: the order of the names is that of the schema.
        A module is imported when one of its names is first looked up, since building all classes takes longer than
        checking a spec.
        """
        for family, names in (names_in(package) if families is None else families).items():
            module, _, part = family.partition("/")
            self._modules |= dict.fromkeys(names.split(), f"{package}.{module}")
            self.families |= dict.fromkeys(names.split(), part or module)

    def made_by(self, module: str, prefix: str) -> None:
        """Declare classes that a module makes: ``names()`` are theirs, ``make(name)`` is one or None."""
        self._made[prefix] = module

    def add(self, *names: str) -> Callable[[type[T]], type[T]]:
        """Return a class decorator that registers a class under ``names`` (default: the class's name), the first is primary.

        A name that is in use is a ValueError, and so is a table of names that lacks a class of graphspec.
        """

        def register(cls: type[T]) -> type[T]:
            if is_from_plugin(cls):
                _packages.add(cls.__module__.partition(".")[0])
                cls.label = getattr(cls, "label", next(iter(names), cls.__name__))  # type: ignore[attr-defined]
                if issubclass(cls, Config) and not cls.__pydantic_complete__:
                    _unfinished.append((cls, self._classes))
            for name in names or (cls.__name__,):
                declared = self._modules.get(name)
                if declared is not None and is_from_plugin(cls):
                    raise ValueError(f"{name!r} is already a {self.kind} of graphspec")
                if self._modules and declared != cls.__module__ and not is_from_plugin(cls):
                    *package, family = cls.__module__.split(".")
                    raise ValueError(f"{name!r} is missing under {family!r} in {'/'.join(package)}/names.json")
                if self._classes.setdefault(name, cls) is not cls:
                    raise ValueError(f"two {self.kind} classes are called {name!r}")
            return cls

        return register

    def row(self, names: Sequence[str], make: Callable[[], type[T]]) -> None:
        """Register a class of a table under ``names``. It is made when one of them is first looked up.

        A name that is in use, or that the table of names lacks, is a ValueError.
        """
        for name in names:
            if name not in self._modules:
                raise ValueError(f"{name!r} is missing in the table of the names of {self.kind} classes")
            if self._rows.setdefault(name, (names, make))[0] is not names:
                raise ValueError(f"two {self.kind} classes are called {name!r}")

    def get(self, name: str, *, plugins: bool = True) -> type[T] | None:
        """Return the class of this name, or None. Imports its module, or ``plugins``, and makes the class if necessary."""
        if name not in self._classes and name in self._modules:
            module = import_module(self._modules[name])
            if name in self._rows:
                names, make = self._rows[name]
                cls = self._classes.setdefault(names[0], make())  # the first one, if two threads make it
                self._classes |= dict.fromkeys(names, cls)
            elif name not in self._classes and isinstance(found := vars(module).get(class_name(name)), type):
                self._classes[name] = found  # the table is all that a class without a decorator needs
        elif name not in self._classes and (maker := self._made.get(name.partition(".")[0])) is not None:
            if (made := import_module(maker).make(name)) is None:
                return None
            self._classes[name] = made
        elif plugins and name and name not in self._classes and name not in self.refused:
            load_plugins()
        return self._classes.get(name)

    def public(self) -> list[str]:
        """Return the names by which Python imports the classes: their class names, in order. Imports no module."""
        return [name for name in self._modules if name[0].isupper()] or list(map(class_name, self._modules))

    def attribute(self, package: str, name: str) -> type[T]:
        """Return the class that ``from package import name`` imports. A name that Keras has gets the reason."""
        families = {module.rpartition(".")[2] for module in self._modules.values()}
        if not name.startswith("_") and name not in families:  # a module would hide the class once it is imported
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
            for known in (name, snake):
                if known in self._modules and (cls := self.get(known)) is not None:
                    return cls
            today = name_today(package, name, self.old, stacklevel=4)
            if today is not None and (cls := self.get(today)) is not None:
                return cls
        why = f" ({': '.join(self.refused[name])})" if name in self.refused else ""
        close = None if why or name.startswith("_") else did_you_mean(name, self.public())
        why = why or (f"; {close}" if close else "")
        raise AttributeError(f"module '{package}' has no attribute '{name}'{why}")

    def names(self) -> list[str]:
        """Return all names, including aliases, in order."""
        made = dict.fromkeys(name for maker in self._made.values() for name in import_module(maker).names())
        return list(dict.fromkeys([*self._modules, *made, *self._classes]))

    def plugins(self) -> list[str]:
        """Return the names of the modules outside graphspec that registered classes."""
        return list(dict.fromkeys(cls.__module__ for cls in self._classes.values() if is_from_plugin(cls)))

    def primary(self) -> list[str]:
        """Return the primary name of every class."""
        names: dict[type[T] | None, str] = {}
        for name in self.names():
            names.setdefault(self.get(name), name)
        return list(names.values())

    def same(self, name: str) -> list[str]:
        """Return the names that differ from ``name`` only in case, separators and a module before it."""
        names = self.names()
        count = len(names) + len(self.refused)
        if count != self._folded_count:
            self._folded, self._folded_count = {}, count
            for known in (known for known in names if "." not in known):
                self._folded.setdefault(fold(known), []).append(known)
            self._folded_refused = {fold(known): hint for known, (_, hint) in self.refused.items()}
        return self._folded.get(fold(name), [])

    def suggest(self, name: str) -> str | None:
        """Return a hint for an unknown ``name``: what it may mean, and which plugins cannot be loaded."""
        return "; ".join(filter(None, [*load_plugins(), self._suggest(name)])) or None

    def _suggest(self, name: str) -> str | None:
        if name in self.old:
            return self.old[name].hint
        family = [known for known in self.names() if known.startswith(f"{name.partition('.')[0]}.")]
        if "." in name and family:  # ops.summ
            return did_you_mean(name, family) or f"they are {', '.join(family[:_FEW])}, …"
        call = re.fullmatch(r"([\w.]+)\((.*)\)", name)
        last = (call[1] if call else name).rpartition(".")[2]  # torch.nn.Linear, keras.layers.Dense(64)
        if (call or last != name) and self.get(last) is not None:
            arguments = call is not None and call[2]
            return f"write arguments as a mapping: `{{type: {last}, …}}`" if arguments else f"write `{last}`"
        if re.search(r"\(.*\(| [-+*/] ", name) and (formula := otherwise(self.kind)):  # mean(abs(a - b)): no name
            return formula
        names = [known for known in self.names() if "." not in known]
        same = self.same(last)
        if not same and (refused := self._folded_refused.get(fold(last))) is not None:
            return refused
        found = did_you_mean(last, same) or synonym(self.kind, last) or did_you_mean(last, names)
        if found is None and len(names) <= _FEW_NAMES and len(primary := self.primary()) <= _FEW:
            return f"there are {', '.join(primary)}"
        return found or (otherwise(self.kind) if name else None)

    def _hint_type(self, value: Mapping[str, Any]) -> str | None:
        """Return a hint for a mapping that lacks ``type``."""
        if self.get(next(iter(value), "")) is not None:
            return f"write the name as the value of `type`: `{{type: {next(iter(value))}, …}}`"
        close = (found for key in value if key != "type" and (found := did_you_mean(key, ["type"])))
        return next(close, None) or self.suggest("")

    def __iter__(self) -> Iterator[type[T]]:
        return (self._classes[name] for name in self.primary())

    def parse(self, value: Any) -> Any:
        """Return an instance for a name, a mapping with ``type``, or an instance.

        A problem is raised as by :func:`invalid`, or as a PydanticCustomError ``nested``, whose context has the ``errors``
        of the inner model, each with its ``loc`` relative to this value.
        """
        if value is None or isinstance(value, Config):  # the field's type decides whether null is allowed
            return value
        if not isinstance(value, str | dict):
            text = f"must be the name of {with_article(self.kind)} or a mapping with its `type`"
            raise invalid(text, f"for example `{self.example}`", code=Code.WRONG_TYPE, show_value=True)
        key = None if isinstance(value, str) else "type"
        arguments: dict[str, Any] = {"type": value} if isinstance(value, str) else dict(value)
        if not isinstance(arguments.get("type"), str):
            text = f"needs `type`, the name of {with_article(self.kind)}"
            raise invalid(text, self._hint_type(arguments), code=Code.MISSING_KEY)
        name = arguments.pop("type")
        cls = self.get(name)
        if cls is None and name in self.refused:
            reason, hint = self.refused[name]
            raise invalid(f"names {name}, which is refused: {reason}", hint, key=key)
        if cls is None:
            text = f"names an unknown {self.kind} '{name}'"
            raise invalid(text, self.suggest(name), code=Code.UNKNOWN_CLASS, key=key, old=self.old.get(name))
        try:
            return cls.model_validate(arguments)
        except ValidationError as error:
            nested: dict[str, Any] = {"kind": self.kind, "name": name, "errors": error.errors(include_url=False)}
            raise PydanticCustomError("nested", "{kind} '{name}'", nested) from None


def is_from_plugin(cls: type) -> bool:
    """Return whether a class stands outside graphspec."""
    return cls.__module__.partition(".")[0] != __name__.partition(".")[0]


def only_base(of: str, instead: str) -> tuple[str, str]:
    """Return the reason for refusing a base class of Keras, and the replacement."""
    return f"it is the base of all {of} and does nothing", instead


def named(registry: Registry[Any], base: Any) -> Any:
    """Return the field type of an argument that takes an object of ``registry``, by name or as a mapping."""
    schema: dict[str, Any] = {"x-kind": registry.kind}  # `language/schema.py` replaces it by a reference
    if type(None) in get_args(base):
        schema = {"anyOf": [schema, {"type": "null"}]}
    return Annotated[base, BeforeValidator(registry.parse), WithJsonSchema(schema)]


@dataclass(frozen=True)
class SchemaOf:
    """Annotates a field with the JSON schema of a model: made when it is asked for, which takes longer than most checks."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        return self.model.model_json_schema()


def _one_or_each(n: int) -> BeforeValidator:
    return BeforeValidator(lambda value: tuple(value) if isinstance(value, list | tuple) else (value,) * n)


FROM_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Converts a list to a tuple, since a frozen config must not contain lists."""


def as_tuple(value: V | tuple[V, ...] | None) -> tuple[V, ...]:
    """Return ``value`` as a tuple: of one element for a single value, empty for None."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


MAX_SIZE = 2**31 - 1  # the largest size that a spec may contain. It keeps products of two sizes below 2⁶³.
PositiveInt = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Texts = Annotated[tuple[str, ...], FROM_LIST]  # a list of texts
Ints = Annotated[tuple[int, ...], FROM_LIST]  # a list of integers
IntOrInts = Annotated[int | tuple[int, ...], FROM_LIST]  # one integer, or a list of integers (axes)
Axes = Annotated[int | Annotated[tuple[int, ...], Field(min_length=1)], FROM_LIST]  # one axis, or several
FloatOrFloats = Annotated[float | tuple[float, ...], FROM_LIST]  # one number, or a list of numbers
Size2 = Annotated[tuple[PositiveInt, PositiveInt], _one_or_each(2)]  # one integer for both spatial axes, or for each
Natural = Annotated[int, Field(ge=0, le=MAX_SIZE)]


def one_or_each(n: int, kind: Any = PositiveInt) -> Any:
    """Return the field type of one integer for all of ``n`` axes, or one for each axis."""
    return Annotated[tuple[(kind,) * n], _one_or_each(n)]  # type: ignore[misc]
