"""The fields and the answers of a page: what an exported file says of its inputs and outputs, as one JSON record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.errors import UsageError
from graphspec.export.inspection import record_and_spec
from graphspec.language.declarations import BOUNDS, LABEL, NodeDecl, Spec

_SAFE = 1 << 53  # integers beyond are texts in JSON
_INK = 64  # pictures whose largest byte is smaller have a scale of their own, such as 0 to 16
_BYTES = 16  # pictures of floats whose largest value is larger have values of bytes; smaller ones may be standardized


def form_of(file: Path) -> dict[str, Any]:
    """Return ``{title, description, fields, heads}`` of a file that graphspec has exported.

    A field has ``kind``: ``number``, ``category``, ``text``, ``date``, ``picture``, ``numbers`` or ``words``; ``dtype`` and
    ``dims`` of its tensor without the batch; ``first``, the example of the file, if there is one; ``typical``, what `why`
    compares with; of a picture, ``white``, the largest value of a pixel.

    Raises:
        UsageError: another program has written it.
        SpecError: GS703, it cannot be read.
    """
    record, spec = record_and_spec(file)
    if spec is None:
        raise UsageError(f"{file} has no spec: a page needs a file that `graphspec export` has written")
    example = (record["example"] or {}).get("inputs", {})
    fields = [_field(entry, spec, example.get(entry["name"])) for entry in record["inputs"]]
    return {
        "title": spec.name or file.stem,
        "description": spec.description,
        "fields": fields,
        "heads": _heads(record["outputs"], spec),
    }


def _field(entry: Mapping[str, Any], spec: Spec, first: Any) -> dict[str, Any]:
    dims = [d if isinstance(d, int) else None for d in entry["shape"][1:]]
    known = (entry["known"] or {}).get("values", [])
    usual = entry["usual"] if isinstance(entry["usual"], Mapping) else {}
    first, typical = (
        row[0] if _is_scalar(dims) and isinstance(row, list) and row else row
        for row in (_exact(first[0]) if isinstance(first, list) and first else None, _exact(usual.get("typical")))
    )
    field: dict[str, Any] = {
        "input": entry["name"],
        "name": entry["column"] or entry["name"],
        "description": spec.inputs[entry["name"]].description,
        "dtype": entry["dtype"],
        "dims": dims,
        "kind": _kind(entry, dims, {node.type for node in _readers(spec, entry["name"])}),
        "missing": entry["missing"],
        "ids": entry["ids"],
        "first": first,
    }
    if field["kind"] == "date":
        layer: Any = next(n.layer for n in _readers(spec, entry["name"]) if n.type == "DateParts")
        field |= {"format": layer.format, "time": bool({"hour", "minute"} & {*layer.parts})}
    if field["kind"] == "category":
        field["known"] = [_exact(value) for value in known]
        field["typical"] = field["known"][0] if known else first
    elif field["kind"] == "picture":
        field |= {"typical": None, "white": _white(entry["dtype"], first, usual)}
    elif field["kind"] == "number":
        low, high = entry["ids"] or (usual.get("low"), usual.get("high"))
        field |= _range(low, typical, high, first, entry["dtype"])
    else:
        field["typical"] = {"text": "", "words": [], "numbers": typical}.get(field["kind"], first)
    return field


def _readers(spec: Spec, name: str) -> list[NodeDecl]:
    return [node for node in spec.nodes if any(ref is not None and ref.name == name for ref in node.inputs)]


def _kind(entry: Mapping[str, Any], dims: Sequence[int | None], readers: set[str | None]) -> str:
    if entry["dtype"] in ("uint8", "float32") and len(dims) == 3 and dims[-1] in (1, 3):
        return "picture"
    if entry["dtype"] != "string":
        return "numbers" if not _is_scalar(dims) else "category" if entry["known"] else "number"
    if not _is_scalar(dims):
        return "words" if len(dims) == 1 else "numbers"
    if "DateParts" in readers:
        return "date"
    return "category" if readers & {"StringLookup", "Hashing"} else "text"


def _is_scalar(dims: Sequence[int | None]) -> bool:
    return len(dims) == 0 or list(dims) == [1]


def _white(dtype: str, first: Any, usual: Mapping[str, Any]) -> float:
    """Return the largest value of a pixel: 255 of bytes, unless the example's ink ends far below; 1 or 255 of numbers."""
    most = _finite(usual.get("high")) or float(np.max(first if first else 0))
    if dtype == "uint8":
        return most if 0 < most < _INK else 255.0
    return 255.0 if most > _BYTES else 1.0


def _range(least: Any, typical: Any, most: Any, first: Any, dtype: str) -> dict[str, float]:
    """Return a low, a typical and a high value of a number: the usual ones, else values around the example."""
    whole = dtype.startswith("int") or dtype == "bool"
    low, middle, high, start = (_finite(value) for value in (least, typical, most, first))
    start = start or 0.0
    low = min(0.0, 2 * start) if low is None else min(low, start)
    high = max(0.0, 2 * start) or 1.0 if high is None else max(high, start)
    low, high = (0.0, 1.0) if dtype == "bool" else (low, high) if low < high else (low - 1, low + 1)
    middle = min(max((low + high) / 2 if middle is None else middle, low), high)
    return {n: round(v) if whole else v for n, v in (("low", low), ("typical", middle), ("high", high))}


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _heads(outputs: Sequence[Mapping[str, Any]], spec: Spec) -> list[dict[str, Any]]:
    """Return the heads, each with the names of its label and of the ends of its interval, where it has them.

    ``past`` is the input that a head goes on from: the one by whose windows it is scaled.
    """
    names = {output["name"] for output in outputs}
    reads = {node.name: node.inputs for node in spec.nodes}
    heads = []
    for output in outputs:
        head = spec.heads.get(name := output["name"])
        if head is None:  # a label, or an end of an interval
            continue
        low, high = (name + end for end in BOUNDS)
        window = next((r for r in reads.get(head.window.name, ()) if r is not None), None) if head.window else None
        record = {
            "name": name,
            "description": head.description,
            "dtype": output["dtype"],
            "dims": [d if isinstance(d, int) else None for d in output["shape"][1:]],
            "labels": None if output["labels"] is None else [str(label) for label in output["labels"]],
            "label": name + LABEL if name + LABEL in names else None,
            "interval": [low, high] if {low, high} <= names else None,
            "past": window.name if window is not None and window.name in spec.inputs else None,
        }
        heads.append(record)
    return heads


def _exact(value: Any) -> Any:
    """Return a value of JSON for JavaScript: integers that its numbers do not hold as texts."""
    if isinstance(value, list):
        return [_exact(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return value if abs(value) < _SAFE else str(value)
