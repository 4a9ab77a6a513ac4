"""Find what a network repeats, and make blocks of it: those that save the most lines first."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from graphspec.foreign.importing.steps import ENTRIES, REPEAT, Found, Instance, Param, Scope, Source, Step, default
from graphspec.language.names import snake_case
from graphspec.language.tree import depth_first, each
from graphspec.language.write import WIDTH
from graphspec.vocabulary.layers import LAYERS

# Regions of a list of nodes that could be a block: contiguous, with few inputs and one output.
_LONGEST = 256
_WORK = 120_000  # regions that are looked at, about: long networks get shorter ones
_ALWAYS = 1 << 60


@dataclass(frozen=True, slots=True)
class Region:
    """Steps ``first`` to ``last`` of a sequence, which only the last one is read from outside."""

    sequence: int
    first: int
    last: int
    entries: tuple[tuple[Step | str, int], ...]

    def __len__(self) -> int:
        return self.last - self.first + 1


class Tokens:
    """What steps have in common, as small integers: their kind, also their words, also their numbers."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.known: dict[Step, tuple[int, int, int]] = {}

    def of(self, step: Step) -> tuple[int, int, int]:
        """Return a token each for kinds, for kinds with words, and for kinds with all arguments."""
        if step not in self.known:
            kind = step.word, step.kind, step.frozen
            words = text_of({k: v for k, v in step.arguments.items() if not is_size(v)})
            keys = kind, (kind, words), (kind, text_of(step.arguments), "all")
            one, two, three = (self.numbers.setdefault(key, len(self.numbers)) for key in keys)
            self.known[step] = one, two, three
        return self.known[step]


def is_size(value: Any) -> bool:
    """Return whether a value is a number, a list of numbers, or a parameter."""
    if isinstance(value, list):
        return bool(value) and all(map(is_size, value))
    return isinstance(value, Param) or (isinstance(value, int | float) and not isinstance(value, bool))


def text_of(value: Any) -> str:
    """Return a text that equal arguments have in common."""
    return json.dumps(value, sort_keys=True, default=lambda other: f"\0{id(other)}")


