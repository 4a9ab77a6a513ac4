"""Data sources as they stand in a spec, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphspec.base.errors import Diagnostic
from graphspec.data.batches import Dataset
from graphspec.data.check import load
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type
from graphspec.language.data_sources import parse_data
from graphspec.language.declarations import DataSource
from graphspec.language.read import read
from graphspec.language.tree import Problems

WANTED = DataSignature({"x": Type("float32", ("N", 2))}, {"y": Type("int64", ("N",))}, classes={"y": 3})


def written(folder: Path, text: str, part: str = "train", allow: Sequence[Path] = ()) -> DataSource:
    """Return the source of ``data: {<part>: …}`` in a spec with these lines; the first of them is line 3."""
    spec = folder / "spec.yaml"
    spec.write_text(f"data:\n  {part}:\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    problems = Problems()
    sources = parse_data(read(spec).find(("data",))[0], folder, [], [], problems)
    assert not problems.found, problems.found
    return sources[part]


def rows(source: DataSource, wanted: DataSignature = WANTED, max_rows: int | None = None) -> Dataset:
    """Return the rows of a source that has no problems."""
    arrays, found = load(source, wanted, max_rows)
    assert arrays is not None, found
    assert found == []
    return arrays


def diagnostics(source: DataSource, wanted: DataSignature = WANTED) -> list[Diagnostic]:
    """Return the problems of a source that is refused."""
    arrays, found = load(source, wanted)
    assert arrays is None
    return found
