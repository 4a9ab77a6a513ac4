"""The record of a file of another program, and what can be done with a file here, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphspec.base.arrays.memory import human
from graphspec.base.text import count, wrapped
from graphspec.foreign.inspecting.modules import Modules, modules
from graphspec.graph.ir.dims import show
from graphspec.graph.onnx_session import sanitized

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
