"""``graphspec data``: show what a table holds, or what the data files of a spec hold, and whether it fits the spec."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from graphspec.base.errors import UsageError
from graphspec.base.files import ARCHIVE, DATA_SUFFIXES, suffix_of
from graphspec.base.text import shell
from graphspec.cli.console import out, out_blocks, print_diagnostics, saying, write_data, write_json
from graphspec.cli.options import DataPlace, Sets, argument, flag, option
from graphspec.cli.targets import checked_target, is_onnx, is_run, is_spec, naming_file

if TYPE_CHECKING:
    from graphspec.data.overview import Overview


def data(
    spec: Annotated[Path, argument("FILE|SPEC|RUN|ONNX", "A table, spec, run or ONNX file.")],
    new: Annotated[
        Path | None, argument("NEW", "New rows, to compare with those that a run or an ONNX file has learnt from.")
    ] = None,
    rows: Annotated[int | None, option("N", "Look at the first N rows only.", "--rows", min=1)] = None,
    as_json: Annotated[bool, flag("--json", "Print a JSON document, for programs.")] = False,
    place: DataPlace = None,
    sets: Sets = None,
) -> int:
    """Show what a table or the data files of a spec hold: types, missing values, ranges, classes, what would be learnt.

    With NEW the exit status is 1 if an input has a large drift.
    """
    if new is not None:
        return _drift(spec, new, rows, as_json=as_json)
    if suffix_of(spec) in DATA_SUFFIXES and not is_run(spec):
        if sets or place is not None:
            raise UsageError(f"{spec} is a data file: leave out {'--set' if sets else '--data'}, which is for a spec")
        found = [_of_file(spec, rows)]
    else:
        found = _of_spec(spec, rows, place, sets or ())
    if as_json:
        write_data((json.dumps([_plain(asdict(part)) for part in found]) + "\n").encode())
    else:
        from graphspec.cli.data_text import overview

        out_blocks(overview(found))
        if found[0].name == "file" and found[0].columns and suffix_of(spec) != ARCHIVE:
            made = shell("graphspec", "init", "net.yaml", "--from", str(spec), "--target", "COLUMN")
            out(f"\nnext, with the column to predict:\n  {made}")
    return 1 if any(part.problems for part in found) else 0


def _of_file(file: Path, rows: int | None) -> Overview:
    """Look at a data file that no spec reads."""
    from graphspec.cli.init import naming_source, table_of
    from graphspec.data.files import open_source
    from graphspec.data.overview import overview_of

    with naming_source(file), saying(f"reading {file}"):
        table, form = (open_source(file), []) if suffix_of(file) == ARCHIVE else table_of(file)
        found = overview_of(table, str(file), rows)
    found.notes += [f"read with {' '.join(line.split())}" for line in form]
    return found


def _of_spec(spec: Path, rows: int | None, place: Path | None, sets: Sequence[str]) -> list[Overview]:
    from graphspec.data.overview import overviews
    from graphspec.data.paths import moved
    from graphspec.data.signature import data_signature

    checked = checked_target(spec, sets)
    if place is not None and is_spec(spec) and (named := naming_file(checked.require()[0], spec, place)):
        place, checked = None, checked_target(spec, [*sets, *named])
    declaration, lowered = checked.require()
    if place is not None:
        declaration = moved(declaration, place)
    elif is_onnx(spec):
        raise UsageError(f"{spec} contains no data, only the names of its data files; add `--data DIR`")
    print_diagnostics(checked.diagnostics)
    if not declaration.data:
        raise UsageError(f"{spec} names no data; write them under `data`, or add `--data FILE`")
    with saying("reading the data"):
        return overviews(declaration, data_signature(declaration, lowered.graph), rows)


def _drift(network: Path, new: Path, most: int | None, *, as_json: bool) -> int:
    """Print how far new rows are from those that a network learnt from; 1 if an input has a large drift."""
    from graphspec.data.new_rows import read_rows
    from graphspec.show.live_rows import drifts, is_compared, shown, steps_of

    if not is_onnx(network) and not is_run(network):
        raise UsageError(f"{network} has learnt from no rows; name a run or an ONNX file before {new}")
    checked = checked_target(network)
    spec, lowered = checked.require()
    known = {} if checked.adapted is None else checked.adapted.inputs
    trained = 0 if checked.adapted is None else checked.adapted.rows
    if not any(map(is_compared, known.values())) and not any(part.windows for part in spec.data.values()):
        text = "it learnt nothing from them, has no input of one number, category or date, or is of an older version"
        raise UsageError(f"{network} does not say how its training rows were spread: {text}")
    given = read_rows(spec, lowered.graph, new, max_rows=most)
    rows, steps = given.inputs, None if given.ends is None else steps_of(given.ends.series)
    print_diagnostics(given.warnings)
    try:
        found = drifts(spec, known, rows)
    except ValueError as error:
        raise UsageError(f"{network} is damaged: {error}") from None
    count = len(next(iter(rows.values())))
    if as_json:
        own = {} if steps is None else {"steps": asdict(steps)}
        inputs = [_plain(asdict(each)) for each in found]
        write_json({"format": 1, "rows": count, "trained": trained, "inputs": inputs, **own})
    else:
        compared = {each.input for each in found}
        others = [name for name in rows if name not in compared]
        out_blocks(shown(found, count, trained, others, steps))
    return int(any(each.drift == "large" for each in found))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: null for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
