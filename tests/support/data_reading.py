"""Data files that are written and read in tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.base.errors import Diagnostic, Mark
from graphspec.data.batches import Dataset
from graphspec.data.check import load
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type
from graphspec.language.declarations import DataSource
from graphspec.language.tree import Tree

TEXT, TEXTS, NUMBER, ID = (
    Type("string", ("N", 1)),
    Type("string", ("N", 2)),
    Type("float32", ("N", 1)),
    Type("int64", ("N", 1)),
)


def read(
    path: Path,
    inputs: Mapping[str, Type],
    targets: Mapping[str, Type] | None = None,
    *,
    mapped: dict[str, str | list[str]] | None = None,
    drop: bool = False,
    allocate: Any = None,
    **more: Any,
) -> tuple[Dataset | None, list[Diagnostic]]:
    """Return what :func:`load` returns for a file; ``more`` belongs to the signature."""
    source = DataSource(path, mapped, None, None, None, Tree({}, Mark("spec.yaml")), drop)
    return load(source, DataSignature(inputs, targets or {}, **more), allocate=allocate)


def good(path: Path, inputs: Mapping[str, Type], targets: Mapping[str, Type] | None = None, **more: Any) -> Dataset:
    """Return the rows of a file without problems."""
    data, found = read(path, inputs, targets, **more)
    assert found == []
    assert data is not None
    return data


def problem(
    path: Path, inputs: Mapping[str, Type], targets: Mapping[str, Type] | None = None, **more: Any
) -> Diagnostic:
    """Return the only problem of a file."""
    data, found = read(path, inputs, targets, **more)
    assert data is None
    assert len(found) == 1, found
    return found[0]


def lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet(path: Path, select: str) -> Path:
    """Write the rows of a query as Parquet."""
    import duckdb

    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path
