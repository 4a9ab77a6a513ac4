"""``graphspec data``: show what a table holds, or what the data files of a spec hold, and whether it fits the spec."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from graphspec.base.document import Block, Column, Items, Table, Text
from graphspec.base.errors import UsageError, shorten
from graphspec.base.files import ARCHIVE, DATA_SUFFIXES, suffix_of
from graphspec.base.text import count, few, percent, shell
from graphspec.cli.console import out, out_blocks, print_diagnostics, saying, write_data
from graphspec.cli.options import DataPlace, Sets, argument, flag, option
from graphspec.cli.targets import checked_target, is_onnx, is_run, is_spec, naming_file
from graphspec.data.overview import Overview
from graphspec.data.profile import ArrayProfile, ColumnProfile, FileProfile

if TYPE_CHECKING:
    from graphspec.data.overview import Overview


def data(
    spec: Annotated[Path, argument("FILE|SPEC|RUN|ONNX", "A table, spec, run or ONNX file.")],
    rows: Annotated[int | None, option("N", "Look at the first N rows only.", "--rows", min=1)] = None,
    as_json: Annotated[bool, flag("--json", "Print a JSON document, for programs.")] = False,
    place: DataPlace = None,
    sets: Sets = None,
) -> int:
    """Show what a table or the data files of a spec hold: types, missing values, ranges, classes, what would be learnt."""
    if suffix_of(spec) in DATA_SUFFIXES and not is_run(spec):
        if sets or place is not None:
            raise UsageError(f"{spec} is a data file: leave out {'--set' if sets else '--data'}, which is for a spec")
        found = [_of_file(spec, rows)]
    else:
        found = _of_spec(spec, rows, place, sets or ())
    if as_json:
        write_data((json.dumps([_plain(asdict(part)) for part in found]) + "\n").encode())
    else:
        from graphspec.cli.data import overview

        out_blocks(overview(found))
        if found[0].name == "file" and found[0].columns and suffix_of(spec) != ARCHIVE:
            made = shell("graphspec", "init", "net.yaml", "--from", str(spec), "--target", "COLUMN")
            out(f"\nnext, with the column to predict:\n  {made}")
    return 1 if any(part.problems for part in found) else 0


def _of_file(file: Path, rows: int | None) -> Overview:
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


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: null for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


# What data files hold, as documents for people.
_NAME = 28  # characters of a column's name that are shown
_CLOSING = 8  # problems that are repeated at the end
_VALUES = 28  # columns; narrower values go on a line of their own


def overview(found: Sequence[Overview]) -> Iterator[Block]:
    """Yield what all parts hold, with an empty line between them.

    Problems come again if the tables of later parts follow them: the end of a long answer shows what is wrong.
    """
    yield from [block for part in found for block in (Text(""), *_shown(part))][1:]
    if any(part.problems for part in found[:-1]):
        total = sum(len(part.problems) for part in found)
        yield from (Text(""), Text(f"{count(total, 'problem')} in all"))
        yield Items([f"{part.name}: {text}" for part in found for text in part.problems][:_CLOSING])
        if total > _CLOSING:
            yield Text(f"  … and {total - _CLOSING:,} more, above")


def _shown(part: Overview) -> Iterator[Block]:
    if part.share is not None:
        yield Text(", ".join([f"{part.name}: {part.share * 100:g} % of the training rows", *part.notes]))
        return
    rows = "" if part.rows is None else f", {count(part.rows, 'row')}"
    yield Text(f"{part.name}: {part.source}{rows}")
    yield from (Text(f"  {note}") for note in part.notes)
    for title in ("column", "target", "input"):
        used = [(name, use) for name, uses in part.uses.items() for use in uses if use.section == title]
        if used:
            yield Text("")
            numbers = [Column("missing", "number"), Column("distinct", "number")]
            columns = [Column(title, cut="end"), Column("type"), *numbers, Column("values", wrap=True, least=_VALUES)]
            labels = [" → ".join(shorten(n, _NAME) for n in dict.fromkeys((name, use.name))) for name, use in used]
            cells = [_cells(label, part.columns.get(name)) for label, (name, _) in zip(labels, used, strict=True)]
            yield Table(columns, cells)
    if part.learnt:
        yield from (Text(""), Text("would be learnt" + (" (less the validation rows)" if part.name == "train" else "")))
        learnt = [(shorten(name, _NAME), "; ".join(texts)) for name, texts in part.learnt.items()]
        yield Table([Column(cut="end"), Column(wrap=True, least=_VALUES)], learnt, indent=2)
    if part.unused:
        yield from (Text(""), Text(f"not used: {', '.join(part.unused)}"))
    for kind, texts in (("hint", part.hints), ("problem", part.problems)):
        if texts:
            yield Text("")
        yield from (Text(f"{kind}: {text}") for text in texts)


def _cells(name: str, found: ColumnProfile | ArrayProfile | FileProfile | None) -> tuple[str, ...]:
    if found is None:
        return (name, "", "", "", "")
    if isinstance(found, FileProfile):
        return (name, found.kind, "0", "", _files(found))
    if isinstance(found, ArrayProfile):
        shape = str(found.shape)
        values = _shares(found.frequent, sum(n for _, n in found.frequent))
        if found.low is not None and len(found.frequent) != 1 and (not values or len(found.frequent) > 20):
            values = f"{found.low:.6g} … {found.high:.6g}"
        distinct = f"{len(found.frequent):,}" if found.frequent else ""
        return (name, found.dtype, f"{found.missing:,}", distinct, f"{shape} {values}".strip())
    about, kind = "" if found.exact else "about ", str(found.kind)
    if found.kind == "list" and found.lengths is not None:
        kind = f"list of {'–'.join(map(str, dict.fromkeys(found.lengths)))}"
    return (name, kind, f"{found.absent:,}", f"{about}{found.distinct:,}", _values(found))


def _files(found: FileProfile) -> str:
    """Return the sizes of pictures, or the words of texts."""
    about = "" if found.is_exact else "about "
    if found.words is not None:
        mean, longest = found.words
        return f"{about}{mean:.0f} words on average, at most {about}{longest:,}"
    if not found.sizes:
        return ""
    if len(found.sizes) == 1:
        return "{} × {}".format(*found.sizes[0][0])
    high, wide = zip(*(size for size, _ in found.sizes), strict=True)
    return f"{about}{len(found.sizes):,} sizes, {min(high)} to {max(high)} high, {min(wide)} to {max(wide)} wide"


def _values(found: ColumnProfile) -> str:
    """Return a range, or the most frequent values with their shares."""
    parts = []
    numbers = found.numbers
    if found.kind == "date" and found.dates is not None:
        form = max(found.date_formats, key=lambda form: found.date_formats[form])
        first, last = (date.removesuffix(" 00:00:00") for date in found.dates)
        parts.append(f"{first} … {last}" + ("" if form == "ISO" else f" ({form})"))
    elif found.is_number and numbers is not None and found.distinct > 2:
        parts.append(f"{numbers.low:.6g} … {numbers.high:.6g}, median {numbers.median:.6g}")
    elif found.words is not None and found.words.mean >= 3:
        parts.append(f"{found.words.mean:.0f} words on average, at most {found.words.longest:,}")
    elif found.frequent and found.present:
        parts.append(_shares(found.frequent, found.present))
    parts += [f"{text} {count(rows, 'row')}" for text, rows in found.missing_texts.items()]
    return "; ".join(parts)


def _shares(frequent: Sequence[tuple[str, int]], total: int) -> str:
    return few([f"{shorten(' '.join(value.split()), 24)} {percent(n / total)}" for value, n in frequent], 8)
