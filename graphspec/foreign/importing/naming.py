"""Names for blocks that were found, for their nodes and for their parameters, and the spec with these names."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

from graphspec.foreign.importing.steps import ENTRIES, REPEAT, Found, Param, Scope, Source, Step
from graphspec.foreign.importing.structure import common, follows, is_automatic, leaves, named, text_of, words
from graphspec.language.explain import fields_of
from graphspec.language.names import snake_case
from graphspec.language.tree import each
from graphspec.vocabulary.layers import LAYERS

_STEM_WORDS = """
BatchNormalization norm, LayerNormalization norm, GroupNormalization norm, RMSNormalization norm, UnitNormalization norm,
DepthwiseConv depthwise, SeparableConv separable, ConvTranspose up, Conv conv, Convolution conv, UpSampling up,
MaxPooling pool, AveragePooling pool, GlobalAveragePooling mean, GlobalMaxPooling largest, ZeroPadding pad, Cropping crop,
Add sum, Concatenate joined, Multiply product, Subtract difference, ReLU relu, MultiHeadAttention attend,
Dropout dropped, SpatialDropout dropped, Flatten flat, Embedding embed
"""
_STEMS = dict(pair.split() for pair in _STEM_WORDS.split(","))  # what people call nodes, if not by their type
_MERGES = {"Add": ("residual", "projected"), "Concatenate": ("grown", "mixed"), "Multiply": ("gated", "gated")}
"""What a block is called that ends in a layer: with its own input among those of the layer, and without."""
_IN_A_NAME = 3
_NUMBERED = re.compile(r"[_.-]?\d+$|(?<=\d)[_.-]?[a-z]$")


class Names:
    """Names of one scope."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def claim(self, name: str, *, number: bool = False, copies: int = 0) -> str:
        """Return a name that is free, also with the numbers of its copies.

        It is ``name``, or with ``number`` or if it is taken, with a number behind it.
        """
        first = f"{name}_1" if number else name
        return self._first(itertools.chain([first], (f"{name}_{k}" for k in itertools.count(2))), copies)

    def claim_lettered(self, name: str) -> str:
        """Return a free name: ``name``, or with a letter behind it."""
        letters = (f"{name}_{letter}" for letter in ascii_lowercase[1:])
        return self._first(itertools.chain([name], letters, (f"{name}_{k}" for k in itertools.count(1))), 0)

    def _first(self, names: Iterable[str], copies: int) -> str:
        groups = ([name, *(f"{name}_{n + 1}" for n in range(copies))] for name in names)
        group = next(group for group in groups if self.taken.isdisjoint(group))
        self.taken.update(group)
        return group[0]


def stem(step: Step) -> str:
    """Return what people call a node of this kind."""
    if step.part is not None:
        block = step.part.block
        return stem(block.steps[0]) if block.is_chain else block.name or "part"
    if step.word != "type":
        return step.kind
    if step.kind == "Activation" and isinstance(step.arguments.get("activation"), str):
        return str(step.arguments["activation"]).rpartition(".")[2]
    plain = re.sub(r"[1-3]D", "", step.kind)
    return _STEMS.get(plain) or snake_case(plain)


def name_blocks(blocks: Sequence[Found], taken: Iterable[str]) -> None:
    """Give each block a name: what its instances are called, else what it does. Inner blocks come first."""
    names = Names(taken)
    wanted = {block: _own_name(block) for block in blocks}
    for name in dict.fromkeys(filter(None, wanted.values())):
        same = [block for block in blocks if wanted[block] == name]
        largest = max(same, key=lambda block: (len(block.instances), sum(1 for s in block.steps for _ in leaves(s))))
        if name not in names.taken:
            largest.name = names.claim(name)
    for block in blocks:
        if not block.name:
            block.name = names.claim_lettered(_what_it_does(block))


def _own_name(block: Found) -> str:
    """Return the last word that the names of the instances have in common, without numbers; "" if there is none."""
    found = Counter[str]()
    for instance, _ in block.filled():
        letters = (re.sub(r"\d+[a-z]?$", "", word) for word in reversed(prefix_of(instance)))
        found[next(filter(None, letters), "")] += 1
    return found.most_common(1)[0][0] if found else ""


def prefix_of(instance: Step) -> tuple[str, ...]:
    """Return the words that begin the names of all nodes of an instance; none if Keras has given the names."""
    return common(named(instance))


