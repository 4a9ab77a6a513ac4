"""Open data files by the suffix of their names, one or several with the same columns, and find how a table is written."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.arrays.strings import Strings, StringsBuilder
from graphspec.base.codes import Code
from graphspec.base.files import ARCHIVE, DATA_SUFFIXES, is_folder, is_regular, suffix_of
from graphspec.data import source as base
from graphspec.data.convert import widened
from graphspec.data.database import Relation, Table, Union
from graphspec.data.folders import WithPictures, of_source
from graphspec.data.paths import PICTURES, TEXTS, folder_error, has_marks, is_glob, matching, size_of, type_error
from graphspec.data.tables import Delimited, Lines, Parquet
from graphspec.data.text_files import MOSTLY, decoded, marks_of, row_from_1, undecodable
from graphspec.language.declarations import DataSource, TextForm


class Files(base.Source):
    """The rows of the files of a pattern, such as ``visits/*.parquet``, with the same columns, in the order of names."""

    def __init__(
        self, pattern: Path, open_source: Callable[[Path, int | None], base.Source], max_rows: int | None
    ) -> None:
        self.max_rows, self._open = max_rows, open_source
        self._root = next(p for p in pattern.parents if not has_marks(p))
        self.paths = matching(pattern)
        with self._naming(self.paths[0]):
            self._first = open_source(self.paths[0], max_rows)
        self.item, self.names, self.of_texts = self._first.item, self._first.names, self._first.of_texts
        self.ambiguous: Mapping[str, str] = self._first.ambiguous
        for path in self.paths[1:]:
            with self._naming(path):
                self._compare(open_source(path, max_rows).names)

    def _compare(self, names: Sequence[str]) -> None:
        """Refuse a file whose columns differ from those of the first file."""
        missing, new = set(self.names) - set(names), set(names) - set(self.names)
        if missing or new:
            first, named = self.paths[0].relative_to(self._root), f"{self.item} '{min(missing or new)}'"
            text = f"has no {named}, which '{first}' has" if missing else f"has {named}, which '{first}' does not have"
            raise base.DataError(Code.MISSING_ARRAY, text, f"all files that match need the same {self.item}s")

    @contextmanager
    def _naming(self, path: Path) -> Iterator[None]:
        try:
            yield
        except base.DataError as error:
            raise self._named(error, path) from error.__cause__

    def _named(self, error: base.DataError, path: Path) -> base.DataError:
        return error.changed(message=f"{error.problem.message} (in '{path.relative_to(self._root)}')")

    def place(self, row: int) -> str:
        """Return the words for a row: its place in its file, and the name of the file."""
        for path, source in self.sources():
            if not isinstance(source, Table):
                break
            if row < (count := source.count()):
                return f"{source.place(row)} of '{path.relative_to(self._root)}'"
            row -= count
        return row_from_1(row)

    def cells(self, column: str, *, raw: bool) -> Iterator[tuple[int, Array]]:
        before = 0
        for _, part in self.sources():
            last = 0
            for first, block in part.cells(column, raw=raw):
                yield before + first, block
                last = first + len(block)
            before += last

    def type_of(self, column: str) -> str:
        return self._first.type_of(column)

    def values(self, column: str) -> Array:
        parts = [part.values(column) for _, part in self.sources()]
        return np.concatenate([part if part.dtype == parts[0].dtype else part.astype(object) for part in parts])

    def relation(self) -> Relation:
        """Return the rows of all files as one relation; raise DataError if a file is no table, or cannot be read."""
        tables = []
        for path, file in self.sources():
            if not isinstance(file, Table):
                raise base.unreadable(f"is no table: {path.name}", "look at one file at a time")
            tables.append(file)
        return Union(tables, [name for name in self.names if name not in self.ambiguous])

    def sources(self) -> Iterator[tuple[Path, base.Source]]:
        """Yield every file and its source, until there are enough rows."""
        yield self.paths[0], self._first
        for path in self.paths[1:]:
            with self._naming(path):
                source = self._open(path, self.max_rows)
            yield path, source

    def fill(self, requests: Sequence[base.Request]) -> base.Filled:
        parts: dict[str, list[Any]] = {r.name: [] for r in requests}
        problems: dict[str, base.DataErrors] = {r.name: {} for r in requests}
        rows = 0
        for index, (path, source) in enumerate(self.sources()):
            waiting = [_of_part(r, index) for r in requests if not problems[r.name]]
            with self._naming(path):
                found = source.fill(waiting)
            rows += max((len(a) for a in found.values() if not isinstance(a, dict)), default=0)
            for request in waiting:
                part, before = found[request.name], parts[request.name]
                bad = part if isinstance(part, dict) else {}
                if not isinstance(part, dict) and before and len(part) and (other := _unlike(part, before[0], request)):
                    bad = {0: other}
                problems[request.name] = {k: self._named(base.placed(e, source.place), path) for k, e in bad.items()}
                if not bad and (len(part) or not before):
                    before[:] = [*(p for p in before if len(p)), part]
            if all(problems.values()) or (self.max_rows is not None and rows >= self.max_rows):
                break
        return {r.name: problems[r.name] or self._first_rows(joined(parts.pop(r.name), r)) for r in requests}

    def _first_rows(self, array: Any) -> Any:
        return array if self.max_rows is None else array[: self.max_rows]


def _unlike(part: Any, first: Any, request: base.Request) -> base.DataError | None:
    """Return why the rows of a file do not fit those of the files before."""
    if isinstance(part, Strings) != isinstance(first, Strings):
        hint = "give the head its `labels`, or write all as text"
        return base.lossy("has texts in some files, and numbers in others", hint)
    if part.shape[1:] != first.shape[1:] and not request.lists:
        text = f"has shape {part.shape[1:]} per row, the files before have {first.shape[1:]}"
        return base.wrong_shape(text, "pad the rows to one length")
    return None


def _of_part(request: base.Request, index: int) -> base.Request:
    """Return the request for one file, which is filled in a place of its own."""
    if (allocate := request.allocate) is None:
        return request
    return replace(request, allocate=lambda name, shape, dtype: allocate(f"{name}:{index}", shape, dtype))


def joined(parts: list[Any], request: base.Request) -> Any:
    """Join the parts of an array in the narrowest dtype that holds all of them, but at most as wide as the graph's.

    Raises DataError: GS602, the parts and the array together do not fit into memory.
    """
    if len(parts) == 1:
        return parts[0]
    if request.allocate is None:
        base.MemoryBudget().reserve(sum(part.nbytes for part in parts))
    if isinstance(parts[0], Strings) and request.lists:
        width = max(part.shape[1] for part in parts)
        parts = [widened(part, np.full(len(part), part.shape[1]), width) for part in parts]
    if isinstance(parts[0], Strings):
        builder = StringsBuilder(parts[0].shape[1:], request.name, request.allocate)
        for part in parts:
            builder.add_valid(part.data[part.offsets[0] : part.offsets[-1]], np.diff(part.offsets))
        return builder.finish()
    own = np.dtype(request.type.dtype)
    dtype = np.result_type(*parts)
    dtype = dtype if dtype.itemsize <= own.itemsize else own
    if request.allocate is None:
        return np.concatenate(parts, dtype=dtype, casting="unsafe")
    array = request.allocate(request.name, (sum(map(len, parts)), *parts[0].shape[1:]), dtype)
    return np.concatenate(parts, out=array, casting="unsafe")


def open_rows(source: DataSource, max_rows: int | None = None) -> base.Source:
    """Open a part's rows, at most ``max_rows``. Raises DataError: as :func:`open_source`; of queries GS512 or GS513."""
    if source.windows is not None:
        from graphspec.data.windows import WindowSource

        return WindowSource(plain_rows(source, None), source.windows, max_rows)
    table = plain_rows(source, max_rows)
    if not isinstance(table, Table | Files):
        return table
    folder = source.file.parent if isinstance(table, Table) and source.file is not None else source.beside
    return WithPictures(table, folder, [folder, source.beside, *source.allow])  # a run's spec is not beside its table


def plain_rows(source: DataSource, max_rows: int | None) -> base.Source:
    """Open the source of a part's rows as they are stored: no windows, and names of pictures instead of pictures."""
    if source.query is not None:
        from graphspec.data.queries import Query

        if source.file is not None:
            size_of(source.file)
        table = Query(source)
        table.max_rows = max_rows
        return table
    if source.file is not None:
        return open_source(source.file, max_rows, source=source)
    folder = of_source(source, max_rows)
    assert folder is not None, "a split has no rows"
    return folder


def files_of(source: DataSource) -> list[Path]:
    """Return the files of a part's rows; none for what cannot be read."""
    try:
        if source.query is not None:
            from graphspec.data.queries import prepared

            return prepared(source)[1].files
        if (file := source.file) is not None:
            return matching(file) if is_glob(file) else [file] if is_regular(file) else []
        folder = of_source(source)
    except base.DataError:
        return []
    return [] if folder is None else [folder.folder / path for path in folder.paths]


def open_source(path: Path, max_rows: int | None = None, *, source: DataSource | None = None) -> base.Source:
    """Open a data file; at most ``max_rows`` rows will be read.

    ``source``: the source of the file in a spec, which says how its text is read, and names it for people.

    Raises DataError: GS501 if the file does not exist or cannot be read, GS105 for an unknown file type, GS508 if it is
    empty.
    """
    if is_glob(path):
        return Files(path, partial(open_source, source=source), max_rows)
    suffix = suffix_of(path)
    if suffix not in DATA_SUFFIXES:
        if is_folder(path):
            named = None if source is None else source.tree.get("file")
            raise folder_error(path, path.name if named is None else str(named.value))
        if suffix in (*PICTURES, *TEXTS):
            size_of(path)  # a picture or a text that is not there, before what is said of one
        raise type_error(path)
    if size_of(path) == 0:
        raise base.DataError(Code.TOO_FEW_ROWS, "is empty", base.NO_ROWS)
    if suffix == ARCHIVE:
        from graphspec.data.archives import Npz

        return Npz(path, max_rows)
    table = open_table(path, TextForm() if source is None else source.form)
    table.max_rows = max_rows
    return table


def open_table(path: Path, form: TextForm = TextForm()) -> Table:  # noqa: B008 (it does not change)
    """Open a table by its suffix; one of text is read in this ``form``. Raises DataError: GS501, it cannot be read."""
    suffix = suffix_of(path)
    if suffix == ".parquet":
        return Parquet(path)
    read = Lines if suffix.startswith(".jsonl") else partial(Delimited, form=form)
    if form.encoding == "utf-8":
        return read(path)
    folder = Path(tempfile.mkdtemp(prefix="graphspec-"))  # the database and all else then read UTF-8
    try:
        copy = folder / path.name.removesuffix(".gz")
        with copy.open("w", encoding="utf-8", newline="") as file:
            file.writelines(decoded(path, form.encoding))
        table = read(copy)
    except BaseException:
        shutil.rmtree(folder)
        raise
    weakref.finalize(table, shutil.rmtree, folder, ignore_errors=True)
    return table


# How the text of a table is read of which no spec says it: its encoding, and the marks in its numbers.


def recognized(path: Path) -> tuple[base.Source, TextForm, dict[str, str]]:
    """Open a file; return it, how its text is read, and why by key. Raises DataError: it cannot be read."""
    form, why = TextForm(), dict[str, str]()
    of_text = not is_glob(path) and is_regular(path) and suffix_of(path).startswith((".csv", ".tsv", ".jsonl"))
    error = undecodable(path) if of_text else None
    if error is not None:
        often = (encoding for encoding in ("utf-16", "cp1252") if undecodable(path, encoding) is None)
        if (encoding := next(often, None)) is None:
            raise error
        form = TextForm(encoding=encoding)
        why["encoding"] = error.problem.message.removeprefix("cannot be read: ")
    table = open_table(path, form) if error is not None else open_source(path)
    if not isinstance(table, Delimited):
        return table, form, why
    marked, why_marked = _numbers(table, form)
    return (table if marked == form else open_table(path, marked)), marked, why | why_marked


def _numbers(table: Delimited, form: TextForm) -> tuple[TextForm, dict[str, str]]:
    """Return the form with the marks of the first rows: of all columns, or by column where they differ."""
    marks: dict[str, tuple[str, str | None]] = {}
    units: dict[str, None] = {}
    why: dict[str, str] = {}
    points = False
    for name, cells in table.first_cells():
        if (found := marks_of(cells, MOSTLY)) is None:
            continue
        for unit in sorted(found[1]):
            units[unit] = None
            why.setdefault("strip", _example(name, [cell for cell in cells if unit in cell]))
        if found[0] == (".", None):
            points |= any("." in cell for cell in cells)
            continue
        marks[name] = found[0]
        for key, mark in zip(("decimal", "thousands"), found[0], strict=True):
            if mark is not None and (key, mark) != ("decimal", "."):
                why.setdefault(key, _example(name, [cell for cell in cells if mark in cell.replace("\u202f", " ")]))
    decimals = {name: decimal for name, (decimal, _) in marks.items() if decimal != "."}
    thousands = {name: mark for name, (_, mark) in marks.items() if mark is not None}
    alike = len(set(marks.values())) == 1 and not (points and decimals)
    decimal, thousand = (next(iter(m.values()), None) if alike else m or None for m in (decimals, thousands))
    return replace(form, decimal=decimal or ".", thousands=thousand, strip=tuple(units)), why


def _example(name: str, cells: Sequence[str]) -> str:
    return f"as in '{cells[0].strip()}' of '{name}'" if cells else ""
