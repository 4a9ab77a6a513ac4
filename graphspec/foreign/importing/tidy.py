"""Turn the plain data of a spec, with every argument of every node, into what a person would write, formulas among it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from graphspec.foreign.importing.naming import Emitter, Names
from graphspec.foreign.importing.steps import REPEAT, Known, Scope, Step, read_scope, shorten_object
from graphspec.foreign.importing.structure import Structure, text_of
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.language.declarations import LABEL, SUFFIXES
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.names import snake_case
from graphspec.language.sections import KEYS
from graphspec.language.tree import each
from graphspec.language.write import flow
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

_USES, _LONG = 3, 30  # a mapping becomes a variable if it occurs so often and has so many characters


@dataclass(frozen=True)
class Tidied:
    """A spec as a person would write it; ``renamed`` has the new paths of nodes whose names changed, by the old ones."""

    data: dict[str, Any]
    renamed: dict[str, str]

    def weight(self, name: str) -> str:
        """Return the new name of a weight, ``<node>/<role>``."""
        parts = name.split("/")
        for k in range(len(parts) - 1, 0, -1):
            if (new := self.renamed.get("/".join(parts[:k]))) is not None:
                return "/".join((new, *parts[k:]))
        return name


def tidy(data: Mapping[str, Any], *, structure: bool = True, ranks: Mapping[str, int] | None = None) -> Tidied:
    """Return a plain spec without defaults, with blocks for what it repeats if ``structure`` is wanted.

    Every node of ``data`` has a name, ``type``, ``block`` or ``share``, ``inputs`` and any arguments. ``ranks`` are known
    numbers of axes of nodes: an axis at the end is then -1.
    """
    short = {**data, "outputs": {name: _head(head) for name, head in data["outputs"].items()}}
    if "training" in data:
        training = short["training"] = dict(data["training"])
        if "optimizer" in training:
            training["optimizer"] = shorten_object(OPTIMIZERS, rounded(training["optimizer"]))
    layers, blocks, renamed = _layers(data, structure, ranks or {})
    variables = _variables(layers, blocks, {*data.get("vars", {})})
    found = {**short, "layers": layers, "vars": {**data.get("vars", {}), **variables}, "blocks": blocks}
    keys = [*(key for key in KEYS if found.get(key)), *(key for key in found if key not in KEYS)]
    return Tidied({key: found[key] for key in keys}, renamed)


def _layers(
    data: Mapping[str, Any], structure: bool, ranks: Mapping[str, int]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]], dict[str, str]]:
    known: Known = {}
    heads = {name: head.get("layer", name) for name, head in data["outputs"].items()}
    targets = [head["target"] for head in data["outputs"].values() if isinstance(head.get("target"), str)]
    ends = [end for layer in (*heads.values(), *targets) for end in _list(layer)]
    top = read_scope(data["layers"], list(data["inputs"]), ends, known, ranks)
    for source in top.outputs:
        if isinstance(source.of, Step):
            source.of.fixed = True
    given: dict[str, Scope] = {}
    for name, block in data.get("blocks", {}).items():
        given[name] = read_scope(block["layers"], _list(block["inputs"]), _list(block["outputs"]), known, {})
    found = Structure([top, *given.values()])
    if structure:
        found.find()
    emitter = Emitter(found.in_order(), given)
    reserved = {f"{head}{end}" for head in heads for end in ("", LABEL, *SUFFIXES)}
    layers = emitter.scope(top, reserved - {s.name for s in top.steps})
    blocks = {block.name: emitter.block(block) for block in emitter.blocks}
    for name, scope in given.items():
        entries = emitter.scope(scope, ())
        blocks[name] = {**data["blocks"][name], "layers": entries, "outputs": list(map(emitter.text, scope.outputs))}
    return layers, blocks, dict(_renamed(top, given, emitter))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _renamed(top: Scope, given: Mapping[str, Scope], emitter: Emitter) -> Iterator[tuple[str, str]]:
    """Yield the old and the new path of each node that has another one."""

    def paths(step: Step, path: str) -> Iterator[tuple[Step, str]]:
        if step.part is None:
            yield step, path
            return
        for k, copy in enumerate(step.copies):
            yield from paths(copy, f"{path}_{k + 1}")
        for own, member in zip(step.part.block.steps, [] if step.copies else step.part.members, strict=not step.copies):
            first = "_1" if REPEAT in own.arguments and not member.copies else ""
            yield from paths(member, f"{path}/{emitter.names[own]}{first}")

    def scope(steps: list[Step], old: str, new: str) -> Iterator[tuple[str, str]]:
        for step in steps:
            for leaf, path in paths(step, emitter.names[step]):
                before, after = f"{old}{leaf.name}", f"{new}{path}"
                if leaf.word == "block" and leaf.kind in given:
                    yield from scope(given[leaf.kind].steps, f"{before}/", f"{after}/")
                elif before != after:
                    yield before, after

    yield from scope(top.steps, "", "")


def _head(head: Mapping[str, Any]) -> dict[str, Any]:
    short = dict(head)
    if short.get("loss") is not None:
        short["loss"] = shorten_object(LOSSES, head["loss"])
    if short.get("metrics"):
        short["metrics"] = shorten_object(METRICS, head["metrics"])
    if short.get("weight") == 1.0:
        del short["weight"]
    return {key: value for key, value in short.items() if value is not None and value != []}


def rounded(value: Any) -> Any:
    """Return a value with numbers of float32 in their shortest form: Keras keeps 0.001 as 0.0010000000474974513."""
    if isinstance(value, float) and np.isfinite(value) and float(np.float32(value)) == value:
        short = float(str(np.float32(value)))
        return short if len(repr(short)) < len(repr(value)) else value
    return each(rounded, value)


def _variables(layers: list[Any], blocks: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """Replace long mappings that occur often by variables, in place, and return these."""
    places: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for entry in _mappings([*layers, *blocks.values()]):
        for key, value in entry.items():
            if isinstance(value, dict) and "type" in value and len(flow(value)) >= _LONG and "${" not in flow(value):
                places.setdefault(text_of(value), []).append((entry, key))
    names = Names(taken | {param for block in blocks.values() for param in block.get("params", {})})
    found: dict[str, Any] = {}
    for uses in (uses for uses in places.values() if len(uses) >= _USES):
        value = uses[0][0][uses[0][1]]
        name = names.claim(snake_case(value["type"]))
        found[name] = value
        for entry, key in uses:
            entry[key] = "${" + name + "}"
    return found


def _mappings(values: Any) -> Iterator[dict[str, Any]]:
    """Yield the entries of layers, their params, and the params of blocks: where an argument may be a variable."""
    for value in values:
        yield value
        if isinstance(value.get("params"), dict):
            yield value["params"]
        if isinstance(value.get("layers"), list):
            yield from _mappings(value["layers"])


# Operations that are read once, by the next operation, as one formula.
_SIGNS = {"add": ("+", 5), "subtract": ("-", 5), "multiply": ("*", 6), "divide": ("/", 6), "true_divide": ("/", 6)}
_SIGNS |= {"equal": ("==", 4), "not_equal": ("!=", 4), "less": ("<", 4), "greater": (">", 4), "power": ("**", 8)}
_SIGNS |= {"less_equal": ("<=", 4), "greater_equal": (">=", 4), "matmul": ("@", 6)}
_LAYERS = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Rescaling": "rescaling"}
_SEVERAL = ("top_k", "split", "unstack", "moments")  # outputs
_WHOLE = 9  # the level of what needs no brackets
_LONGEST = 90  # characters of a formula
Text = tuple[str, int]  # of a formula, and the level of its last operator


def _rescaled(text: str, level: int, scale: Any, offset: Any) -> Text:
    """Return ``x * scale + offset`` without what changes nothing; an offset may be a variable or a list."""
    scale, offset = (int(x) if isinstance(x, float) and abs(x) < _LONG and x == int(x) else x for x in (scale, offset))
    if scale != 1:
        text, level = f"{text if level >= 6 else f'({text})'} * {scale}", 6
    if offset == 0:
        return text, level
    below = isinstance(offset, int | float) and offset < 0
    return f"{text} {'-' if below else '+'} {-offset if below else offset}", 5


def with_formulas(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec with formulas; `layers` lists each node behind those that it reads."""
    heads = {text for name, head in data["outputs"].items() for text in (name, *_texts(head))}
    found = data.get("blocks", {}).items()
    blocks = {name: b | {"layers": _joined(b["layers"], {*_texts(b["outputs"])}, b["inputs"])} for name, b in found}
    return {**data, "layers": _joined(data["layers"], heads, data.get("inputs", ()))} | (
        {"blocks": blocks} if blocks else {}
    )


