"""Folders of files as rows: pictures or texts, with the names of their subfolders as labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError
from graphspec.base.codes import Code
from graphspec.base.files import is_regular
from graphspec.data.filling import assemble
from graphspec.data.paths import MAX_FILES, PICTURES, TEXTS
from graphspec.data.pictures import BadFilesError, Decoded, decode
from graphspec.data.source import DataError, MemoryBudget, Problems, Request, Source, View

if TYPE_CHECKING:
    from graphspec.data.requirements import DataSignature
    from graphspec.language.declarations import DataSource

_MAX_TEXT = 1 << 24  # bytes


class Folder(Source):
    """The files of a folder and its subfolders, sorted by path; other types of files and hidden ones are left out.

    Without labels, ``folder`` may also be a single file.

    ``decoded`` has the pictures by input, once they are read.

    The columns are ``image`` or ``text``, ``path`` (relative to the folder, with ``/``) and, if ``labelled``, ``label``:
    the name of the subfolder of the folder.

    Raises:
        DataError: GS501, there is no such folder, or it has no such files; GS502, a file is in no subfolder; GS513, a link
            leads out of the folder.
    """

    def __init__(self, folder: Path, kind: str, *, labelled: bool, max_rows: int | None = None) -> None:
        self.folder, self.kind, self.max_rows = folder, kind, max_rows
        suffixes = PICTURES if kind == "image" else TEXTS
        if not labelled and folder.suffix.lower() in suffixes and is_regular(folder):
            self.folder, self.paths = folder.parent, [Path(folder.name)]
        else:
            self.paths = _files(folder, suffixes)
        self.names: Sequence[str] = [kind, *(["label"] if labelled else []), "path"]
        self.ambiguous: Mapping[str, str] = {}
        if labelled and (loose := [p for p in self.paths if len(p.parts) == 1]):
            text = f"has '{loose[0]}' beside its subfolders, whose names are the labels"
            raise DataError(Code.MISSING_ARRAY, text, "move it into the subfolder of its class")
        self.subfolders = all(len(path.parts) > 1 for path in self.paths)
        self.paths = self.paths[:max_rows]
        self.decoded: dict[str, Decoded] = {}

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Strings | Problems]:
        found: dict[str, Array | Strings | Problems] = {}
        for request in requests:
            name = request.columns[0]
            if name != self.kind or request.stacked:
                found[request.name] = assemble(request, [self.column(column) for column in request.columns])
            elif name == "image":
                names = [path.as_posix() for path in self.paths]
                self.decoded[request.name] = decode([self.folder / path for path in self.paths], names, request)
                found[request.name] = self.decoded[request.name].pixels
            else:
                found[request.name] = self._texts(request)
        return found

    def place(self, row: int) -> str:
        return f"'{self.paths[row].as_posix()}'"

    def column(self, name: str) -> Array:
        """Return labels or paths as objects."""
        if name == self.kind:
            raise DataError(Code.WRONG_ARRAY_SHAPE, f"has '{name}' among several columns", "feed it alone")
        return np.array([p.parts[0] if name == "label" else p.as_posix() for p in self.paths], object)

    def _texts(self, request: Request) -> Strings:
        """Return the text of every file."""
        if not request.type.is_string:
            hint = "declare the input with `dtype: string`"
            raise DataError(Code.LOSSY_CONVERSION, f"has texts for '{request.name}', which takes numbers", hint)
        budget = MemoryBudget()
        builder = StringsBuilder((), request.name, request.allocate, None if request.allocate else budget.reserve)
        bad: list[DataError] = []
        for path in self.paths:
            try:
                builder.add_texts([self.text(path)])
            except (OSError, UnicodeError, TextError) as error:
                said = (
                    "is not UTF-8"
                    if isinstance(error, UnicodeError | TextError)
                    else f"cannot be read: {error.strerror}"
                )
                bad.append(
                    DataError(Code.UNREADABLE_FILE, f"has '{path.as_posix()}', which {said}", "save it as UTF-8")
                )
            except DataError as error:
                if error.code == Code.NOT_ENOUGH_MEMORY:
                    raise
                bad.append(error)
        if bad:
            raise BadFilesError(bad)
        return builder.finish()

    def text(self, path: Path) -> str:
        """Return the text of a file, by its path in the folder.

        Raises:
            DataError: GS501, it is too long.
            OSError, UnicodeError: it cannot be read.
        """
        with (self.folder / path).open("rb") as file:
            data = file.read(_MAX_TEXT + 1)
        if len(data) > _MAX_TEXT:
            text = f"has '{path.as_posix()}' of more than {_MAX_TEXT >> 20} MiB"
            raise DataError(Code.UNREADABLE_FILE, text, "divide it into several texts")
        return data.decode("utf-8-sig")


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files with these suffixes, relative to the folder, sorted by their names."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(Code.UNREADABLE_FILE, what, "folders are named relative to the spec")
    real, found, bad = _real(folder), list[Path](), list[DataError]()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *(n for n in names if not n.startswith(".") and n.lower().endswith(tuple(suffixes)))):
            path = Path(place, name)
            relative = path.relative_to(folder)
            if path.is_symlink() and not (path.is_file() and _real(path).is_relative_to(real)):
                bad.append(_bad_link(path, relative.as_posix()))
            elif path.is_file():
                found.append(relative)
        if len(found) > MAX_FILES * 100:
            raise DataError(Code.UNREADABLE_FILE, f"has more than {MAX_FILES * 100:,} files", "divide the folder")
    if bad:
        raise BadFilesError(bad)
    if not found:
        raise DataError(Code.TOO_FEW_ROWS, f"has no files that end in {', '.join(suffixes)}", "name another folder")
    return sorted(found, key=lambda path: path.parts)


def _real(path: Path) -> Path:
    """Return the path behind all links; ``Path.resolve`` of Python 3.12 and before fails for a link to itself."""
    return Path(os.path.realpath(path))


def _bad_link(path: Path, name: str) -> DataError:
    if path.is_file():
        what = "a link that leads out of it"
        return DataError(Code.OUTSIDE_FOLDER, f"has '{name}', {what}", "copy the file into the folder")
    what = "a link to a folder, which is not followed" if path.is_dir() else "a link that leads nowhere"
    return DataError(Code.UNREADABLE_FILE, f"has '{name}', {what}", "remove it, or copy there what it should lead to")


def of_source(source: DataSource, max_rows: int | None = None) -> Folder | None:
    """Open the folder of a source; None if it has none."""
    if source.images is not None:
        return Folder(source.images, "image", labelled=source.labelled, max_rows=max_rows)
    if source.texts is not None:
        return Folder(source.texts, "text", labelled=source.labelled, max_rows=max_rows)
    return None


def with_columns(source: DataSource, table: Source, signature: DataSignature) -> DataSource:
    """Return a source whose only input of pictures or texts, and only head, read the columns of a folder."""
    if not isinstance(table, Folder):
        return source
    text = table.kind == "text"
    fitting = [n for n, t in signature.inputs.items() if (t.is_string if text else len(t.shape) == 4)]
    inputs, targets = source.inputs or {}, source.targets or {}
    if len(fitting) == 1:
        inputs = {fitting[0]: table.kind, **inputs}
    if len(signature.targets) == 1:
        targets = {next(iter(signature.targets)): "label", **targets}
    return replace(source, inputs=inputs, targets=targets)


class WithPictures(View):
    """A table in which a column of text names the files of an input of pictures; ``decoded`` has them, once they are read.

    Args:
        folder: the folder to which the names are relative: that of the table, or for a query that of the spec.
        roots: the folders in or below which the files may be.
    """

    def __init__(self, table: Source, folder: Path, roots: Sequence[Path]) -> None:
        super().__init__(table, table.max_rows)
        self._folder, self._roots = folder, roots
        self.decoded: dict[str, Decoded] = {}

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Strings | Problems]:
        from graphspec.data.series.instants import column, is_text

        pictures = [
            r
            for r in requests
            if r.is_input and not r.stacked and len(r.type.shape) == 4 and is_text(self.table, r.columns[0])
        ]
        found = self.table.fill([r for r in requests if r not in pictures])
        for request in pictures:
            names = column(self.table, request.columns[0])[: self.max_rows].tolist()
            decoded = decode(self._paths(names), [name or "" for name in names], request)
            self.decoded[request.name], found[request.name] = decoded, decoded.pixels
        return found

    def _paths(self, names: Sequence[str | None]) -> list[Path]:
        paths, bad = [], list[DataError]()
        roots = [_real(root) for root in self._roots]
        for row, name in enumerate(names):
            if not name or "\0" in name:
                bad.append(
                    DataError(Code.MISSING_VALUE, f"has no name of a picture in {self.place(row)}", "remove the row")
                )
                continue
            path = _real(self._folder / name)
            if not any(path.is_relative_to(root) for root in roots):
                text = f"has '{name}' in {self.place(row)}, which is neither beside nor below the table or the spec"
                bad.append(DataError(Code.OUTSIDE_FOLDER, text, "move it, or allow its folder with `--allow DIR`"))
            paths.append(path)
        if bad:
            raise BadFilesError(bad)
        return paths


def sizes_of_pictures(table: Source) -> dict[str, tuple[int, Array]]:
    """Return, by input, the axis on which its pictures have several sizes, and each one's size there, once it is filled."""
    decoded = table.decoded if isinstance(table, Folder | WithPictures) else {}
    return {n: (d.axis, d.sizes) for n, d in decoded.items() if d.axis is not None and d.sizes is not None}
