"""The record of a file of another program, and what can be done with a file here, as lines for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.base.arrays.system_memory import human
from graphspec.base.text import count, wrapped
from graphspec.graph.ir.dims import show
from graphspec.graph.onnx_session import sanitized

# Arrays of a file by module: ``layers.0.weight`` and ``layers.1.weight`` are one row, ``layers.{0..1}``.
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


KEYS = 12
"""Columns of the key of a line."""
_NAMED = 3  # names that a line lists
_REASONS = 8  # reasons that are told
_CLASSES = 40  # classes of layers that a line counts


def arrays_lines(arrays: Sequence[Mapping[str, Any]], width: int | None) -> Iterator[str]:
    """Yield the arrays of a file by module."""
    known = [a for a in arrays if a["shape"] is not None]
    if not arrays:
        return
    usual = max({a["dtype"] for a in known}, key=lambda t: sum(a["dtype"] == t for a in known)) if known else ""
    yield f"arrays of {usual}" if usual else "arrays"
    for row in modules((a["name"], a["dtype"], tuple(a["shape"]), a["elements"]) for a in known):
        name = sanitized(row.name, 200) or "(no module)"
        yield from wrapped(f"  {name}  {_parts(row, usual)}", width, indent=4)


def _parts(row: Modules, usual: str) -> str:
    if row.arrays is None:
        return f"{count(row.total, 'array')} of {row.elements:,} numbers"
    parts = [
        f"{sanitized(name)} {'' if dtype == usual else f'{dtype} '}{show(shape)}"
        for name, dtype, shape in row.arrays[:12]
    ]
    more = [f"… ({len(row.arrays) - len(parts)} more)"] if len(parts) < len(row.arrays) else []
    return ", ".join([*parts, *more])


def stored(weights: Mapping[str, Any], noun: tuple[str, str] = ("array", "arrays")) -> str:
    """Return how much is stored in a file, in words."""
    if not weights["count"]:
        return f"no {noun[1]}"
    dtypes = ", ".join(f"{dtype} {human(part['bytes'])}" for dtype, part in weights["dtypes"].items())
    return f"{count(weights['count'], *noun)} of {human(weights['bytes'])}: {dtypes}"


def weights_lines(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is said of a file of weights, as keys and texts."""
    yield "size", f"{human(record['bytes'])}; {stored(record['weights'])}"
    yield "numbers", f"{record['weights']['elements']:,}"
    layouts = {"torch": "PyTorch's names and layout", "keras": "names and layout of graphspec and Keras"}
    yield "layout", layouts.get(record["layout"], "unknown names: `map` says which weight is which")
    yield from uses_lines(record["uses"])
    for key, text in record["metadata"].items():
        yield "metadata", f"{key}: {' '.join(text.split())}"


def keras_lines(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is said of a model of Keras, as keys and texts."""
    yield "size", f"{human(record['bytes'])}; {stored(record['weights'])}"
    if record["parameters"] is not None:
        yield "parameters", f"{record['parameters']:,}"
    yield "made by", record["made_by"]
    layers = record["layers"]
    shown = ", ".join(f"{one['class']} {one['count']}" for one in layers[:_CLASSES])
    total = sum(one["count"] for one in layers)
    more = f", and {len(layers) - _CLASSES} more" if len(layers) > _CLASSES else ""
    yield "layers", f"{count(total, 'layer')}{f': {shown}{more}' if layers else ''}"
    if record["models"]:
        yield "", count(record["models"], "model inside the model", "models inside the model")
    if record["training"]:
        yield "training", ", ".join(f"{key} {value}" for key, value in record["training"].items())
    yield from uses_lines(record["uses"])


_POSSIBLE = {
    "initial_weights": "a network can start from it",
    "import": "it can be imported",
    "frozen": "it can be a frozen layer",
    "unfrozen": "its weights can train",
}
_IMPOSSIBLE = {
    "initial_weights": "no network can start from it",
    "import": "it cannot be imported",
    "frozen": "it cannot be a layer",
    "unfrozen": "its weights cannot train",
}


def uses_lines(uses: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what can be done with a file here, and why not."""
    key = "here"
    for use in uses:
        if use["possible"]:
            yield key, f"{_POSSIBLE[use['use']]}: `{use['how']}`"
            yield from (("", text) for text in _more(use))
        else:
            yield key, f"{_IMPOSSIBLE[use['use']]}:"
        reasons = use["reasons"]
        for reason in reasons[:_REASONS]:
            place = f"{reason['place']}: " if reason["place"] else ""
            yield "", f"- {place}{reason['message']}"
        if len(reasons) > _REASONS:
            yield "", f"- and {len(reasons) - _REASONS} more; `--json` has all"
        key = ""


def _more(use: Mapping[str, Any]) -> Iterator[str]:
    if others := use.get("others"):
        names = ", ".join(sanitized(name) for name in others[:_NAMED])
        yield f"{count(len(others), 'array has', 'arrays have')} no floats: {names}{', …' if len(others) > _NAMED else ''}"
    if use.get("trains") is not None:
        yield f"{count(len(use['trains']), 'tensor')} of {use['elements']:,} numbers would train"
    yield from use.get("notes", ())[:_REASONS]
