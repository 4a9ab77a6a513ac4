"""Turn the plain data of a spec, with every argument of every node, into what a person would write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphspec.foreign.importing.naming import Emitter
from graphspec.foreign.importing.steps import (
    REPEAT,
    Scope,
    Shortener,
    Step,
    UnreadableError,
    read_scope,
    shorten_object,
)
from graphspec.foreign.importing.structure import Structure, text_of
from graphspec.foreign.importing.yaml_text import flow
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.language.names import snake_case
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

_USES, _LONG = 3, 30
"""A mapping becomes a variable if it occurs so often and has so many characters."""


@dataclass(frozen=True)
class Tidied:
    """A spec as a person would write it.

    Attributes:
        renamed: the new path of each node whose name has changed, by its old path.
    """

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
    """Return a plain spec without defaults, with blocks for what it repeats.

    Args:
        data: every node has ``name``, ``type`` (or ``block``, ``share``), ``inputs`` and any arguments.
        structure: whether to look for blocks.
        ranks: the number of axes of nodes, where it is known: an axis at the end is then -1.
    """
    short = dict(data)
    if "outputs" in data:
        short["outputs"] = {name: _head(head) for name, head in data["outputs"].items()}
    if "training" in data:
        short["training"] = _training(data["training"])
    try:
        layers, blocks, renamed = _layers(data, structure, ranks or {})
    except UnreadableError:
        return Tidied(short, {})
    short["layers"] = layers
    variables = _variables(layers, blocks, {*data.get("vars", {})})
    order = ("graphspec", "name", "description", "vars", "inputs", "blocks", "layers", "outputs", "training", "data")
    found = {**short, "vars": {**data.get("vars", {}), **variables}, "blocks": blocks}
    keys = [*(key for key in order if found.get(key)), *(key for key in found if key not in order)]
    return Tidied({key: found[key] for key in keys}, renamed)


def _layers(
    data: Mapping[str, Any], structure: bool, ranks: Mapping[str, int]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]], dict[str, str]]:
    shortener = Shortener()
    heads = {name: head.get("layer", name) for name, head in data["outputs"].items()}
    targets = [head["target"] for head in data["outputs"].values() if isinstance(head.get("target"), str)]
    ends = [end for layer in (*heads.values(), *targets) for end in (layer if isinstance(layer, list) else [layer])]
    top = read_scope(data["layers"], data["inputs"], ends, shortener, ranks)
    for source in top.outputs:
        if isinstance(source.of, Step):
            source.of.fixed = True
    given: dict[str, Scope] = {}
    for name, block in data.get("blocks", {}).items():
        outputs = block["outputs"] if isinstance(block["outputs"], list) else [block["outputs"]]
        given[name] = read_scope(block["layers"], _list(block["inputs"]), outputs, shortener, {})
    found = Structure([top, *given.values()], shortener)
    if structure:
        found.find()
    emitter = Emitter(found.in_order(), given)
    reserved = {
        f"{head}{end}" for head in heads for end in ("", "_label", "_length", "_input_length", "_sample_weight")
    }
    layers = emitter.scope(top, reserved - {s.name for s in top.steps})
    blocks: dict[str, dict[str, Any]] = {}
    for block in emitter.blocks:
        blocks[block.name] = emitter.block(block)
    for name, scope in given.items():
        old = data["blocks"][name]
        blocks[name] = {**old, "layers": emitter.scope(scope, ())}
        ends = [emitter.names[s.of] if isinstance(s.of, Step) else s.of for s in scope.outputs]
        blocks[name]["outputs"] = [
            f"{n}:{s.output}" if s.output else n for n, s in zip(ends, scope.outputs, strict=True)
        ]
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


def _training(training: Mapping[str, Any]) -> dict[str, Any]:
    short = dict(training)
    if "optimizer" in short:
        short["optimizer"] = shorten_object(OPTIMIZERS, rounded(short["optimizer"]))
    return short


def rounded(value: Any) -> Any:
    """Return a value with numbers of float32 in their shortest form: Keras keeps 0.001 as 0.0010000000474974513."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(rounded, value))
    if isinstance(value, float) and np.isfinite(value) and float(np.float32(value)) == value:
        short = float(str(np.float32(value)))
        return short if len(repr(short)) < len(repr(value)) else value
    return value


def _variables(layers: list[Any], blocks: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """Replace long mappings that occur often by variables, in place, and return these."""
    places: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for entry in _mappings([*layers, *blocks.values()]):
        for key, value in entry.items():
            if isinstance(value, dict) and "type" in value and len(flow(value)) >= _LONG and "${" not in flow(value):
                places.setdefault(text_of(value), []).append((entry, key))
    params = {param for block in blocks.values() for param in block.get("params", {})}
    found: dict[str, Any] = {}
    for uses in places.values():
        if len(uses) < _USES:
            continue
        value = uses[0][0][uses[0][1]]
        stem = name = snake_case(value["type"])
        number = 1
        while name in found or name in taken or name in params:
            number += 1
            name = f"{stem}_{number}"
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