def _what_it_does(block: Found) -> str:
    kinds = {step.kind for step in block.steps}
    if "Dense" in kinds and any("Attention" in kind for kind in kinds):
        return "transformer"
    last = block.steps[-1]
    if last.kind not in _MERGES and len(block.steps) > 1 and len(last.arguments) <= 1:
        [*sources] = last.read()
        last = sources[0].of if len(sources) == 1 and isinstance(sources[0].of, Step) else last
    if last.kind in _MERGES and last.part is None:
        return _MERGES[last.kind][0 if any(isinstance(s.of, str) for s in last.read()) else 1]
    if any(REPEAT in step.arguments for step in block.steps):
        return "stage"
    plain = [step for step in block.steps if step.part is None]
    if len(plain) < len(block.steps):
        return "part"
    if any(isinstance(strides := step.arguments.get("strides"), int) and strides > 1 for step in plain):
        return "down"  # strides leave pixels out
    block.is_chain = True
    return "_".join(list(dict.fromkeys(map(stem, plain)))[:_IN_A_NAME])


def name_inside(block: Found) -> dict[Step, str]:
    """Return the names of the steps of a block: what the names of its instances have behind their common words."""
    names = Names(ENTRIES[: block.entries])
    counts = Counter(map(stem, block.steps))
    found: dict[Step, str] = {}
    for k, step in sorted(enumerate(block.steps), key=lambda item: REPEAT in item[1].arguments):
        name, copies, is_run = _inner_name(block, k), 0, REPEAT in step.arguments
        if is_run:
            copies = max((len(members[k].copies) for _, members in block.filled()), default=1)
        is_one_of_many = not name and not is_run and counts[stem(step)] > 1
        found[step] = names.claim(name or stem(step), number=is_one_of_many, copies=copies)
    return found


def _inner_name(block: Found, k: int) -> str:
    seen = Counter[str]()
    for instance, members in block.filled():
        prefix, member = prefix_of(instance), members[k]
        own = prefix_of(member) if member.part is not None else () if is_automatic(member) else words(member.name)
        rest = list(own[len(prefix) :]) if prefix else []
        if all(word.isdigit() for word in rest):
            rest = []
        while rest and rest[0].isdigit():
            rest = [*rest[1:], rest[0]]
        seen["_".join(rest)] += 1
    name, count = seen.most_common(1)[0] if seen else ("", 0)
    return name if name and name[0].isalpha() and 2 * count > sum(seen.values()) else ""


def name_params(block: Found, inside: dict[Step, str], done: set[Found], reserved: Iterable[str]) -> None:
    """Name the parameters of a block after the arguments that they are."""
    if block in done:
        return
    done.add(block)
    names = Names(reserved)
    for param in block.params:
        places = [(s, k) for s in block.steps for k, value in s.arguments.items() if contains(value, param)]
        step, key = next((place for place in places if place[0].arguments[place[1]] is param), places[0])
        if step.part is not None and key != REPEAT:
            name_params(step.part.block, inside, done, reserved)
            key = step.part.block.params[int(key)].name
        elif key == REPEAT:
            key = "copies"
        own = words(inside[step])
        longer = ("_".join((*own[len(own) - k :], key)) for k in range(1, len(own) + 1))
        longer = (name for name in longer if name[0].isalpha())
        param.name = next((name for name in (key, *longer) if name not in names.taken), key)
        param.name = names.claim(param.name)


def contains(value: Any, param: Param) -> bool:
    """Return whether an argument is a parameter, or a list with it."""
    return value is param or (isinstance(value, list) and any(item is param for item in value))


def run_name(names: Sequence[str]) -> str:
    """Return what numbered names have in common: ``stage2_block1``, ``stage2_block2`` → ``stage2_block``; or ""."""
    stems = {_NUMBERED.sub("", name) for name in names}
    return stems.pop() if len(stems) == 1 else "_".join(common(names))


def starts_later(names: Sequence[str]) -> bool:
    """Return whether the numbers, or letters, behind names begin after the first one."""
    number = _NUMBERED.search(names[0])
    return number is not None and number[0].strip("_.-") not in ("0", "1", "a")


# Steps and blocks as the data of a spec, with the new names of all nodes.
_FEW = 3  # equal single nodes in a row become a repeat, from this number on


