"""``graphspec diff``: what differs between two specs, runs or ONNX files, by meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from graphspec.base.errors import SpecError, UsageError
from graphspec.cli.console import out_blocks, print_diagnostics, write_json
from graphspec.cli.options import argument, flag
from graphspec.cli.targets import is_onnx, is_run, refuse_other

if TYPE_CHECKING:
    from graphspec.engine.compiler.adapted import Adapted
    from graphspec.engine.compiler.differences import Change, Network

FORMAT = 1
_PLACE = "A spec, a run directory or an ONNX file."
_WANTED = "name specs, run directories or ONNX files"
_DIFFERENT, _TROUBLE = 1, 2
_NOT_COMPARED = ("spec_sha256", "adapted_sha256", "data_sha256", "seed", "workers", "exported")
"""Keys of ``run.json`` that other parts of the comparison show, and the file that a run was exported to."""


def diff(
    old: Annotated[Path, argument("OLD", _PLACE)],
    new: Annotated[Path, argument("NEW", "The spec, run or file to compare it with.")],
    json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False,
) -> int:
    """Show what differs between two specs, runs or ONNX files, by meaning: layers, shapes, training, data, results.

    The order of keys, defaults, short forms and blocks make no difference. Status 0: equal, 1: different, 2: not comparable.
    """
    from graphspec.cli.differences_text import differences

    try:
        record = compare(old, new)
    except SpecError as error:
        print_diagnostics(error.diagnostics)
        return _TROUBLE
    if json:
        write_json(record)
    else:
        out_blocks(differences(record))
    return 0 if record["equal"] else _DIFFERENT


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

    def network(self, *, learnt: bool) -> Network:
        """Return the network as the spec has it; with ``learnt``, the sizes are those that it has learnt."""
        from graphspec.engine.compiler.adapted import Adapted
        from graphspec.engine.compiler.check import check
        from graphspec.engine.compiler.differences import Network

        adapted = self.adapted or Adapted()
        spec, lowered = check(self.source, allow_outside=True, adapted=adapted.of_files(), draws=False).require()
        if learnt:
            _, lowered = check(self.source, allow_outside=True, adapted=adapted, draws=False).require()
        return Network(spec, lowered)


def _side(path: Path) -> _Side:
    refuse_other(path, _WANTED)
    if not path.exists():
        raise UsageError(f"{path} does not exist; {_WANTED}")
    if is_run(path):
        from graphspec.engine.runtime.records import read_json
        from graphspec.engine.training.run_directory import check_run, read_adapted

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
    from graphspec.engine.compiler.adapted import Adapted
    from graphspec.engine.compiler.spec_files import arrays_of, read_arrays
    from graphspec.language.parse import parse

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
        from graphspec.export.inspection import file_differences, weight_differences

        both = a.source is not None and b.source is not None
        record["file"] = _written(file_differences(old, new, declared=not both))
        record["weights"] = weight_differences(old, new)
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
    from graphspec.engine.compiler import differences as d
    from graphspec.engine.compiler.adapted import Adapted

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


def _written(changes: Iterable[Change]) -> list[Any]:
    return [change.to_json() for change in changes]


def _compare_runs(record: dict[str, Any], a: _Side, b: _Side) -> None:
    from graphspec.engine.compiler.differences import changes, plain
    from graphspec.engine.runtime.records import read_json
    from graphspec.engine.training.run_directory import result_differences, weight_differences

    files = [side.path / "run.json" for side in (a, b)]
    old, new = (read_json(file) if file.is_file() else {} for file in files)
    hashes = [plain(run.get("data_sha256", {})) for run in (old, new)]
    record["data"] += _written(changes(hashes[0], hashes[1], "content (sha256)"))
    kept = [{key: plain(run[key]) for key in run if key not in _NOT_COMPARED} for run in (old, new)]
    record["run"] = _written(changes(kept[0], kept[1]))
    record["results"] = result_differences(a.path, b.path)
    record["weights"] = weight_differences(a.path, b.path)
