"""The nodes of a plain spec: their sources as objects, their arguments as a person writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial, reduce
from graphlib import TopologicalSorter
from operator import or_
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from graphspec.base.config import Config, Registry
from graphspec.language.explain import fields_of
from graphspec.language.names import snake_case
from graphspec.language.tree import depth_first, each
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.layer import Layer, NoEffect
from graphspec.vocabulary.metrics.metric import Metric

# Arguments of layers and other objects as a person writes them: without defaults, in their shortest form.
T = TypeVar("T", bound=Config)
Known = dict[str, dict[str, Any]]  # arguments that were shortened before: equal ones are looked at once
_NOISE = 5  # digits
_IGNORED = NoEffect.__metadata__[0].description  # the description of arguments of Keras that have no effect here


def shorten_layer(kind: str, arguments: dict[str, Any], known: Known) -> dict[str, Any]:
    """Return the arguments of a layer: those that are no defaults, each in its shortest form. ``known`` is filled."""
    cls = LAYERS.get(kind)
    if cls is None:
        return dict(arguments)
    key = json.dumps([kind, arguments], default=str)
    if key not in known:
        known[key] = shorten(cls, _rounded(arguments))
    return dict(known[key])


@cache
def default(kind: str, argument: str) -> Any:
    """Return the default of a layer's argument as a spec writes it; Ellipsis if there is none that a spec can write."""
    cls = LAYERS.get(kind)
    field = None if cls is None else fields_of(cls).get(argument)
    if field is None or field.is_required():
        return ...
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
        value = next(_forms(value), value)
    return value if value is None or isinstance(value, str | int | float | list) else ...


