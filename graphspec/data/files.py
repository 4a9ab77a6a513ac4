"""Open a data file by the suffix of its name."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.files import ARCHIVE, DATA_SUFFIXES, is_folder, is_regular, suffix_of
from graphspec.data.compressed import decoded
from graphspec.data.database import Table
from graphspec.data.folders import WithPictures, of_source
from graphspec.data.globs import Files
from graphspec.data.paths import PICTURES, TEXTS, has_marks, matching
from graphspec.data.problems.unfit_files import folder_error, missing_error, type_error
from graphspec.data.source import _FILE_TYPES, NO_ROWS, DataError, Source
from graphspec.language.declarations import TextForm

if TYPE_CHECKING:
    from graphspec.language.declarations import DataSource


def open_rows(source: DataSource, max_rows: int | None = None) -> Source:
    """Open the source of a part's rows; at most ``max_rows`` rows will be read.

    Raises:
        DataError: see :func:`open_source`; GS512 or GS513 for a query.
    """
    if source.windows is not None:
        from graphspec.data.windows import WindowSource

        return WindowSource(plain_rows(source, None), source.windows, max_rows)
    table = plain_rows(source, max_rows)
    if not isinstance(table, Table | Files):
        return table
    folder = source.file.parent if isinstance(table, Table) and source.file is not None else source.beside
    return WithPictures(table, folder, [folder, source.beside, *source.allow])  # a run's spec is not beside its table


def plain_rows(source: DataSource, max_rows: int | None) -> Source:
    """Open the source of a part's rows as they are stored: no windows, and names of pictures instead of pictures."""
    if source.query is not None:
        from graphspec.data.queries import Query

        if source.file is not None:
            _size(source.file)
        table = Query(source)
        table.max_rows = max_rows
        return table
    if (folder := of_source(source, max_rows)) is not None:
        return folder
    assert source.file is not None, "a split has no rows"
    return open_source(source.file, max_rows, source=source)


def files_of(source: DataSource) -> list[Path]:
    """Return the files of a part's rows; none for what cannot be read."""
    try:
        if source.query is not None:
            from graphspec.data.queries import prepared

            return prepared(source)[1].files
        if source.file is not None:
            return matching(source.file) if is_glob(source.file) else [source.file] if is_regular(source.file) else []
        folder = of_source(source)
    except DataError:
        return []
    return [] if folder is None else [folder.folder / path for path in folder.paths]


def open_source(path: Path, max_rows: int | None = None, *, source: DataSource | None = None) -> Source:
    """Open a data file; at most ``max_rows`` rows will be read.

    Args:
        source: the source of the file in a spec, which says how its text is read, and names it for people.

    Raises:
        DataError: GS501 if the file does not exist or cannot be read, GS105 for an unknown file type, GS508 if it is empty.
    """
    if is_glob(path):
        return Files(path, partial(open_source, source=source), max_rows)
    suffix = suffix_of(path)
    if suffix not in DATA_SUFFIXES:
        if is_folder(path):
            raise folder_error(path, _named(path, source))
        if suffix in (*PICTURES, *TEXTS):
            _size(path)  # a picture or a text that is not there, before what is said of one
        raise type_error(path)
    if _size(path) == 0:
        raise DataError(Code.TOO_FEW_ROWS, "is empty", NO_ROWS)
    if suffix == ARCHIVE:
        from graphspec.data.archives import Npz

        return Npz(path, max_rows)

    table = open_table(path, TextForm() if source is None else source.form)
    table.max_rows = max_rows
    return table


def _named(path: Path, source: DataSource | None) -> str:
    """Return a file as the spec names it."""
    named = None if source is None else source.tree.get("file")
    return path.name if named is None else str(named.value)


def is_glob(path: Path) -> bool:
    """Return whether a name is a pattern (``visits/*.parquet``): it has ``*``, ``?`` or ``[``, and no file has this name."""
    return has_marks(path) and not is_regular(path)


def _size(path: Path) -> int:
    """Return the size of a regular file.

    Raises:
        DataError: GS501 if there is no such file, or it is not regular or not readable.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise missing_error(path) from None
    except OSError as error:
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {error.strerror or error}") from None
    except ValueError as error:  # an embedded null byte, half a character
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        what = next((what for test, what in _FILE_TYPES if test(found.st_mode)), "a device")
        raise DataError(Code.UNREADABLE_FILE, f"is {what}, not a regular file", "write the data to a file")
    if not os.access(path, os.R_OK):
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {os.strerror(13)}")
    return found.st_size


def open_table(path: Path, form: TextForm = TextForm()) -> Table:  # noqa: B008 (it does not change)
    """Open a table by the suffix of its name.

    Args:
        form: how a table of text is read.

    Raises:
        DataError: GS501 if it cannot be read.
    """
    from graphspec.data.delimited import Delimited
    from graphspec.data.typed import Lines, Parquet

    if suffix_of(path) == ".parquet":
        return Parquet(path)
    read = Lines if suffix_of(path).startswith(".jsonl") else partial(Delimited, form=form)
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
