"""Steps and blocks as the data of a spec, with the new names of all nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.foreign.importing.leaves import is_automatic
from graphspec.foreign.importing.naming import (
    Names,
    name_blocks,
    name_inside,
    name_params,
    prefix_of,
    run_name,
    starts_later,
    stem,
)
from graphspec.foreign.importing.regions import text_of
from graphspec.foreign.importing.steps import REPEAT, Found, Param, Scope, Source, Step
from graphspec.foreign.importing.structure import entry_name, follows
from graphspec.vocabulary.layers import LAYERS

_FEW = 3
"""Equal single nodes in a row become a repeat, from this number on."""


@dataclass
class Emitted:
    """The sections of a spec, and for each scope the new path of each node by its old name."""

    layers: list[dict[str, Any]]
    blocks: dict[str, dict[str, Any]]
    renamed: dict[str, str] = field(default_factory=dict)


class Emitter:
    """Writes scopes and the blocks that were found in them.

    Attributes:
        names: the names of steps in their own scope.
    """

    def __init__(self, blocks: Sequence[Found], taken: Iterable[str]) -> None:
        self.blocks = blocks
        self.names: dict[Step, str] = {}
        name_blocks(blocks, taken)
        named: set[Found] = set()
        for block in blocks:
            self.names |= name_inside(block)
        for block in blocks:
            name_params(block, self.names, named, (entry_name(k) for k in range(block.entries)))

    def scope(self, scope: Scope, reserved: Iterable[str]) -> list[dict[str, Any]]:
        """Return the entries of a scope. Names of single nodes stay; instances get names that are free."""
        steps = scope.steps
        names = Names((*scope.inputs, *reserved, *(s.name for s in steps if s.part is None)))
        numbered = any(step.part is not None for step in steps)  # Keras's numbers then count what is in blocks
        counts = Counter(map(stem, steps))
        runs = _runs(steps)
        for step in (run[0] for run in runs if len(run) == 1 and not run[0].copies):
            if step.part is None and not (numbered and not step.fixed and is_automatic(step)):
                self.names[step] = step.name
            elif step.part is None:
                names.taken.discard(step.name)
            elif prefix := prefix_of(step):
                self.names[step] = names.claim("_".join(prefix))
        for run in runs:
            if len(run) > 1 or run[0].copies:
                self._name_run(run, names, counts)
            elif run[0] not in self.names:
                kind = stem(run[0])
                self.names[run[0]] = names.claim(kind, number=counts[kind] > 1)
        return self._entries(runs, scope.inputs[0] if len(scope.inputs) == 1 else None)

    def block(self, block: Found) -> dict[str, Any]:
        """Return a block that was found."""
        inputs = [entry_name(k) for k in range(block.entries)]
        runs = _runs(block.steps)
        names = Names((*inputs, *(self.names[run[0]] for run in runs if len(run) == 1)))
        for run in runs:
            if len(run) > 1:
                base = names.claim_run(run_name([self.names[step] for step in run]) or self.names[run[0]], len(run))
                self._name_copies(run, base)
        entries = self._entries(runs, None)
        params = {param.name: _plain(param.default) for param in block.params}
        last = runs[-1]
        end = self.names[last[-1]] if len(last) == 1 else self.names[last[-1]].rpartition("_")[0]
        return {**({"params": params} if params else {}), "inputs": inputs, "layers": entries, "outputs": [end]}

    def _name_run(self, run: list[Step], names: Names, counts: Mapping[str, int]) -> None:
        first = run[0]
        if first.part is None:
            names.taken -= {step.name for step in run}
            old = [step.name for step in run]
            self._name_copies(run, names.claim_run(run_name(old) or first.name, len(run)))
            return
        old = ["_".join(prefix_of(step)) for step in first.copies]
        base = (old[0] if starts_later(old) else run_name(old)) if all(old) else ""
        number = not base and counts[stem(first)] > 1
        self.names[first] = names.claim_run(base or stem(first), len(first.copies), number=number)

    def _name_copies(self, run: list[Step], base: str) -> None:
        for k, step in enumerate(run):
            self.names[step] = f"{base}_{k + 1}"

    def _entries(self, runs: list[list[Step]], only: str | None) -> list[dict[str, Any]]:
        ends = {run[-1]: self.names[run[-1]].rpartition("_")[0] for run in runs if len(run) > 1}
        entries: list[dict[str, Any]] = []
        above: Step | str | None = only
        for run in runs:
            first, last = run[0], run[-1]
            entry: dict[str, Any] = {"name": ends.get(last) or self.names[first]}
            if first.part is not None:
                block = first.part.block
                entry["block"] = block.name
                if REPEAT in first.arguments:
                    entry[REPEAT] = _plain(first.arguments[REPEAT])
                params = {p.name: _plain(v) for p, v in _values(first) if text_of(v) != text_of(p.default)}
                entry |= {"params": params} if params else {}
            else:
                entry[first.word] = self.names.get(self._owner(first, runs)) or first.kind
                given = {key: _plain(value) for key, value in _in_order(first).items()}
                entry |= ({"params": given} if given else {}) if first.word == "block" else given
            entry |= {"trainable": False} if first.frozen else {}
            entry |= {REPEAT: len(run)} if len(run) > 1 else {}
            if REPEAT in entry:
                entry[REPEAT] = entry.pop(REPEAT)
            for key, values in first.sources.items():
                written = [self._text(value, ends) for value in values]
                if key == "inputs" and (first.alone or _is_chain(values, above)):
                    continue
                entry[key] = written if len(written) != 1 else written[0]
            entries.append(entry)
            above = None if first.alone else last  # a node that skips one names what it reads
        return entries

    def _owner(self, step: Step, runs: list[list[Step]]) -> Any:
        if step.word != "share":
            return None
        return next((other for run in runs for other in run if other.part is None and other.name == step.kind), None)

    def _text(self, value: Any, ends: Mapping[Step, str]) -> Any:
        if not isinstance(value, Source):
            return value
        name = value.of if isinstance(value.of, str) else ends.get(value.of) or self.names[value.of]
        return f"{name}:{value.output}" if value.output else name


def _plain(value: Any) -> Any:
    """Return an argument with parameters by their names."""
    if isinstance(value, list):
        return list(map(_plain, value))
    return "${" + value.name + "}" if isinstance(value, Param) else value


def _values(instance: Step) -> list[tuple[Param, Any]]:
    assert instance.part is not None
    return [(param, instance.arguments[str(k)]) for k, param in enumerate(instance.part.block.params)]


def _in_order(step: Step) -> dict[str, Any]:
    """Return the arguments in the order of the layer's own."""
    layer = LAYERS.get(step.kind) if step.word == "type" else None
    order = {field.alias or name: k for k, (name, field) in enumerate(layer.model_fields.items())} if layer else {}
    return dict(sorted(step.arguments.items(), key=lambda item: order.get(item[0], len(order))))


def _is_chain(values: Sequence[Any], above: Step | str | None) -> bool:
    """Return whether inputs are what a node reads without ``inputs``."""
    return (
        len(values) == 1
        and isinstance(values[0], Source)
        and values[0].of is not None
        and (values[0].of is above if isinstance(above, Step) else values[0].of == above)
        and values[0].output == 0
    )


def _runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps; single nodes that are equal, follow each other and have no names of their own are together."""
    runs: list[list[Step]] = []
    for step in steps:
        if (
            runs
            and step.part is None
            and is_automatic(step)
            and is_automatic(runs[-1][-1])
            and follows(runs[-1][-1], step)
        ):
            runs[-1].append(step)
        else:
            runs.append([step])
    return [part for run in runs for part in ([run] if len(run) >= _FEW else [[step] for step in run])]