def _joined(entries: Iterable[dict[str, Any]], kept: set[str], first: Iterable[str]) -> list[dict[str, Any]]:
    above: list[Any] = [first] if isinstance(first, str) else [*first]
    given: list[list[Any]] = []
    for entry in entries:
        inputs = entry.get("inputs", above)
        given.append(inputs if isinstance(inputs, list) else [inputs])
        above = above if entry.get("type") in ("Parameter", "Constant") else [entry.get("name")]
        kept |= {*chain(*(_texts(value) for key, value in entry.items() if key not in ("name", "type", "inputs")))}
    readers = Counter(ref for inputs in given for ref in inputs if isinstance(ref, str))
    kept |= {part for ref in readers for part in (*ref.split("/")[:-1], *ref.split(":")[:-1])}
    pending, places, plain = dict[str, Text](), dict[str, list[int]](), set[Any]()
    found: dict[int, dict[str, Any]] = {}
    for k, (entry, inputs) in enumerate(zip(entries, given, strict=True)):
        found[k], name = entry, entry.get("name")
        whole = [pending[x] if isinstance(x, str) and x in pending else _named(x) for x in inputs if x is not None]
        if None in inputs or "name" not in entry or (text := _text(entry, whole)) is None:
            continue
        if entry["type"] not in _LAYERS or plain.issuperset(x for x in inputs if isinstance(x, str)):
            plain.add(name)  # it has no mask: a layer passes on those of its inputs
        parts = [k]
        if not (of := {x for x in inputs if isinstance(x, str) and x in pending}) or len(text[0]) > _LONGEST:
            text = _text(entry, [_named(x) for x in inputs]) or text
        else:
            parts += [part for x in of for part in places[x]]
            if name in plain:
                found[k] = {"name": name, "type": "Formula", "value": text[0]}
                for part in parts[1:]:
                    del found[part]
                parts = [k]
        if readers[str(name)] == 1 and name not in kept:
            pending[str(name)], places[str(name)] = text, parts
    return list(found.values())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in (value.values() if isinstance(value, Mapping) else value) if isinstance(value, list | Mapping) else ():
        yield from _texts(inner)