class Emitter:
    """Writes scopes and the blocks that were found in them. ``names`` are those of steps in their own scope."""

    def __init__(self, blocks: Sequence[Found], taken: Iterable[str]) -> None:
        self.blocks = blocks
        self.names: dict[Step, str] = {}
        name_blocks(blocks, taken)
        named: set[Found] = set()
        for block in blocks:
            self.names |= name_inside(block)
        for block in blocks:
            name_params(block, self.names, named, ENTRIES[: block.entries])

    def scope(self, scope: Scope, reserved: Iterable[str]) -> list[dict[str, Any]]:
        """Return the entries of a scope. Names of single nodes stay; instances get names that are free."""
        steps = scope.steps
        names = Names((*scope.inputs, *reserved, *(s.name for s in steps if s.part is None)))
        numbered = any(step.part is not None for step in steps)  # Keras's numbers then count what is in blocks
        counts = Counter(map(stem, steps))
        runs = _equal_runs(steps)
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
        inputs = [*ENTRIES[: block.entries]]
        runs = _equal_runs(block.steps)
        names = Names((*inputs, *(self.names[run[0]] for run in runs if len(run) == 1)))
        for run in runs:
            if len(run) > 1:
                base = names.claim(run_name([self.names[step] for step in run]) or self.names[run[0]], copies=len(run))
                self._name_copies(run, base)
        entries = self._entries(runs, None)
        params = {param.name: _plain(param.default) for param in block.params}
        last = runs[-1]
        end = self.names[last[-1]] if len(last) == 1 else self.names[last[-1]].rpartition("_")[0]
        return {**({"params": params} if params else {}), "inputs": inputs, "layers": entries, "outputs": [end]}

    def _name_run(self, run: list[Step], names: Names, counts: Mapping[str, int]) -> None:
        first = run[0]
        if first.part is None:
            old = [step.name for step in run]
            names.taken -= set(old)
            self._name_copies(run, names.claim(run_name(old) or first.name, copies=len(run)))
            return
        old = ["_".join(prefix_of(step)) for step in first.copies]
        base = (old[0] if starts_later(old) else run_name(old)) if all(old) else ""
        number = not base and counts[stem(first)] > 1
        self.names[first] = names.claim(base or stem(first), copies=len(first.copies), number=number)

    def _name_copies(self, run: list[Step], base: str) -> None:
        for k, step in enumerate(run):
            self.names[step] = f"{base}_{k + 1}"

    def _entries(self, runs: list[list[Step]], only: str | None) -> list[dict[str, Any]]:
        ends = {run[-1]: self.names[run[-1]].rpartition("_")[0] for run in runs if len(run) > 1}
        owners = {step.name: self.names[step] for run in runs for step in run if step.part is None}
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
                pairs = ((param, first.arguments[str(k)]) for k, param in enumerate(block.params))
                params = {p.name: _plain(v) for p, v in pairs if text_of(v) != text_of(p.default)}
                entry |= {"params": params} if params else {}
            else:
                entry[first.word] = owners.get(first.kind, first.kind) if first.word == "share" else first.kind
                given = {key: _plain(value) for key, value in _in_order(first).items()}
                entry |= ({"params": given} if given else {}) if first.word == "block" else given
            entry |= {"trainable": False} if first.frozen else {}
            entry |= {REPEAT: len(run)} if len(run) > 1 else {}
            if REPEAT in entry:
                entry[REPEAT] = entry.pop(REPEAT)
            for key, values in first.sources.items():
                written = [self.text(value, ends) for value in values]
                if key == "inputs" and (first.alone or _is_chain(values, above)):
                    continue
                entry[key] = written if len(written) != 1 else written[0]
            entries.append(entry)
            above = None if first.alone else last  # a node that skips one names what it reads
        return entries

    def text(self, value: Any, ends: Mapping[Step, str] = MappingProxyType({})) -> Any:
        """Return a source as a spec writes it; other values as they are. ``ends`` are the names of runs, by their ends."""
        if not isinstance(value, Source):
            return value
        name = value.of if isinstance(value.of, str) else ends.get(value.of) or self.names[value.of]
        return f"{name}:{value.output}" if value.output else name


def _plain(value: Any) -> Any:
    """Return an argument with parameters by their names."""
    return "${" + value.name + "}" if isinstance(value, Param) else each(_plain, value)


def _in_order(step: Step) -> dict[str, Any]:
    """Return the arguments in the order of the layer's own."""
    layer = LAYERS.get(step.kind) if step.word == "type" else None
    keys = [*(fields_of(layer) if layer else ()), *step.arguments]
    return {key: step.arguments[key] for key in keys if key in step.arguments}


def _is_chain(values: Sequence[Any], above: Step | str | None) -> bool:
    """Return whether inputs are what a node reads without ``inputs``."""
    if len(values) != 1 or not isinstance(values[0], Source) or values[0].output:
        return False
    of = values[0].of
    return of is not None and (of is above if isinstance(above, Step) else of == above)


def _equal_runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps; single nodes that are equal, follow each other and have no names of their own are together."""
    runs: list[list[Step]] = []
    for step in steps:
        before = runs[-1][-1] if runs and step.part is None and is_automatic(step) else None
        if before is not None and is_automatic(before) and follows(before, step):
            runs[-1].append(step)
        else:
            runs.append([step])
    return [part for run in runs for part in ([run] if len(run) >= _FEW else [[step] for step in run])]