def alike(
    sequences: Sequence[Sequence[Step]], read_outside: Sequence[Sequence[Source]], tokens: Tokens
) -> Mapping[tuple[int, int, int], list[Region]]:
    """Return the regions by what they have in common; regions of a group have equal steps with equal connections.

    The key is the level (0: kinds, 1: also words, 2: also numbers), a hash, and the length.
    """
    groups: dict[tuple[int, int, int], list[Region]] = {}
    total = sum(map(len, sequences)) or 1
    longest = max(24, min(_LONGEST, _WORK // total))
    for number, steps in enumerate(sequences):
        outputs = [s.of for s in read_outside[number] if isinstance(s.of, Step)]
        for region, hashes in _regions(number, steps, outputs, longest, tokens):
            if number > 0 and len(region) == len(steps):
                continue
            for level, found in enumerate(hashes):
                groups.setdefault((level, found, len(region)), []).append(region)
    return {key: found for key, found in groups.items() if len(found) > 1}


def _regions(
    number: int, steps: Sequence[Step], outputs: Sequence[Step], longest: int, tokens: Tokens
) -> Iterator[tuple[Region, tuple[int, int, int]]]:
    at = {step: k for k, step in enumerate(steps)}
    last_read = [-1] * len(steps)
    for k, step in enumerate(steps):
        for source in step.read():
            if isinstance(source.of, Step):
                last_read[at[source.of]] = k
    for step in outputs:
        last_read[at[step]] = _ALWAYS
    odd = {s.of for step in steps for s in step.read() if s.output}  # another output is read: it is no end of a block
    rows = [_row(step, at) for step in steps]
    for first in range(len(steps)):
        entries: dict[tuple[Step | str, int], int] = {}
        one = two = three = 0
        needed = -1
        for last in range(first, min(first + longest, len(steps))):
            step = steps[last]
            if step.fixed:
                break
            refs: list[Any] = []
            for position, output, entry in rows[last]:
                if position >= first:
                    refs.append((last - position, output))
                elif entry is None:
                    refs.append(output)
                else:
                    refs.append((_ALWAYS + entries.setdefault(entry, len(entries)), 0))  # hash(-1) is hash(-2)
            if len(entries) > len(ENTRIES):
                break
            if last > first:
                needed = max(needed, last_read[last - 1])
            a, b, c = tokens.of(step)
            seen = tuple(refs)
            one, two, three = hash((one, a, seen)), hash((two, b, seen)), hash((three, c, seen))
            if last > first and needed <= last and entries and step not in odd:
                yield Region(number, first, last, tuple(entries)), (one, two, three)


def _row(step: Step, at: Mapping[Step, int]) -> list[tuple[int, Any, tuple[Step | str, int] | None]]:
    """Return for each input its position in the sequence (-1 if outside), its output, and what it is from outside."""
    row: list[tuple[int, Any, tuple[Step | str, int] | None]] = []
    for key, values in step.sources.items():
        row.append((-1, key, None))
        for value in values:
            if isinstance(value, Source):
                position = at[value.of] if isinstance(value.of, Step) else -1
                row.append((position, value.output, (value.of, value.output)))
            else:
                row.append((-1, text_of(value), None))
    return row


# Names of nodes: what several have in common, and what they are called if they have no names of their own.
_BREAK = re.compile(r"[_./-]+")


def leaves(step: Step) -> Iterator[Step]:
    """Yield the plain steps that a step stands for."""
    if step.part is None:
        yield step
        return
    for copy in step.copies:
        yield from leaves(copy)
    for member in () if step.copies else step.part.members or step.part.block.steps:
        yield from leaves(member)


def is_automatic(step: Step) -> bool:
    """Return whether a step has the name that Keras gives: its type in snake case, with a number."""
    return _automatic(step.name, step.kind)


@lru_cache(maxsize=10_000)
def _automatic(name: str, kind: str) -> bool:
    return re.sub(r"_\d+$", "", name) in (snake_case(kind), kind.rpartition(".")[2].lower())


@lru_cache(maxsize=10_000)
def words(name: str) -> tuple[str, ...]:
    """Return the parts of a name."""
    return tuple(_BREAK.split(name))


def common(names: Iterable[str]) -> tuple[str, ...]:
    """Return the words that all names begin with."""
    columns = zip(*map(words, names), strict=False)
    return tuple(column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns))


def named(step: Step) -> list[str]:
    """Return the names of the nodes that a step stands for; none if Keras has given most of them."""
    plain = list(leaves(step))
    own = [leaf.name for leaf in plain if not is_automatic(leaf)]
    return own if 2 * len(own) > len(plain) else []


def is_within(steps: Sequence[Step]) -> bool:
    """Return whether names do not say that steps are of different units."""
    return bool(common(names)) if (names := [name for step in steps for name in named(step)]) else True


def belongs_together(steps: Sequence[Step], around: Iterable[Step]) -> bool:
    """Return whether names say that steps are one unit: they begin with words that those around them lack.

    ``stage1_block1_conv`` and ``stage1_block2_conv`` are two units.
    """
    names = [name for step in steps for name in named(step)]
    prefix = common(names)
    if not prefix or len(names) < len(steps) / 2:
        return False
    if any(words(name)[: len(prefix)] == prefix for step in around for name in named(step)):
        return False
    following = {words(name)[len(prefix)] for name in names if len(words(name)) > len(prefix)}
    units = {re.sub(r"\d+[a-z]?$", "", word) for word in following}
    return not (len(following) > 1 and len(units) == 1 and "" not in units)


_LINES_OF_A_BLOCK = 4  # its name, its inputs, `layers:`, its outputs
_SHORTEST = 3  # nodes of a block without blocks
_LEAST = 3.0  # lines that a block must save
_OF_A_VALUE = 0.12  # of a line, for a value of an instance
_OF_A_PARAM = 0.3
_OF_AN_INPUT = 0.8
_BARE, _KEY = 40, 14  # characters of an instance, and of a parameter's name
_MANY_PARAMS = 6
_MOST_PARAMS = 12
_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class _Column:
    """A parameter: its places (step, argument, and the item if the argument is a list), its value in each region."""

    places: list[tuple[int, str, int | None]]
    values: list[Any]


class Structure:
    """The steps of a document and of its blocks, and the blocks that are found in them."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self.scopes = scopes
        self.blocks: list[Found] = []
        self.tokens = Tokens()

    def find(self) -> None:
        """Make blocks as long as they save lines."""
        for _ in range(_ROUNDS):
            if (best := self._best()) is None:
                return
            self._make(*best)

    def in_order(self) -> list[Found]:
        """Return the blocks in the order in which the scopes use them, each after those that it contains."""

        def inside(steps: Sequence[Step]) -> list[Found]:
            return [step.part.block for step in steps if step.part is not None]

        used = [block for scope in self.scopes for block in inside(scope.steps)]
        return list(depth_first(used, lambda block: inside(block.steps)))

    @property
    def sequences(self) -> list[list[Step]]:
        """The steps of the scopes, then those of each block that was found."""
        return [*(scope.steps for scope in self.scopes), *(block.steps for block in self.blocks)]

    def _best(self) -> tuple[list[Region], list[_Column]] | None:
        """Return regions that become instances of a block, and its parameters."""
        outside = [*(scope.outputs for scope in self.scopes), *([Source(block.steps[-1])] for block in self.blocks)]
        groups = alike(self.sequences, outside, self.tokens)
        best, most = None, 0.0
        seen: set[tuple[int, ...]] = set()
        for bound, key in sorted(((_most_saved(regions), key) for key, regions in groups.items()), reverse=True):
            if bound * _MOST_BONUS <= most or bound < _LEAST:
                break
            if key[2] < _SHORTEST and not any(step.part for step in self._steps(groups[key][0])):
                continue
            regions = _apart(groups[key])
            mark = tuple(x for r in regions for x in (r.sequence, r.first, r.last))
            if len(regions) < 2 or _most_saved(regions) * _MOST_BONUS <= most or mark in seen:
                continue
            seen.add(mark)
            inside = [region for region in regions if is_within(self._steps(region))]
            if len(regions) / 2 <= len(inside) < len(regions) and len(inside) > 1:
                regions = inside  # names say that most of them, but not all, are within a unit
            columns = self._columns(regions)
            if columns is None or (saved := self._saved(regions, columns)) < _LEAST:
                continue
            if (score := saved * self._bonus(regions)) > most:
                best, most = (regions, columns), score
        return best

    def _steps(self, region: Region) -> list[Step]:
        return self.sequences[region.sequence][region.first : region.last + 1]

    def _columns(self, regions: Sequence[Region]) -> list[_Column] | None:
        """Return the arguments that differ between regions; None if they cannot be parameters."""
        columns: dict[str, _Column] = {}
        for k, same in enumerate(zip(*map(self._steps, regions), strict=True)):
            if len({text_of(step.arguments) for step in same}) == 1:
                continue
            for key in dict.fromkeys(key for step in same for key in step.arguments):
                values = [self._value(step, key) for step in same]
                if any(value is ... for value in values):
                    return None
                item = _differing(values)
                if item is not None:
                    values = [value[item] for value in values]
                texts = [text_of(value) for value in values]
                if len(set(texts)) > 1:
                    columns.setdefault("\n".join(texts), _Column([], values)).places.append((k, key, item))
        return list(columns.values()) if len(columns) <= _MOST_PARAMS else None

    def _value(self, step: Step, key: str) -> Any:
        if key in step.arguments:
            return step.arguments[key]
        if key == REPEAT:
            return 1
        return default(step.kind, key) if step.word == "type" else ...

    def _saved(self, regions: Sequence[Region], columns: Sequence[_Column]) -> float:
        length = len(regions[0])
        defaults = [text_of(_first_plain(column.values)) for column in columns]
        lines, texts = 0.0, list[str]()
        for k, region in enumerate(regions):
            before, texts = texts, [text_of(column.values[k]) for column in columns]
            if k and self._continues(regions, k) and texts == before:
                continue
            others = [text for text, default in zip(texts, defaults, strict=True) if text != default]
            lines += 1 + _OF_A_VALUE * len(others) + (len(region.entries) - 1) * _OF_AN_INPUT
            lines += 2 if _BARE + sum(map(len, others)) + _KEY * len(others) > WIDTH else 0
        params = 2.0 * any(place[1] == REPEAT for column in columns for place in column.places)
        params += _OF_A_PARAM * len(columns) + max(len(columns) - _MANY_PARAMS, 0) + (1 if columns else 0)
        return len(regions) * length - (length + _LINES_OF_A_BLOCK + params + lines)

    def _continues(self, regions: Sequence[Region], k: int) -> bool:
        """Return whether a region reads the one before it in place of its first input, and is the next line."""
        before, after = regions[k - 1], regions[k]
        if before.sequence != after.sequence or before.last + 1 != after.first:
            return False
        end = self.sequences[before.sequence][before.last]
        return after.entries[0] == (end, 0) and after.entries[1:] == before.entries[1:]

    def _bonus(self, regions: Sequence[Region]) -> float:
        """Return a factor: higher for regions that people would cut out."""
        region = regions[len(regions) // 2]
        steps = self._steps(region)
        factor = 1.0
        if sum(any((s.of, s.output) == region.entries[0] for s in step.read()) for step in steps) > 1:
            factor += _FORK
        if _has_weights(steps[0]) and not _has_weights(steps[-1]):
            factor += _STARTS
        if any(len(step.sources.get("inputs", ())) > 1 for step in steps[-2:]):
            factor += _ENDS
        if any(REPEAT in step.arguments for step in steps[:-1]) and steps[-1].part is None:
            factor -= _CUT  # what follows a run begins something new
        if not is_within(steps):
            factor -= _CUT
        return factor + _NAMED * (sum(self._is_named(region) for region in regions) / len(regions))

    def _is_named(self, region: Region) -> bool:
        sequence = self.sequences[region.sequence]
        around = [sequence[k] for k in (region.first - 1, region.last + 1) if 0 <= k < len(sequence)]
        return belongs_together(self._steps(region), around)

    def _make(self, regions: list[Region], columns: list[_Column]) -> None:
        """Make a block of the regions, and replace them by its instances."""
        first = regions[0]
        template = self._steps(first)
        inside = {step: k for k, step in enumerate(template)}
        copies = [replace(step, arguments=dict(step.arguments), sources={}) for step in template]
        places = {entry: k for k, entry in enumerate(first.entries)}
        for step, copy in zip(template, copies, strict=True):
            for key, values in step.sources.items():
                copy.sources[key] = listed = []
                for value in values:
                    if not isinstance(value, Source):
                        listed.append(value)
                    elif isinstance(value.of, Step) and value.of in inside:
                        listed.append(Source(copies[inside[value.of]], value.output))
                    else:
                        listed.append(Source(ENTRIES[places[value.of, value.output]]))
        params = [Param(_first_plain(column.values)) for column in columns]
        for param, column in zip(params, columns, strict=True):
            for k, key, item in column.places:
                copies[k].arguments[key] = param
                if item is not None:
                    before = self._value(template[k], key)
                    copies[k].arguments[key] = [*before[:item], param, *before[item + 1 :]]
        block = Found(copies, len(first.entries), params)
        for copy in copies:
            if copy.part is not None:
                copy.part, copy.copies = Instance(copy.part.block, []), []
        self.blocks.append(block)
        for number in sorted({region.sequence for region in regions}):
            self._replace(number, regions, columns, block)
            self._join(number, block)

    def _replace(self, number: int, regions: list[Region], columns: list[_Column], block: Found) -> None:
        sequence = self.sequences[number]
        renamed: dict[Step, Step] = {}
        for k, region in reversed([(k, region) for k, region in enumerate(regions) if region.sequence == number]):
            members = sequence[region.first : region.last + 1]
            values = {f"{n}": column.values[k] for n, column in enumerate(columns)}
            sources = [Source(of, output) for of, output in region.entries]
            new = Step("block", f"\0{id(block)}", "", values, {"inputs": sources}, part=Instance(block, members))
            block.instances.append(new)
            sequence[region.first : region.last + 1] = [new]
            renamed[members[-1]] = new
            for own in self._members(number):
                inner = Instance(block, own[region.first : region.last + 1])
                own[region.first : region.last + 1] = [Step("block", new.kind, "", {}, {}, part=inner)]
                block.instances.append(own[region.first])
        self._redirect(number, renamed)

    def _join(self, number: int, block: Found) -> None:
        """Make one step of equal instances that follow each other."""
        sequence = self.sequences[number]
        read = Counter(s.of for step in sequence for s in step.read())
        read.update(s.of for s in (self.scopes[number].outputs if number < len(self.scopes) else ()))
        renamed: dict[Step, Step] = {}
        for first, last in reversed(list(_runs(sequence, block, read))):
            members = sequence[first : last + 1]
            one = members[0]
            run = replace(one, arguments={**one.arguments, REPEAT: len(members)}, copies=members)
            sequence[first : last + 1] = [run]
            renamed[members[-1]] = run
            for own in self._members(number):
                inner = own[first : last + 1]
                own[first : last + 1] = [replace(inner[0], copies=inner)]
        self._redirect(number, renamed)

    def _members(self, number: int) -> Iterator[list[Step]]:
        """Yield what the instances of a block stand for, if the sequence is a block's: they change with it."""
        if number >= len(self.scopes):
            yield from (members for _, members in self.blocks[number - len(self.scopes)].filled())

    def _redirect(self, number: int, renamed: Mapping[Step, Step]) -> None:
        """Let everything that reads a step read the one that stands in its place."""
        sources = [s for step in self.sequences[number] for s in step.read()]
        for source in (*sources, *(self.scopes[number].outputs if number < len(self.scopes) else ())):
            source.of = renamed.get(source.of, source.of) if isinstance(source.of, Step) else source.of


def _runs(sequence: Sequence[Step], block: Found, read: Mapping[Step | str, int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last place of equal instances in a row, which only the next one reads."""
    first = 0
    for k in range(1, len(sequence) + 1):
        before = sequence[k - 1]
        same = before.part is not None and before.part.block is block and read[before] == 1
        if same and k < len(sequence) and follows(before, sequence[k]):
            continue
        if k - first > 1:
            yield first, k - 1
        first = k


def follows(before: Step, step: Step) -> bool:
    """Return whether a step is another copy of the one before it."""
    if (before.word, before.kind, before.frozen) != (step.word, step.kind, step.frozen) or step.word == "share":
        return False
    if before.fixed or step.fixed or text_of(before.arguments) != text_of(step.arguments):
        return False
    if before.sources.keys() != step.sources.keys() or step.sources.keys() != {"inputs"}:
        return False
    old, new = before.sources["inputs"], step.sources["inputs"]
    if len(old) != len(new) or not new or not isinstance(new[0], Source) or not isinstance(old[0], Source):
        return False
    return (new[0].of, new[0].output) == (before, 0) and all(map(_equal, old[1:], new[1:]))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Source) and isinstance(other, Source):
        return one.of == other.of and one.output == other.output
    return not isinstance(one, Source) and not isinstance(other, Source) and text_of(one) == text_of(other)


_FORK, _STARTS, _ENDS, _NAMED, _CUT = 0.15, 0.08, 0.05, 0.4, 0.3
_MOST_BONUS = 1 + _FORK + _STARTS + _ENDS + _NAMED


def _most_saved(regions: Sequence[Region]) -> int:
    """Return the lines that a block of equally long regions saves at most."""
    return (len(regions) - 1) * len(regions[0]) - _LINES_OF_A_BLOCK


def _apart(regions: Sequence[Region]) -> list[Region]:
    apart: list[Region] = []
    for region in regions:  # by sequence and position
        if not apart or apart[-1].sequence != region.sequence or apart[-1].last < region.first:
            apart.append(region)
    return apart


def _first_plain(values: Sequence[Any]) -> Any:
    """Return the default of a parameter: what most instances have, else the first one's value; no other parameter."""
    plain = [_resolved(value) for value in values]
    counts = Counter(map(text_of, plain))
    usual = max(plain, key=lambda value: counts[text_of(value)])
    return usual if 2 * counts[text_of(usual)] > len(plain) else plain[0]


def _differing(values: Sequence[Any]) -> int | None:
    """Return the place where lists differ, if it is one and they have several items of one kind: a channel of a shape."""
    first = values[0]
    if not isinstance(first, list) or len(first) < 2:
        return None
    if any(not isinstance(v, list) or len(v) != len(first) for v in values):
        return None
    places = [k for k in range(len(first)) if len({text_of(value[k]) for value in values}) > 1]
    return places[0] if len(places) == 1 else None


def _resolved(value: Any) -> Any:
    return _resolved(value.default) if isinstance(value, Param) else each(_resolved, value)


def _has_weights(step: Step) -> bool:
    """Return whether a step has a kernel, as a convolution does."""
    first = step if step.part is None else step.part.block.steps[0]
    layer = LAYERS.get(first.kind) if first.word == "type" else None
    return first.part is not None or (layer is not None and "bias_initializer" in layer.model_fields)