def _named(value: Any) -> Text:
    plain = not isinstance(value, str) or (value.replace(":", "").isidentifier() and value not in ("and", "or", "not"))
    return (str(value) if plain else f"`{value}`"), (_WHOLE if isinstance(value, str | list) or value >= 0 else 7)


def _text(entry: Mapping[str, Any], inputs: list[Text]) -> Text | None:
    """Return an operation as a formula of its inputs; None for other layers."""
    kind = str(entry.get("type"))
    name = _LAYERS.get(kind) or kind.removeprefix("ops.")
    if not inputs:
        return None
    text, level = inputs[0]
    options = {key: value for key, value in entry.items() if key not in ("name", "type", "inputs")}
    if kind == "GetItem" and options.keys() == {"key"}:
        return (text if level == _WHOLE else f"({text})") + options["key"], _WHOLE
    if kind == "Rescaling" and options.keys() <= {"scale", "offset"}:
        return _rescaled(text, level, options["scale"], options.get("offset", 0))
    if (kind not in _LAYERS and LAYERS.get(f"ops.{name}") is None) or name == kind or name in _SEVERAL:
        return None
    if not options.keys().isdisjoint(ENTRY_KEYS) or (kind in _LAYERS and len(inputs) != 2):  # such as `repeat`
        return None
    if name in _SIGNS and len(inputs) == 2 and not options:
        sign, level = _SIGNS[name]
        least = (level + 1, 8) if level in (4, 8) else (level, level + 1)  # comparisons and powers are no chains
        left, right = (t if of >= bound else f"({t})" for (t, of), bound in zip(inputs, least, strict=True))
        return (f"{left}{sign}{right}" if sign == "**" else f"{left} {sign} {right}"), level
    if name == "negative":
        return f"-{inputs[0][0]}" if inputs[0][1] >= 7 else f"-({inputs[0][0]})", 7
    words = []
    for key, value in options.items():
        plain = isinstance(value, bool | int | float | list) or value is None
        words.append(f"{key}={str(value).lower() if isinstance(value, bool) else value if plain else repr(value)}")
    return f"{name}({', '.join([*(text for text, _ in inputs), *words])})", _WHOLE
