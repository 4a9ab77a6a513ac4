"""Where a person finds a row: its line in a file, its file in a folder, its number in a table; and where a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.base.document import Inline, Span
from graphspec.base.text import shorten_middle
from graphspec.data.files import open_rows
from graphspec.data.labels import places_of
from graphspec.data.problems.places import row_from_1
from graphspec.data.source import DataError

if TYPE_CHECKING:
    from graphspec.language.declarations import DataSource, Spec


def source_of(spec: Spec, part: str) -> DataSource | None:
    """Return the source whose rows a part has: the training data, for a split; None if the spec has no such data."""
    source = spec.data.get(part)
    return spec.data.get("train") if source is not None and not source.has_rows else source


def places(spec: Spec, part: str) -> Callable[[int], str]:
    """Return the words for a row of a part's source, given by its index from 0: ``line 5``, ``'coat/7.png'``."""
    source = source_of(spec, part)
    if source is None:
        return row_from_1
    if source.windows is not None:
        try:
            return open_rows(source).place
        except DataError:
            return row_from_1
    return places_of(source)


def run_name(directory: Path | None) -> str:
    """Return a run directory as commands name it: relative to the current folder, if it is inside; RUN without one."""
    if directory is None:
        return "RUN"
    whole, here = directory.absolute(), Path.cwd()
    inside = whole.is_relative_to(here) and whole != here
    return (whole.relative_to(here) if inside else directory).as_posix()


def shown_part(part: str) -> str:
    """Return the word for a part of the data: ``training`` for ``train``, else its name."""
    return "training" if part == "train" else part


def file_name(path: Path) -> str:
    """Return a file by its name, and a folder with the one that it is in: many are called ``train``."""
    return "/".join(path.parts[-2:]) if path.is_dir() else path.name


def source_name(spec: Spec, part: str) -> Inline:
    """Return the name of a part's source: its file, folder or query."""
    source = source_of(spec, part)
    if source is None:
        return ""
    if source.query is not None:
        return Span(shorten_middle(" ".join(source.query.split()), 160), "code")
    names = [Span(file_name(path), "code") for path in source.paths]
    return tuple((", " if k else "", name) for k, name in enumerate(names))
