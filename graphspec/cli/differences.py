"""The differences of two specs, runs or ONNX files, by meaning: as a record, and as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphspec.base.document import Block, Column, Items, Table, Text
from graphspec.base.errors import UsageError
from graphspec.base.text import number, shorten_end
from graphspec.cli.targets import is_onnx, is_run, refuse_other
from graphspec.engine.compiler import differences as d
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.spec_files import arrays_of, read_arrays
from graphspec.engine.runtime.records import read_json
from graphspec.engine.training.run_directory import check_run, read_adapted, result_differences, weight_differences
from graphspec.language.parse import parse

FORMAT = 1
_WANTED = "name specs, run directories or ONNX files"
_NOT_COMPARED = ("spec_sha256", "adapted_sha256", "data_sha256", "seed", "workers", "exported", "copies")
"""Keys of ``run.json`` that other parts of the comparison show, and the file that a run was exported to."""


@dataclass(frozen=True)
class _Side:
    """A spec, a run or an ONNX file."""

    path: Path
    kind: str  # ``spec``, ``run``, ``graphspec`` (an ONNX file of graphspec) or ``onnx`` (another one)
    source: Any = None  # what is checked: a path, or the document in an ONNX file; None for a file of another program
    # what its network has learnt; None if it learns nothing, and for a spec whose constants name no files
    adapted: Adapted | None = None

    @property
    def is_trained(self) -> bool:
        return self.kind in ("run", "graphspec")

    def network(self, *, learnt: bool) -> d.Side:
        """Return the network as the spec has it; with ``learnt``, the sizes are those that it has learnt."""
        adapted = self.adapted or Adapted()
        spec, lowered = check(self.source, allow_outside=True, adapted=adapted.of_files(), draws=False).require()
        if learnt:
            _, lowered = check(self.source, allow_outside=True, adapted=adapted, draws=False).require()
        return d.Side(spec, lowered)


def _side(path: Path) -> _Side:
    refuse_other(path, _WANTED)
    if not path.exists():
        raise UsageError(f"{path} does not exist; {_WANTED}")
    if is_run(path):
        read_json(path / "spec.json")
        adapted = read_adapted(path)
        check_run(path, adapted).require()  # a record that does not fit is a damaged run
        return _Side(path, "run", str(path / "spec.json"), adapted)
    if is_onnx(path):
        from graphspec.export.inspection import contained_spec

        found = contained_spec(path)
        return _Side(path, "onnx") if found is None else _Side(path, "graphspec", *found)
    return _Side(path, "spec", str(path), _arrays(path))


def _arrays(path: Path) -> Adapted | None:
    """Return the arrays that the constants of a spec name; None if there are none, or one cannot be read."""
    spec, _ = parse(path)
    arrays = {} if spec is None else arrays_of(read_arrays(spec)[0].nodes)
    return Adapted(arrays) if arrays else None


def compare(old: Path, new: Path) -> dict[str, Any]:
    """Return what differs, as JSON."""
    a, b = _side(old), _side(new)
    if (a.source is None) != (b.source is None):
        other, strange = (b, a) if a.source is None else (a, b)
        if not is_onnx(other.path):
            raise UsageError(f"{strange.path} contains no spec, so it can only be compared with another ONNX file")
    record: dict[str, Any] = {
        "format": FORMAT,
        "equal": True,
        "old": {"file": str(old), "kind": a.kind},
        "new": {"file": str(new), "kind": b.kind},
        **dict.fromkeys(_PARTS),
    }
    if a.source is not None and b.source is not None:
        _compare_specs(record, a, b)
    if is_onnx(old) and is_onnx(new):
        from graphspec.export import inspection

        both = a.source is not None and b.source is not None
        record["file"] = _written(inspection.file_differences(old, new, declared=not both))
        record["weights"] = inspection.weight_differences(old, new)
    if a.kind == b.kind == "run":
        _compare_runs(record, a, b)
    record["equal"] = not any(_differs(record, part) for part in _PARTS)
    return record


_PARTS = ("spec", "network", "training", "data", "learnt", "results", "run", "file", "weights")


def _differs(record: dict[str, Any], part: str) -> bool:
    found = record[part]
    if not found or isinstance(found, list):
        return bool(found)
    if part == "weights":
        return bool(found["different"])
    if part == "network":
        return any(found.values())
    return any(pair["old"] != pair["new"] for pair in (found["epochs"], found["best"], *found["final"]))


def _compare_specs(record: dict[str, Any], a: _Side, b: _Side) -> None:
    learnt = a.is_trained and b.is_trained
    old, new = (side.network(learnt=learnt) for side in (a, b))
    found = d.network_differences(old, new)
    a_title, b_title = ({"name": side.spec.name, "description": side.spec.description} for side in (old, new))
    record["network"] = found.to_json()
    record["spec"] = _written(d.changes(a_title, b_title))
    record["training"] = _written(d.training_differences(old.spec, new.spec))
    record["data"] = _written(d.data_differences(old.spec, new.spec))
    if learnt:
        names = {node.old_name: node.name for node in found.nodes if node.change == d.RENAMED}
        record["learnt"] = _written(d.learnt_differences(a.adapted or Adapted(), b.adapted or Adapted(), names))


def _written(changes: Iterable[d.Change]) -> list[Any]:
    return [change.to_json() for change in changes]


def _compare_runs(record: dict[str, Any], a: _Side, b: _Side) -> None:
    files = [side.path / "run.json" for side in (a, b)]
    old, new = (read_json(file) if file.is_file() else {} for file in files)
    hashes = [d.plain(run.get("data_sha256", {})) for run in (old, new)]
    record["data"] += _written(d.changes(hashes[0], hashes[1], "content (sha256)"))
    kept = [{key: d.plain(run[key]) for key in run if key not in _NOT_COMPARED} for run in (old, new)]
    record["run"] = _written(d.changes(kept[0], kept[1]))
    record["results"] = result_differences(a.path, b.path)
    record["weights"] = weight_differences(a.path, b.path)


# The record as lines for people.
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
    text = d.short(value)
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
    return "0" if value == 0 else f"{'+' if value > 0 else ''}{f'{value:,.0f}' if whole else number(value)}"


def _weights(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found and found["different"]:
        largest = f"; largest difference {number(found['largest'])}" if "largest" in found else ""
        names = json.dumps(found["names"])[1:-1].replace('"', "")
        more = ", …" if found["different"] > len(found["names"]) else ""
        yield f"{found['different']:,} of {found['compared']:,} arrays with equal shapes differ: {names}{more}{largest}"
