"""Read new rows from a file or a stream of JSON: inputs without targets, mapped as in a part of the spec's data."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from graphspec.base.arrays.memory import human
from graphspec.base.errors import Code, Diagnostic, Mark, Problem, SpecError, UsageError, did_you_mean
from graphspec.base.files import ARCHIVE, is_regular, suffix_of
from graphspec.data.batches import Dataset
from graphspec.data.check import columns_of, load, load_from, refused
from graphspec.data.convert import as_array, assemble, padded
from graphspec.data.database import Table
from graphspec.data.files import open_source
from graphspec.data.folders import Folder, of_source
from graphspec.data.paths import PICTURES, TEXTS, unmapped
from graphspec.data.series import Series
from graphspec.data.signature import data_signature
from graphspec.data.source import (
    NO_ROWS,
    DataError,
    DataSignature,
    Filled,
    Request,
    Source,
    placed,
    unreadable,
    wrong_shape,
)
from graphspec.data.text_files import undecodable
from graphspec.graph.ir.graph import Array, Graph
from graphspec.language.declarations import STEPS, Columns, DataSource, Spec, Windows
from graphspec.language.tree import Tree

# Records that arrive one by one, as JSON Lines: read in batches, so the whole need not fit into memory.
MAX_LINE = 1 << 24  # bytes
_BATCH_BYTES = 1 << 24  # of lines that are parsed together
_READ_BYTES = 1 << 16
_SHOWN = 20  # keys in a message


@dataclass(frozen=True)
class Records:
    """Consecutive records."""

    rows: Sequence[Mapping[str, Any]]  # the objects
    lines: Sequence[int]  # the number of each one's line, from 1
    first: int  # the index of the first one; blank lines do not count
    item: str = "line"  # what the numbers count, ``line`` or ``row``


class Stream(Protocol):
    """A buffered binary stream, such as standard input."""

    def read1(self, size: int, /) -> bytes:
        """Wait for bytes, and return those that are there."""

    def fileno(self) -> int:
        """Return its descriptor; raise OSError if it has none."""


def read_records(stream: Stream, size: int) -> Iterator[Records]:
    """Yield at most ``size`` records at a time, fewer if their lines are long, or if no more have arrived yet.

    Blank lines are skipped. Raises DataError: GS501 for a line that is not a JSON object, or too long.
    """
    rows: list[Mapping[str, Any]] = []
    lines: list[int] = []
    first = number = nbytes = 0
    for text in _lines(stream):
        if text is not None:
            number += 1
            if not text.strip():
                continue
            row = _parsed(text, is_first=number == 1)
            if not isinstance(row, dict):
                raise unreadable(f"cannot be read: line {number} is not a JSON object", "each line is one JSON object")
            rows.append(row)
            lines.append(number)
            nbytes += len(text)
        if rows and (text is None or len(rows) == size or nbytes >= _BATCH_BYTES):
            yield Records(rows, lines, first)
            rows, lines, first, nbytes = [], [], first + len(rows), 0
    if rows:
        yield Records(rows, lines, first)


def read_document(path: Path) -> Records:
    """Return the rows of a JSON file, one object or a list of objects. Raises DataError (GS501) for anything else."""
    try:
        found = _parsed(path.read_bytes(), is_first=True)
    except OSError as error:
        raise unreadable(f"cannot be opened: {error.strerror or error}") from None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        hint = "a JSON file of rows is one object, or a list of objects; a file of one object per line ends in .jsonl"
        raise unreadable("cannot be read: it has no rows in JSON", hint)
    return Records(rows, range(1, len(rows) + 1), 0, "row")


def _parsed(text: bytes, *, is_first: bool) -> Any:
    """Return a value in JSON; None for what is none. The first text may begin with a byte-order mark."""
    try:
        return json.loads(text.removeprefix(b"\xef\xbb\xbf") if is_first else text)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of thousands of digits, brackets without end
        return None


def _lines(stream: Stream) -> Iterator[bytes | None]:
    """Yield the lines of a stream; None where the next read would wait."""
    import select

    parts: list[bytes] = []
    number, length = 1, 0
    while True:
        with suppress(OSError, ValueError):  # a stream in memory, a pipe on Windows: nobody can tell
            if not select.select([stream.fileno()], [], [], 0)[0]:
                yield None
        if not (block := stream.read1(_READ_BYTES)):
            break
        *complete, rest = block.split(b"\n")
        for line in complete:
            yield _whole([*parts, line], number)
            parts, number, length = [], number + 1, 0
        parts.append(rest)
        length += len(rest)
        if length > MAX_LINE:
            _whole(parts, number)
    if length:
        yield _whole(parts, number)


def _whole(parts: Sequence[bytes], number: int) -> bytes:
    if sum(map(len, parts)) > MAX_LINE:
        said = f"cannot be read: line {number} has more than {human(MAX_LINE)}"
        raise unreadable(said, "store long texts and lists in a file")
    return b"".join(parts)


class RecordSource(Source):
    """Records as an opened data file (:class:`graphspec.data.source.Source`).

    A key that a record lacks is an error unless values of the request may be missing; null stands for a missing value. Other
    keys are ignored.

    ``columns``: the keys that will be requested, also if no record has them.
    """

    item = "key"
    is_stream = True

    def __init__(self, records: Records, columns: Iterable[str]) -> None:
        self._records = records
        self.names: Sequence[str] = list(dict.fromkeys([*columns, *chain.from_iterable(records.rows)]))

    def fill(self, requests: Sequence[Request]) -> Filled:
        found = {r.name: assemble(r, [self._column(c, r) for c in r.columns]) for r in requests}
        for name, problems in found.items():
            if isinstance(problems, dict):
                found[name] = {k: placed(error, self.place) for k, error in problems.items()}
        return found

    def place(self, row: int) -> str:
        return f"{self._records.item} {self._records.lines[row]:,}"

    def cells(self, column: str, *, raw: bool) -> Iterator[tuple[int, Array]]:
        yield 0, _objects([row.get(column) for row in self._records.rows])

    def _column(self, key: str, request: Request) -> Array | DataError:
        values, item = [], self._records.item
        for row, line in zip(self._records.rows, self._records.lines, strict=True):
            if key not in row and not request.gaps:
                keys = list(row)
                hint = did_you_mean(key, keys) or f"{item} {line} has {', '.join(keys[:_SHOWN]) or 'no keys'}"
                return DataError(Code.MISSING_ARRAY, f"is missing in {item} {line}", f"{hint}; null is a missing value")
            values.append(row.get(key))
        try:
            if request.lists:
                values = padded(values)
            if not request.type.is_string:
                return as_array(values)
            array = np.array(values, dtype=object) if len(values) else np.empty(0, object)
            if array.ndim == 1 and any(isinstance(value, list) for value in values):
                raise wrong_shape("has lists of different lengths", "fill shorter ones up with null")
            return array
        except DataError as error:
            are_lists = [isinstance(value, list) for value in values]
            if len(set(are_lists)) < 2:
                return error
            first, other = self.place(are_lists.index(True)), self.place(are_lists.index(False))
            text = f"has a list in {first}, and a single value in {other}"
            return wrong_shape(text, f"write a list in every {item}, or in none")


STREAM = "<stdin>"  # the name of a stream in messages


@dataclass(frozen=True)
class NewRows:
    """Some new rows."""

    inputs: dict[str, Array]  # arrays by input; texts are an object array, or a packed column of a file
    kept: dict[str, Array]  # other columns of the same rows by name, as they were in the input
    steps: dict[str, Array] = field(default_factory=dict)  # of rows, int64, by CTC head, if pictures determine them
    ends: Ends | None = None  # when the pasts of windows over series end; None for other rows
    warnings: Sequence[Diagnostic] = ()  # what is told of the rows


@dataclass(frozen=True)
class Ends:
    """The last steps of the pasts of windows, from which forecasts begin."""

    series: Series  # the series of the windows; ``at``, the last step of each past, ``(n,)``
    at: Array
    windows: Windows  # what the spec says of them

    @property
    def without(self) -> list[str]:
        """The names of the series that are too short for a window."""
        present = set(self.series.groups[self.at].tolist())
        return [name for k, name in enumerate(self.series.names) if k not in present]

    def columns(self, *, ahead: bool) -> dict[str, Array]:
        """Return the time and the group of each window, or with ``ahead``, of each step of its future."""
        series, windows = self.series, self.windows
        found: dict[str, Array] = {}
        steps = range(1, windows.horizon + 1) if ahead else range(1)
        timed = series.clock is not None and (series.every is not None or not ahead)
        if timed or ahead:
            named = windows.order if timed and windows.order else "step"
            times = [series.time_after(k, h) if h else series.time_of(k) for k in self.at for h in steps]
            found[named] = _objects(times)
        if windows.group is not None:
            found[windows.group] = _objects([series.group_of(k) for k in self.at for _ in steps])
        return found


def read_inputs(spec: Spec, graph: Graph, file: Path, max_rows: int | None = None) -> dict[str, Array]:
    """Read the inputs of new rows, checked and converted like training data; of ``max_rows`` rows from the start.

    Raises SpecError: all GS5 problems of the file. Raises RunError: GS602 if there is too little memory to read it.
    """
    return read_rows(spec, graph, file, max_rows=max_rows).inputs


def _document(spec: Spec, graph: Graph, file: Path, keep: Sequence[str] = ()) -> NewRows:
    signature = data_signature(spec, graph, targets=False)
    try:
        records = read_document(file)
        return _of_records(records, _source_of(spec, signature, file, set(records.rows[0])), signature, graph, keep)
    except DataError as error:
        raise _error_of(file, error.problem) from None


def _loaded(
    source: DataSource, signature: DataSignature, max_rows: int | None = None
) -> tuple[Dataset, list[Diagnostic]]:
    arrays, found = load(source, signature, max_rows)
    if arrays is None:
        raise refused(found)
    return arrays, found


def read_rows(
    spec: Spec, graph: Graph, file: Path, keep: Sequence[str] = (), *, last: bool = False, max_rows: int | None = None
) -> NewRows:
    """Read the inputs of new rows, or of ``max_rows`` from the start, and the columns to ``keep`` from a file.

    ``last``: take only the last window of each series. Raises SpecError: all GS5 problems of the file. Raises RunError:
    GS602 if there is too little memory to read it. Raises UsageError: columns are to be kept, but the file is no table;
    the last windows are wanted of other rows.
    """
    if suffix_of(file) == ".json" and is_regular(file) and not last:
        found = _document(spec, graph, file, keep)
        return replace(found, inputs={name: array[:max_rows] for name, array in found.inputs.items()})
    signature = data_signature(spec, graph, targets=False)
    source = _source(spec, signature, file)
    if last:
        if source.windows is None:
            raise UsageError("--last needs the windows of a series: a table, and a spec whose data have `windows`")
        source = replace(source, windows=replace(source.windows, last=True))
    return _rows(source, signature, graph, keep, max_rows)


def rows_at_end(spec: Spec, graph: Graph, source: DataSource) -> NewRows:
    """Read the last window of each series, whose future is not there. Raises SpecError, RunError: as :func:`read_rows`."""
    assert source.windows is not None
    last = replace(source, windows=replace(source.windows, last=True))
    return _rows(last, data_signature(spec, graph, targets=False), graph)


def _rows(
    source: DataSource, signature: DataSignature, graph: Graph, keep: Sequence[str] = (), max_rows: int | None = None
) -> NewRows:
    arrays, warnings = _loaded(source, signature, max_rows)
    try:
        kept = _columns(source, keep) if keep else {}
    except DataError as error:
        raise _error_of(next(iter(source.paths)), error.problem) from None
    ends = None
    if arrays.times is not None and source.windows is not None:
        starts = np.arange(len(arrays)) if arrays.chosen is None else arrays.chosen
        ends = Ends(arrays.times.series, starts + arrays.times.past - 1, source.windows)
    return NewRows(_fed(arrays, graph), kept, _steps(arrays), ends, warnings)


def stream_rows(spec: Spec, graph: Graph, stream: Stream, size: int, keep: Sequence[str] = ()) -> Iterator[NewRows]:
    """Yield at most ``size`` new rows at a time from a stream of JSON Lines, one object per line.

    A key that a record lacks is an error, except for an input in which values may be missing; null is a missing value.

    Raises SpecError: all GS5 problems of the next rows; GS508 if there are no rows at all.
    """
    signature = data_signature(spec, graph, targets=False)
    source: DataSource | None = None
    try:
        for records in read_records(stream, size):
            source = source or _source_of(spec, signature, Path(STREAM), set(records.rows[0]))
            yield _of_records(records, source, signature, graph, keep)
        if source is None:
            raise DataError(Code.TOO_FEW_ROWS, "has no rows", NO_ROWS)
    except DataError as error:
        raise _error_of(None, error.problem) from None


def _error_of(file: Path | None, problem: Problem) -> SpecError:
    subject, place = (STREAM, STREAM) if file is None else (f"data file '{file}'", str(file))
    return SpecError([Diagnostic.of(subject, problem, Mark(place))])


def _of_records(
    records: Records, source: DataSource, signature: DataSignature, graph: Graph, keep: Sequence[str]
) -> NewRows:
    names = set().union(*records.rows)
    columns = [c for n in signature.inputs for c in _columns_of(n, source.inputs or {}, signature, names)]
    arrays, found = load_from(RecordSource(records, columns), source, signature)
    if arrays is None:
        raise refused(found)
    kept = {}
    for key in keep:
        for row, line in zip(records.rows, records.lines, strict=True):
            if key not in row:
                text = f"has no key '{key}' in {records.item} {line}"
                raise DataError(Code.MISSING_ARRAY, text, did_you_mean(key, list(row)))
        kept[key] = _objects([row[key] for row in records.rows])
    inputs = {n: a if isinstance(a, np.ndarray) else a[:] for n, a in _fed(arrays, graph).items()}
    place = next(iter(source.paths), Path(STREAM))
    return NewRows(inputs, kept, _steps(arrays), warnings=_misspelt(records, [*columns, *keep], place))


def _misspelt(records: Records, read: Sequence[str], place: Path) -> list[Diagnostic]:
    """Return a warning for each key that a record may mean by another one, and that is read as a missing value."""
    found: dict[str, Diagnostic] = {}
    forms = {tuple(row): line for row, line in zip(reversed(records.rows), reversed(records.lines), strict=True)}
    for keys, line in forms.items():
        spare = [key for key in keys if key not in read]
        for name in read if spare else ():
            if name not in keys and (meant := did_you_mean(name, spare)):
                text = f"is missing in {records.item} {line}"
                problem = Problem(Code.MISSING_ARRAY, text, f"{meant} write null for a missing value")
                found[meant] = Diagnostic.of(f"key '{name}' of '{place}'", problem, Mark(str(place))).as_warning()
    return list(found.values())


def _steps(arrays: Dataset) -> dict[str, Array]:
    return {name.removesuffix(STEPS): a for name, a in arrays.lengths.items() if name.endswith(STEPS)}


def _fed(arrays: Dataset, graph: Graph) -> dict[str, Array]:
    """Return the inputs in the graph's dtypes; texts stay as they are."""
    types = {name: value.type for name, value in graph.inputs.items()}
    chosen = arrays.chosen
    rows = arrays.inputs if chosen is None else {name: a[chosen] for name, a in arrays.inputs.items()}
    return {n: a if types[n].is_string else a.astype(types[n].dtype, copy=False) for n, a in rows.items()}


