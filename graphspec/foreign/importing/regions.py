"""Regions of a list of nodes that could be a block: contiguous, with few inputs and one output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphspec.foreign.importing.steps import Param, Source, Step

MAX_ENTRIES = 2
"""Inputs of a block, at most."""
_LONGEST = 256
_WORK = 120_000
"""Regions that are looked at, about: long networks get shorter ones."""
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
            words = {k: v for k, v in step.arguments.items() if not is_size(v)}
            self.known[step] = (
                self._number(kind),
                self._number((kind, text_of(words))),
                self._number((kind, text_of(step.arguments), "all")),
            )
        return self.known[step]

    def _number(self, key: Any) -> int:
        return self.numbers.setdefault(key, len(self.numbers))


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
        whole = number > 0
        for region, hashes in _regions(number, steps, outputs, longest, tokens):
            if whole and len(region) == len(steps):
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
            if len(entries) > MAX_ENTRIES:
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
