"""Read new rows from a file: inputs without targets, mapped as in a part of the spec's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.data.check import load, refused
from graphspec.data.files import open_source
from graphspec.data.signature import data_signature
from graphspec.data.source import DataError
from graphspec.errors import Mark
from graphspec.files import ARCHIVE, suffix_of
from graphspec.language.declarations import DataSource
from graphspec.language.tree import Tree

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Graph
    from graphspec.language.declarations import Spec


def read_inputs(spec: Spec, graph: Graph, file: Path, max_rows: int | None = None) -> dict[str, Array]:
    """Read the inputs of new rows, checked and converted like training data.

    Args:
        max_rows: the number of rows to read from the start; all by default.

    Raises:
        SpecError: all GS5 problems of the file.
        RunError: GS602 if there is too little memory to read it.
    """
    arrays, found = load(_source(spec, file), data_signature(spec, graph, targets=False), max_rows)
    if arrays is None:
        raise refused(found)
    chosen = arrays.chosen
    rows = {name: array if chosen is None else array[chosen] for name, array in arrays.inputs.items()}
    return {name: array.astype(graph.inputs[name].dtype, copy=False) for name, array in rows.items()}


def _source(spec: Spec, file: Path) -> DataSource:
    """Return ``file`` with the first mapping of the spec's parts whose columns it has; the last try is the inputs' names."""
    parts = [spec.data[part] for part in ("test", "train", "validation") if part in spec.data]
    try:
        known = set(open_source(file).names)
    except DataError:  # reported when it is read
        known = set()
    like = next((part for part in parts if _names(spec, part.inputs or {}) <= known), None)
    if like is None and parts and not _names(spec, {}) <= known:
        like = parts[0]
    own = DataSource(file, {}, None, None, None, Tree({}, Mark(str(file))))
    return (
        own
        if like is None
        else replace(own, inputs=dict(like.inputs or {}), windows=None if suffix_of(file) == ARCHIVE else like.windows)
    )


def _names(spec: Spec, mapping: Mapping[str, str | list[str]]) -> set[str]:
    names = (mapping.get(name, name) for name in spec.inputs)
    return {n for name in names for n in ([name] if isinstance(name, str) else name)}