def shorten(cls: type[Config], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that give an equal object of ``cls``; as they are if they are not valid."""
    short, fields = dict(arguments), fields_of(cls)
    for key in arguments:
        same = _equality(cls.model_validate, short)
        if same is None:
            return dict(arguments)
        rest = {k: v for k, v in short.items() if k != key}
        without_effect = key in fields and fields[key].description == _IGNORED
        if same(rest) or (without_effect and _equality(cls.model_validate, rest)) or _means_default(cls, key, short):
            short = rest
        else:
            short[key] = _shortest(short[key], partial(_with, short, key, same))
    return short


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
    if isinstance(value, float):
        short = float(f"{value:.15g}")
        return short if len(repr(short)) + _NOISE < len(repr(value)) else value
    return each(_rounded, value)


def _means_default(cls: type[Config], key: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a value does what the default null does: a linear activation, or what another argument says, too."""
    field = cls.model_fields.get(key)
    if field is None or field.is_required() or field.default is not None:
        return False
    if key == "data_format":
        return bool(arguments[key] == "channels_last")
    if issubclass(cls, Layer) and (other := cls.same_by_default.get(key)) is not None:
        made = cls.model_validate(arguments)
        return bool(getattr(made, key) == getattr(made, other))
    named = arguments[key].get("type") if isinstance(arguments[key], Mapping) else arguments[key]
    return "activation" in key and isinstance(named, str) and ACTIVATIONS.get(named) is ACTIVATIONS.get("linear")


def _shortest(value: Any, accepts: Callable[[Any], bool]) -> Any:
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
    if not isinstance(value, list) or not value or any(item != value[0] for item in value):
        return
    first = value[0]
    if isinstance(first, list) and first and all(item == first[0] for item in first):
        yield first[0]
    if isinstance(first, int | list):
        yield first


# The nodes of a plain spec with their sources as objects, in an order in which branches stay together.
_NODE = ("name", "type", "block", "share", "params", "inputs", "trainable", "repeat")
_TRUNK, _OF_SEQUENCES = 6, 3
REPEAT = "repeat"  # the argument of a run: how many copies it has
Entries = list[dict[str, Any]]
ENTRIES = ("x", "y")  # the names of the inputs of a block that is found


@dataclass(eq=False, slots=True)
class Param:
    """A parameter of a block, in place of an argument."""

    default: Any = None
    name: str = ""


@dataclass(eq=False, slots=True)
class Source:
    """Where an input comes from: output ``output`` of a step, or of an input of the scope, by its name."""

    of: Step | str
    output: int = 0


@dataclass(eq=False, slots=True)
class Instance:
    """What an instance of a found block stands for: the steps in the order of the block's own."""

    block: Found
    members: list[Step]


@dataclass(eq=False, slots=True)
class Step:
    """An entry of ``layers``. Of a run of equal instances, ``part`` is that of the first."""

    word: str
    kind: str  # the type of the layer; with ``word`` ``block`` or ``share`` the name of that
    name: str
    arguments: dict[str, Any]  # without ``inputs`` and arguments that name other nodes
    sources: dict[str, list[Any]]  # the inputs, and arguments that name nodes; numbers and null stand for themselves
    frozen: bool = False
    fixed: bool = False  # whether it keeps its name and its place: a head, or a step whose weights another one uses
    part: Instance | None = None  # for an instance of a block that was found, the steps that it replaces
    copies: list[Step] = field(default_factory=list)  # for a run, the equal instances of a found block in a row

    @property
    def alone(self) -> bool:
        """Whether the step takes no inputs, as a Parameter does: it is no part of the chain."""
        layer = LAYERS.get(self.kind) if self.word == "type" else None
        return layer is not None and layer.arity == (0, 0)

    def read(self) -> Iterator[Source]:
        for values in self.sources.values():
            yield from (value for value in values if isinstance(value, Source))


@dataclass(eq=False, slots=True)
class Found:
    """A block that was found: its steps, whose arguments may be parameters, and how many inputs it has (``entries``).

    ``is_chain``: its name lists its steps.
    """

    steps: list[Step]
    entries: int
    params: list[Param]
    name: str = ""
    instances: list[Step] = field(default_factory=list)
    is_chain: bool = False

    def filled(self) -> Iterator[tuple[Step, list[Step]]]:
        """Yield the instances that stand for steps, with these."""
        yield from ((one, one.part.members) for one in self.instances if one.part is not None and one.part.members)


@dataclass(eq=False, slots=True)
class Scope:
    """The steps of a document, or of a block of the plain spec, and what is read of them from outside."""

    inputs: tuple[str, ...]
    steps: list[Step]
    outputs: list[Source]


def read_scope(entries: Entries, inputs: list[str], ends: list[str], known: Known, ranks: Mapping[str, int]) -> Scope:
    """Read the entries of ``layers``, of which ``ends`` are read from outside. ``ranks`` are known numbers of axes."""
    steps = [_step(entry, known, ranks.get(entry["name"])) for entry in entries]
    by_name: dict[str, Step | str] = {**{name: name for name in inputs}, **{step.name: step for step in steps}}
    for step in steps:
        for key, values in step.sources.items():
            step.sources[key] = [_source(value, by_name) if isinstance(value, str) else value for value in values]
        if step.word == "share" and isinstance(owner := by_name[step.kind], Step):
            step.fixed = owner.fixed = True
    outputs = [_source(name, by_name) for name in ends]
    return Scope(tuple(inputs), ordered(steps, outputs), outputs)


def _step(entry: Mapping[str, Any], known: Known, rank: int | None) -> Step:
    word = next(word for word in ("share", "block", "type") if word in entry)
    kind = entry[word]
    given = {k: v for k, v in entry.items() if k not in _NODE}
    ends = ([-1],) if rank is None else ([-1], rank - 1, [rank - 1])
    if given.get("axis") in ends and default(kind, "axis") == -1:
        given["axis"] = -1  # Keras counts from the front in its files
    if rank == _OF_SEQUENCES and given.get("attention_axes") in (1, [1]):
        del given["attention_axes"]  # all axes between the batch and the features
    layer = LAYERS.get(kind) if word == "type" else None
    calls, flags = (layer.call_arguments, layer.call_options) if layer is not None else ((), ())
    written = {"inputs": entry.get("inputs", [])} | {key: given.pop(key) for key in calls if key in given}
    sources = {key: list(value) if isinstance(value, list) else [value] for key, value in written.items()}
    options = {key: given.pop(key) for key in flags if key in given}
    arguments = shorten_layer(kind, given, known) if word == "type" else {**given, **entry.get("params", {})}
    return Step(word, kind, entry["name"], {**arguments, **options}, sources, entry.get("trainable") is False)


def _source(name: str, by_name: Mapping[str, Step | str]) -> Source:
    before, colon, output = name.partition(":")
    return Source(by_name[before], int(output) if colon else 0)


def ordered(steps: list[Step], ends: Iterable[Source]) -> list[Step]:
    """Return the steps so that each follows what it reads and a branch stays together, as a person writes them.

    What hangs beside a long trunk, such as an embedding that is added late, stands right before the step that reads it.
    """
    before = _before(steps)
    starts = [end.of for end in ends if isinstance(end.of, Step)]
    return list(depth_first([*starts, *steps], lambda step: _trunk_first(step, before)))


def _before(steps: list[Step]) -> dict[Step, int]:
    """Return for each step a bit for each step on which it depends, and for itself."""
    read = {step: [source.of for source in step.read() if isinstance(source.of, Step)] for step in steps}
    found: dict[Step, int] = {}
    for step in TopologicalSorter(read).static_order():
        found[step] = reduce(or_, (found[source] for source in read[step]), 1 << len(found))
    return found


def _trunk_first(step: Step, before: Mapping[Step, int]) -> list[Step]:
    """Return what a step reads in the order of its inputs, but short branches of their own beside a long one last."""
    sources = [source.of for source in step.read() if isinstance(source.of, Step)]
    trunk = max((before[source] for source in sources), key=int.bit_count, default=0)
    return sorted(sources, key=lambda s: trunk.bit_count() > _TRUNK and not before[s] & trunk)
