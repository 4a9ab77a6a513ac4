"""``graphspec predict --explain``: what each value of a row adds to the answer, for a terminal, a page or a program."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from graphspec.api.explanation import FORMATS, Explanation
from graphspec.api.model import Model, load
from graphspec.base.arrays.layout import Array
from graphspec.base.document import Bar, Block, Code, Column, Items, Table, Text
from graphspec.base.errors import UsageError
from graphspec.base.terminal import lines_of
from graphspec.base.text import count, number, terminal_width
from graphspec.cli.console import complain, err, out, out_wrapped, write_data
from graphspec.data.new_rows import read_inputs, stream_rows
from graphspec.engine.runtime.explanations import Attributed

ROWS = 10  # rows that are explained by default
_TOP = 10
_WIDTH = 80  # columns for a file or a pipe
_NAME, _RAW = 30, 16  # columns at most
_MAP = (14, 28)  # lines and columns of a picture's map
_STRONG, _SOME = 0.5, 0.1  # parts of the largest contribution


def explain(
    run: Path,
    data: Path,
    output: Path | None,
    head: str | None,
    label: str | None,
    size: int | None,
    baseline: Path | None,
    *,
    json: bool,
) -> None:
    """Explain the answers of a run for new rows, and print or write the explanation."""
    suffix = ".jsonl" if json else "" if output is None else output.suffix.lower()
    if output is not None and suffix not in FORMATS:
        raise UsageError(f"{output}: explanations are written as {', '.join(FORMATS)}")
    if not run.is_dir():
        raise UsageError(f"{run} cannot explain its answers: a file has no gradients; name the run directory instead")
    model = load(run)
    rows = size or ROWS
    feeds, more = _rows(model, data, rows)
    base = None if baseline is None else _rows(model, baseline, 1000)[0]
    found = model.explain(feeds, head=head, label=label, baseline=base)
    if output is not None:
        found.save(output)
        out_wrapped(f"{output}: {count(len(found), 'row')} explained")
    elif json:
        write_data(found.encode(".jsonl").encode())
    else:
        out("\n".join(lines(found, terminal_width(sys.stdout) or _WIDTH)))
    for warning in found.warnings:
        complain(f"warning: {warning}")
    if more:
        err(f"note: only the first {count(rows, 'row')} of the data; --rows N explains more, at most 256")


def _rows(model: Model, data: Path, most: int) -> tuple[dict[str, Array], bool]:
    """Return the first rows of a file or of standard input, and whether there are more."""
    if str(data) == "-":
        stream = io.BytesIO() if sys.stdin is None else cast("io.BufferedReader", sys.stdin.buffer)
        first = io.BytesIO(b"".join(islice(stream, most)))  # of a slow pipe, rows would come one by one
        return next(stream_rows(model.spec, model.whole, cast("io.BufferedReader", first), most)).inputs, False
    arrays = read_inputs(model.spec, model.whole, data, most + 1)
    whole = {name: a if isinstance(a, np.ndarray) else a[:] for name, a in arrays.items()}
    return {name: a[:most] for name, a in whole.items()}, len(next(iter(whole.values()))) > most


def lines(found: Explanation, width: int) -> list[str]:
    """Return an explanation as lines of a terminal: each row's answer, its largest contributions, and its texts."""
    return list(lines_of((block for row in range(len(found)) for block in _row(found, row)), width))


def _row(found: Explanation, row: int) -> Iterator[Block]:
    from graphspec.show.drawing.explanations import shown

    if row:
        yield Text("")
    yield Text(f"row {row + 1}: {found.answer(row)}   baseline {number(float(found.baselines[row]))}")
    for part in found.parts:
        if part.picture:
            yield from _picture(part, row)
        elif part.words and not part.bag:
            yield _words(part, row)
    tabled = [part for part in found.parts if not part.picture]
    if len(found.parts) > 1 and any(part.values.ndim > 1 for part in found.parts):
        sums = [(part.name, "", float(part.values[row].sum())) for part in found.parts]
        yield Text("  by input")
        yield _table(sorted(sums, key=lambda entry: -abs(entry[2])), len(sums))
        if tabled:
            yield Text("  in detail")
    names = {part.name for part in tabled}
    contributions = [c for c in found.contributions(row) if c.input in names]
    if contributions:
        yield _table([(c.name, shown(c), c.value) for c in contributions], _TOP)


def _table(entries: Sequence[tuple[str, str, float]], most: int) -> Table:
    """Return a table with bars; entries after ``most`` are one row, without a bar."""
    from graphspec.show.drawing.explanations import signed

    rows = list(entries[:most])
    largest = max((abs(value) for _, _, value in rows), default=0) or 1.0
    if others := entries[most:]:
        rows.append((f"{len(others):,} others", "", sum(value for _, _, value in others)))
    cells = []
    for k, (name, raw, value) in enumerate(rows):
        single = k < most and math.isfinite(value)  # the sum of many small ones is no single strong one
        cells.append((name, raw, signed(value, largest), Bar(abs(value) / largest if single else 0.0, value < 0)))
    columns = [Column(cut="middle", most=_NAME), Column(cut="end", most=_RAW), Column(kind="number"), Column(least=4)]
    return Table(columns, cells, indent=2)


def _words(part: Attributed, row: int) -> Items:
    """Return a text with signs before the words that contribute: ``++`` for half of the largest contribution or more."""
    words = list(part.contributions(row))
    largest = max((abs(c.value) for c in words), default=0) or 1.0
    marked = []
    for c in words:
        share, sign = abs(c.value) / largest, "-" if c.value < 0 else "+"
        marked.append(sign * ((share >= _STRONG) + (share >= _SOME)) + str(c.raw))
    return Items([f"{part.name}: {' '.join(marked)}"])


def _picture(part: Attributed, row: int) -> Iterator[Block]:
    """Yield a small map of a picture's pixels: ``#`` and ``+`` for the answer, ``=`` and ``-`` against it."""
    values = part.values[row]
    height, width = (min(size, most) for size, most in zip(values.shape, _MAP, strict=True))
    lines = [block.mean(axis=0) for block in np.array_split(values, height, axis=0)]
    cells = np.array([[float(block.mean()) for block in np.array_split(line, width)] for line in lines])
    largest = float(np.abs(cells).max()) or 1.0
    yield Text(f"  {part.name}: + and # speak for it, - and = against it; -o why.html draws the pixels")
    parts = cells / largest
    sizes = np.abs(parts)
    strengths = (~(sizes < _SOME) + (sizes >= _STRONG).astype(int)) * np.where(parts > 0, 1, -1)  # from -2 to 2
    yield Code("\n".join(f"    {''.join(' +#=-'[k] for k in line)}".rstrip() for line in strengths.tolist()))