def _objects(values: Sequence[Any]) -> Array:
    """Return any values as a vector of objects; NumPy would make lists into axes."""
    return np.fromiter(values, object, len(values))


def _columns(source: DataSource, names: Sequence[str]) -> dict[str, Array]:
    """Return columns of a table as objects: texts, numbers, None."""
    if source.windows is not None:
        raise UsageError("columns of a series cannot be kept: a row of the answer is a window")
    file = next(iter(source.paths))
    table = of_source(source) or open_source(file, source=source)
    if isinstance(table, Folder) and set(names) <= {"path", "label"} & set(table.names):
        return {name: table.column(name) for name in names}
    if not isinstance(table, Table):
        raise UsageError(f"{file} is not a table: only columns of tables can be kept")
    for name in names:
        if name in table.ambiguous or name not in table.columns:
            text = table.ambiguous.get(name, f"has no column '{name}' to keep")
            hint = "give each a unique name" if name in table.ambiguous else did_you_mean(name, table.names)
            raise DataError(Code.MISSING_ARRAY, text, hint)
    with table.reading():
        rows = table.query(", ".join(table.as_written(name) for name in names))
    return {name: _objects([row[k] for row in rows]) for k, name in enumerate(names)}


def _source(spec: Spec, signature: DataSignature, file: Path) -> DataSource:
    texts = any(source.texts is not None for source in spec.data.values())
    suffix = file.suffix.lower() if is_regular(file) else ""
    if file.is_dir() or suffix in PICTURES or (texts and suffix in TEXTS):
        source = DataSource(None, None, None, None, None, Tree({}, Mark(str(file))))
        return source.at(file, texts=texts and suffix not in PICTURES)
    try:
        known = set(open_source(file, source=_as_text(spec, file)).names)
    except DataError:  # reported when it is read
        known = set()
    return _source_of(spec, signature, file, known)


