"""The fields and the answers of a page: what an exported file says of its inputs and outputs, as one JSON record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.base.errors import UsageError
from graphspec.export.inspection import contained_spec, inspect_file
from graphspec.language.declarations import BOUNDS, LABEL

_SAFE = 1 << 53  # integers beyond are texts in JSON


def form_of(file: Path) -> dict[str, Any]:
    """Return ``{title, description, fields, heads}`` of a file that graphspec has exported.

    A field has ``kind``: ``number``, ``category``, ``text``, ``date``, ``picture``, ``numbers`` or ``words``; ``dtype`` and
    ``dims`` of its tensor without the batch; ``first``, the example of the file; ``typical``, what `why` compares with.

    Raises:
        UsageError: another program has written it, or it says nothing of itself.
        SpecError: GS703, it cannot be read.
    """
    record, own = inspect_file(file), contained_spec(file)
    if own is None or not isinstance(record["example"], dict):
        raise UsageError(
            f"{file} has no signature with an example: a page needs a file that `graphspec export` has written"
        )
    document, adapted = own
    learnt = adapted.to_json().get("layers", {})
    example = record["example"]["inputs"]
    fields = [_field(entry, document, learnt, example.get(entry["name"])) for entry in record["inputs"]]
    return {
        "title": str(document.get("name") or file.stem),
        "description": str(document.get("description") or ""),
        "fields": fields,
        "heads": _heads(record["outputs"], document, fields),
    }


def _field(
    entry: Mapping[str, Any], document: Mapping[str, Any], learnt: Mapping[str, Any], first: Any
) -> dict[str, Any]:
    name, dims = entry["name"], [d if isinstance(d, int) else None for d in entry["shape"][1:]]
    column, source = _column(document, name)
    known = (entry["known"] or {}).get("values", [])
    field: dict[str, Any] = {
        "input": name,
        "name": entry["column"] or name,
        "description": _said(document.get("inputs"), name),
        "dtype": entry["dtype"],
        "dims": dims,
        "kind": _kind(entry, dims, column, _readers(document, name)),
        "missing": entry["missing"],
        "first": _exact(first[0]) if isinstance(first, list) and first else None,
    }
    if dims == [1] and isinstance(field["first"], list):
        field["first"] = field["first"][0]
    if field["kind"] == "category":
        field["known"] = [_exact(value) for value in known]
        field["typical"] = field["known"][0] if known else field["first"]
    elif field["kind"] == "number":
        log, start = column.get("scale") == "log1p", field["first"]
        start = float(start) if isinstance(start, int | float) and math.isfinite(start) else 0.0
        low, middle, high = _range(learnt, f"{source}/{name}" if source else name, log, start, entry["dtype"])
        field |= {"low": low, "high": high, "typical": middle}
    else:
        field["typical"] = {"text": "", "words": []}.get(field["kind"], field["first"])
    return field


def _kind(entry: Mapping[str, Any], dims: Sequence[int | None], column: Mapping[str, Any], readers: set[str]) -> str:
    if entry["dtype"] == "uint8" and len(dims) == 3 and dims[-1] in (1, 3):
        return "picture"
    if entry["dtype"] == "string":
        if dims != [1]:
            return "words" if len(dims) == 1 else "numbers"
        if column.get("type") == "date" or "DateParts" in readers:
            return "date"
        return "category" if column.get("type") == "category" or "StringLookup" in readers else "text"
    if dims != [1]:
        return "numbers"
    return "category" if entry["known"] else "number"


def _column(document: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], str]:
    """Return what the spec says of a column, and the input that it belongs to; nothing of an input without columns."""
    for source, given in (document.get("inputs") or {}).items():
        columns = given.get("columns") if isinstance(given, Mapping) else None
        if isinstance(columns, Mapping) and name in columns:
            said = columns[name]
            return (said if isinstance(said, Mapping) else {"type": said}), source
    return {}, ""


def _said(declared: Any, name: str) -> str:
    """Return what the spec says of an input or a head, for people."""
    of = declared.get(name) if isinstance(declared, Mapping) else None
    return str(of.get("description") or "") if isinstance(of, Mapping) else ""


def _readers(document: Mapping[str, Any], name: str) -> set[str]:
    """Return the types of the layers that read an input; the first layer may read the only one without naming it."""
    layers = [layer for layer in document.get("layers") or () if isinstance(layer, Mapping)]
    named = {str(layer.get("type")) for layer in layers if layer.get("inputs") in (name, [name])}
    return named | {str(layer.get("type")) for layer in layers[:1] if "inputs" not in layer}


def _range(learnt: Mapping[str, Any], key: str, log: bool, first: float, dtype: str) -> tuple[float, float, float]:
    """Return a low, a typical and a high value of a number, by what its layers have learnt; else around the example."""
    found: dict[str, Sequence[float]] = {}
    for name, values in learnt.items():
        if name == key or name.startswith(f"{key}/"):
            found |= {
                k: v for k, v in values.items() if isinstance(v, list) and all(isinstance(n, int | float) for n in v)
            }
    low, high = min(0.0, 2 * first), max(0.0, 2 * first) or 1.0
    if {"minimum", "maximum"} <= found.keys():
        low, high = found["minimum"][0], found["maximum"][0]
    elif edges := next(
        (found[k] for k in ("bin_boundaries", "boundaries", "quantiles") if len(found.get(k, ())) > 1), None
    ):
        low, high = edges[0], edges[-1]
    elif len(found.get("mean", ())) == len(found.get("variance", ())) == 1:
        mean, deviation = found["mean"][0], math.sqrt(max(found["variance"][0], 0.0))
        low, high = mean - 2 * deviation, mean + 2 * deviation
        if log:
            low, high = (math.copysign(math.expm1(min(abs(end), 80.0)), end) for end in (low, high))
    low, high = (0.0, 1.0) if dtype == "bool" else (min(low, first), max(high, first))
    if not low < high:
        low, high = low - 1, low + 1
    middle = next(iter(found.get("fill_value", ())), (low + high) / 2)
    middle = min(max(middle, low), high)
    whole = dtype.startswith("int") or dtype == "bool"
    return (round(low), round(middle), round(high)) if whole else (low, middle, high)


def _heads(
    outputs: Sequence[Mapping[str, Any]], document: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the heads, each with the names of its label and of the ends of its interval, where it has them."""
    names = {output["name"] for output in outputs}
    parts = {name + end for name in names for end in (LABEL, *BOUNDS) if name + end in names}
    heads = []
    for output in outputs:
        name = output["name"]
        if name in parts:
            continue
        low, high = (name + end for end in BOUNDS)
        heads.append(
            {
                "name": name,
                "description": _said(document.get("outputs"), name),
                "dtype": output["dtype"],
                "dims": [d if isinstance(d, int) else None for d in output["shape"][1:]],
                "labels": None if output["labels"] is None else [str(label) for label in output["labels"]],
                "label": name + LABEL if name + LABEL in names else None,
                "interval": [low, high] if {low, high} <= names else None,
                "past": _past(name, document, fields),
            }
        )
    return heads


def _past(head: str, document: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the input that a head goes on from: the one by whose windows it is scaled."""
    said = (document.get("outputs") or {}).get(head)
    scale = said.get("scale") if isinstance(said, Mapping) else None
    window = scale.get("window") if isinstance(scale, Mapping) else None
    given = next((n.get("inputs") for n in document.get("layers") or () if window and n.get("name") == window), None)
    return next((f["input"] for f in fields if f["kind"] == "numbers" and given in (f["input"], [f["input"]])), None)


def _exact(value: Any) -> Any:
    """Return a value of JSON for JavaScript: integers that its numbers do not hold as texts."""
    if isinstance(value, list):
        return [_exact(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return value if abs(value) < _SAFE else str(value)
