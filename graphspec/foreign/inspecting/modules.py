"""Arrays of a file by module: ``layers.0.weight`` and ``layers.1.weight`` are one row, ``layers.{0..1}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Shape = tuple[int, ...]
MOST = 24
"""Rows of a table; a file with more modules is told by the beginnings of their names."""
_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,9}(?![0-9])")
_SEPARATOR = re.compile(r"[./]")


@dataclass
class Modules:
    """Modules whose names differ in numbers alone, with the same arrays.

    Attributes:
        name: the name; numbers that differ are ``{first..last}``, or ``*`` if some between are missing.
        count: how many modules.
        arrays: the ends of the names of their arrays, each with its dtype and shape; None if they are not alike.
        total: arrays in all of them.
        elements: numbers in all of them.
    """

    name: str
    count: int = 0
    arrays: tuple[tuple[str, str, Shape], ...] | None = None
    total: int = 0
    elements: int = 0


@dataclass
class _Found:
    pattern: str
    numbers: list[tuple[int, ...]] = field(default_factory=list)
    total: int = 0
    elements: int = 0


def modules(arrays: Iterable[tuple[str, str, Shape, int]], most: int = MOST) -> list[Modules]:
    """Return the table of arrays, each given as name, dtype, shape and number of elements: at most ``most`` rows."""
    leaves: dict[str, list[tuple[str, str, Shape, int]]] = {}
    for name, dtype, shape, elements in arrays:
        at = max(name.rfind("."), name.rfind("/"))
        leaves.setdefault(name[: max(at, 0)], []).append((name[at + 1 :], dtype, shape, elements))
    found: dict[tuple[str, tuple[tuple[str, str, Shape], ...]], _Found] = {}
    for module, parts in leaves.items():
        alike = tuple(part[:3] for part in parts)
        one = found.setdefault((_NUMBER.sub("#", module), alike), _Found(module))
        one.numbers.append(tuple(map(int, _NUMBER.findall(module))))
        one.total += len(parts)
        one.elements += sum(part[3] for part in parts)
    if len(found) <= most:
        return [
            Modules(_named(one), len(one.numbers), alike, one.total, one.elements) for (_, alike), one in found.items()
        ]
    return _by_beginning(leaves, most)


def _named(found: _Found) -> str:
    """Return the name of modules with ranges in the place of numbers."""
    places: Iterator[set[int]] = (set(column) for column in zip(*found.numbers, strict=True))
    return _NUMBER.sub(lambda match: _range(next(places), match[0]), found.pattern)


def _range(values: set[int], text: str) -> str:
    if len(values) == 1:
        return text
    low, high = min(values), max(values)
    return f"{{{low}..{high}}}" if len(values) == high - low + 1 else "*"


def _by_beginning(leaves: dict[str, list[tuple[str, str, Shape, int]]], most: int) -> list[Modules]:
    """Return rows of modules with the same beginning: the longest of which there are at most ``most``."""
    chosen: dict[str, Modules] = {}
    for depth in range(1, 8):
        rows: dict[str, Modules] = {}
        numbers: dict[str, _Found] = {}
        for module, parts in leaves.items():
            start = _start(module, depth)
            key = _NUMBER.sub("#", start)
            row = rows.setdefault(key, Modules(start))
            numbers.setdefault(key, _Found(start)).numbers.append(tuple(map(int, _NUMBER.findall(start))))
            row.count += 1
            row.total += len(parts)
            row.elements += sum(part[3] for part in parts)
        if chosen and len(rows) > most:
            break
        for key, row in rows.items():
            row.name = _named(numbers[key])
        if len(rows) == len(chosen) and depth > 1:
            break
        chosen = rows
    return list(chosen.values())


def _start(module: str, depth: int) -> str:
    """Return the first ``depth`` parts of a name, with a mark if there are more."""
    ends = [match.start() for match in _SEPARATOR.finditer(module)]
    return module if len(ends) < depth else f"{module[: ends[depth - 1] + 1]}…"