def _as_text(spec: Spec, file: Path) -> DataSource:
    """Return a source that reads the text of a file as the spec's parts do, the first one that says how."""
    own = unmapped(file)
    form = next((p.form for p in _parts(spec) if p.form != own.form), own.form)
    if form.encoding != "utf-8" and is_regular(file) and undecodable(file) is None:  # an app writes UTF-8
        form = replace(form, encoding="utf-8")
    return replace(own, form=form)


def _source_of(spec: Spec, signature: DataSignature, file: Path, columns: Collection[str]) -> DataSource:
    """Return ``file`` with the first mapping of the spec's parts that finds its columns, at last without a mapping.

    An input in which values may be missing need not be there.
    """
    needed = [name for name in signature.inputs if name not in signature.gaps]
    own, is_archive = _as_text(spec, file), suffix_of(file) == ARCHIVE  # an archive has whole windows
    tried = [replace(own, inputs=dict(p.inputs or {}), windows=None if is_archive else p.windows) for p in _parts(spec)]
    for source in (*tried, own):
        if all(set(_columns_of(n, source.inputs or {}, signature, columns)) <= set(columns) for n in needed):
            return source
    return (*tried, own)[0]


def _parts(spec: Spec) -> list[DataSource]:
    """Return the parts of a spec's data, the one first whose rows are most like new ones."""
    return [spec.data[part] for part in ("test", "train", "validation") if part in spec.data]


def _columns_of(
    name: str, mapping: Mapping[str, Columns], signature: DataSignature, names: Collection[str]
) -> list[str]:
    columns = columns_of(name, mapping, signature, names)
    return [columns] if isinstance(columns, str) else columns
