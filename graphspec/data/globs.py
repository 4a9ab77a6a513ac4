"""Several files as one source: a pattern of names such as ``visits/*.parquet``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.arrays.strings import Strings, StringsBuilder
from graphspec.base.codes import Code
from graphspec.data.paths import has_marks, matching
from graphspec.data.problems.places import row_from_1
from graphspec.data.source import DataError, MemoryBudget, Problems, Request, Source, placed

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.data.database import Relation


class Files(Source):
    """The rows of several files with the same columns, one file after the other, in the order of their names."""

    def __init__(self, pattern: Path, open_source: Callable[[Path, int | None], Source], max_rows: int | None) -> None:
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
            name = min(missing or new)
            first = self.paths[0].relative_to(self._root)
            if missing:
                text = f"has no {self.item} '{name}', which '{first}' has"
            else:
                text = f"has {self.item} '{name}', which '{first}' does not have"
            raise DataError(Code.MISSING_ARRAY, text, f"all files that match need the same {self.item}s")

    @contextmanager
    def _naming(self, path: Path) -> Iterator[None]:
        """Add the file's name to the problems of a file."""
        try:
            yield
        except DataError as error:
            raise self._named(error, path) from error.__cause__

    def _named(self, error: DataError, path: Path) -> DataError:
        return error.changed(message=f"{error.problem.message} (in '{path.relative_to(self._root)}')")

    def place(self, row: int) -> str:
        """Return the words for a row: its place in its file, and the name of the file."""
        from graphspec.data.database import Table

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

    def relation(self) -> Relation:
        """Return the rows of all files as one relation.

        Raises:
            DataError: a file is no table, or cannot be read.
        """
        from graphspec.data.database import Table, Union

        tables = []
        for path, file in self.sources():
            if not isinstance(file, Table):
                raise DataError(Code.UNREADABLE_FILE, f"is no table: {path.name}", "look at one file at a time")
            tables.append(file)
        return Union(tables, [name for name in self.names if name not in self.ambiguous])

    def sources(self) -> Iterator[tuple[Path, Source]]:
        """Yield every file and its source, until there are enough rows."""
        yield self.paths[0], self._first
        for path in self.paths[1:]:
            with self._naming(path):
                source = self._open(path, self.max_rows)
            yield path, source

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Strings | Problems]:
        parts: dict[str, list[Any]] = {r.name: [] for r in requests}
        problems: dict[str, Problems] = {r.name: {} for r in requests}
        rows = 0
        for index, (path, source) in enumerate(self.sources()):
            waiting = [_of_part(r, index) for r in requests if not problems[r.name]]
            with self._naming(path):
                found = source.fill(waiting)
            rows += max((len(a) for a in found.values() if not isinstance(a, dict)), default=0)
            for request in waiting:
                try:
                    part = found[request.name]
                    if isinstance(part, dict):
                        problems[request.name] = {
                            k: self._named(placed(error, source.place), path) for k, error in part.items()
                        }
                        continue
                    before = parts[request.name]
                    if before and len(part) and isinstance(part, Strings) != isinstance(before[0], Strings):
                        text = "has texts in some files, and numbers in others"
                        raise DataError(Code.LOSSY_CONVERSION, text, "give the head its `labels`, or write all as text")
                    if before and len(part) and part.shape[1:] != before[0].shape[1:]:
                        text = f"has shape {part.shape[1:]} per row, the files before have {before[0].shape[1:]}"
                        raise DataError(Code.WRONG_ARRAY_SHAPE, text, "pad the rows to one length")
                except DataError as error:
                    problems[request.name] = {0: self._named(error, path)}
                    continue
                if len(part) or not before:
                    before[:] = [*(p for p in before if len(p)), part]
            if not any(not p for p in problems.values()) or (self.max_rows is not None and rows >= self.max_rows):
                break
        return {r.name: problems[r.name] or self._joined(parts.pop(r.name), r) for r in requests}

    def _joined(self, parts: list[Any], request: Request) -> Any:
        array = parts[0] if len(parts) == 1 else joined(parts, request)
        return array if self.max_rows is None else array[: self.max_rows]


def _of_part(request: Request, index: int) -> Request:
    """Return the request for one file, which is filled in a place of its own."""
    allocate = request.allocate
    if allocate is None:
        return request
    return replace(request, allocate=lambda name, shape, dtype: allocate(f"{name}:{index}", shape, dtype))


def joined(parts: list[Any], request: Request) -> Any:
    """Join the parts of an array in the narrowest dtype that holds all of them, but at most as wide as the graph's.

    Raises:
        DataError: GS602, the parts and the array together do not fit into memory.
    """
    if request.allocate is None:
        MemoryBudget().reserve(sum(part.nbytes for part in parts))
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
