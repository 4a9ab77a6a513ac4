"""The differences of two specs, runs or files as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graphspec.base.document import Block, Column, Items, Table, Text
from graphspec.base.text import number, shorten_end
from graphspec.engine.compiler.differences import short

_KINDS = {"spec": "a spec", "run": "a run", "graphspec": "an ONNX file of graphspec", "onnx": "an ONNX file"}
_MAX_SHAPES = 12  # lines about shapes that follow from other differences
_MAX_NAMES = 4  # nodes with the same difference that a line names
_LONGEST = 160  # characters of a value
_KEY = 26  # columns of the name of a metric
_HASH = 64  # digits of a sha256


def differences(record: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what a record of ``graphspec diff --json`` says."""
    old, new = record["old"], record["new"]
    if record["equal"]:
        both = f"{old['file']} and {new['file']} are equal by meaning"
        trained = "spec" not in (old["kind"], new["kind"])
        yield Text(f"{both}; their weights were not compared" if trained and not record["weights"] else both)
        return
    for side, mark in ((old, "old"), (new, "new")):
        yield Text(f"{mark}  {side['file']} ({_KINDS[side['kind']]})")
    for title, found in _sections(record):
        if found:
            yield from (Text(""), Text(title), found if isinstance(found, Table) else Items(found, indent=6))


def _sections(record: Mapping[str, Any]) -> Iterator[tuple[str, list[str] | Table]]:
    network = record["network"] or dict.fromkeys(("inputs", "nodes", "heads", "shapes", "costs"), ())
    yield "spec", _changes(record["spec"] or ())
    yield "inputs", list(_entries(network["inputs"]))
    yield "layers", list(_entries(network["nodes"]))
    yield "shapes that follow", list(_shapes(network["shapes"]))
    yield "heads", list(_entries(network["heads"]))
    yield "network", _changes(network["costs"], commas=True)
    for key in ("training", "data", "learnt", "file", "run"):
        if key == "run" and record["results"]:
            yield "results", _results(record["results"])
        yield key, _changes(record[key] or ())
    yield "weights", list(_weights(record["weights"]))


def _changes(found: Iterable[Mapping[str, Any]], *, commas: bool = False) -> list[str]:
    return [f"{c['key']}: {_change(c['old'], c['new'], commas=commas)}" for c in found]


def _change(old: Any, new: Any, *, commas: bool = False) -> str:
    if commas and isinstance(old, int) and isinstance(new, int):
        return f"{old:,} → {new:,}"
    if isinstance(old, str | None) and isinstance(new, str | None) and "" in (old, new):
        return f"{_text(old)} → {_text(new)}"
    return f"{_value(old)} → {_value(new)}"


def _text(text: str | None) -> str:
    return "none" if not text else f'"{_value(text)}"'


def _value(value: Any) -> str:
    text = short(value)
    if len(text) == _HASH and set(text) <= set("0123456789abcdef"):
        return f"{text[:12]}…"
    return shorten_end(" ".join(text.split()), _LONGEST)


def _entries(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield inputs, nodes or heads that differ; those with the same differences share a line."""
    for text, names in _shared((_entry(e), " → ".join(dict.fromkeys((e["old_name"], e["name"])))) for e in found):
        mark, _, rest = text.partition("|")
        yield f"{mark} {names}{rest}"


def _shared(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each text with the names that share it, a few of many."""
    same: dict[str, list[str]] = {}
    for text, name in pairs:
        same.setdefault(text, []).append(name)
    for text, names in same.items():
        more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
        yield text, ", ".join(names[:_MAX_NAMES]) + more


def _entry(entry: Mapping[str, Any]) -> str:
    """Return a mark, ``|``, and the text about an entry without its name."""
    kind = f"  {entry['type']}" if entry["type"] else ""
    if entry["change"] in ("added", "removed"):
        settings = f" {_value(entry['settings'])}" if entry["settings"] else ""
        return f"{'+' if entry['change'] == 'added' else '-'}|{kind}{settings}"
    parts = [f"{c['key']} {_change(c['old'], c['new'])}" for c in entry["changes"]]
    if entry["shape"] is not None:
        parts.append(f"shape {entry['shape']['old']} → {entry['shape']['new']}")
    if entry["change"] == "renamed":
        return f"=|{kind}: renamed{'; ' if parts else ''}{'; '.join(parts)}"
    if any(c["key"] == "type" for c in entry["changes"]):
        kind = ""
    return f"~|{kind}: {'; '.join(parts)}"


def _shapes(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shared = list(_shared((f"{entry['old']} → {entry['new']}", entry["name"]) for entry in found))
    yield from (f"{names}  {text}" for text, names in shared[:_MAX_SHAPES])
    if len(shared) > _MAX_SHAPES:
        yield f"… and {len(shared) - _MAX_SHAPES:,} more; --json lists all"


def _results(results: Mapping[str, Any]) -> Table:
    epochs, best = results["epochs"], results["best"]
    rows = [["epochs", str(epochs["old"]), str(epochs["new"]), _signed(epochs["new"] - epochs["old"], whole=True)]]
    if best["old"] and best["new"]:
        a, b = best["old"], best["new"]
        rows.append(["best epoch", str(a["epoch"]), str(b["epoch"]), _signed(b["epoch"] - a["epoch"], whole=True)])
        if a["key"] == b["key"]:
            rows.append([f"best {a['key']}", number(a["value"]), number(b["value"]), _signed(b["value"] - a["value"])])
    for value in results["final"]:
        cells = ["-" if value[side] is None else number(value[side]) for side in ("old", "new")]
        rows.append([value["key"], *cells, "" if value["difference"] is None else _signed(value["difference"])])
    numbers = [Column(name, "number") for name in ("old", "new", "difference")]
    return Table([Column(cut="middle", most=_KEY), *numbers], rows, indent=2)


def _signed(value: float, *, whole: bool = False) -> str:
    if value == 0:
        return "0"
    return f"{'+' if value > 0 else ''}{f'{value:,.0f}' if whole else number(value)}"


def _weights(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found and found["different"]:
        largest = f"; largest difference {number(found['largest'])}" if "largest" in found else ""
        names = json.dumps(found["names"])[1:-1].replace('"', "")
        more = ", …" if found["different"] > len(found["names"]) else ""
        yield f"{found['different']:,} of {found['compared']:,} arrays with equal shapes differ: {names}{more}{largest}"
