"""How the text of a table is read: what is recognized without a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphspec.data.files import recognized
from graphspec.data.source import DataError
from graphspec.language.declarations import TextForm


@pytest.mark.parametrize(
    ("columns", "form"),
    [
        ({"a": ["3,5", "4"], "t": ["x", "y"]}, {"decimal": ","}),
        ({"a": ["1,234.5", "1"]}, {"thousands": ","}),
        ({"a": ["1,234", "1"]}, {"thousands": ","}),
        ({"a": ["0,125", "1"]}, {"decimal": ","}),
        ({"a": ["1.234,5", "2.500"]}, {"decimal": ",", "thousands": "."}),
        ({"a": ["1 234", "1\u00a0500,5"]}, {"decimal": ",", "thousands": " "}),
        ({"a": ["1'234.5"]}, {"thousands": "'"}),
        ({"a": ["12 %", "3%"], "b": ["€ 5", "1.5 €"]}, {"strip": ("%", "€")}),
        ({"a": ["3,5"], "b": ["1,234.5"]}, {"decimal": {"a": ","}, "thousands": {"b": ","}}),
        ({"a": ["3,5"], "b": ["1.5"]}, {"decimal": {"a": ","}}),
        ({"a": ["3.5", "1e5"], "d": ["01.02.2024", "2024-02-01"]}, {}),
        ({"a": ["3,5", "more", "some"]}, {}),
        ({"phone": ["030 123 456"], "ip": ["10.0.0.1"], "v": ["1.2.3"]}, {}),
    ],
)
def test_marks(tmp_path: Path, columns: dict[str, list[str]], form: dict[str, Any]) -> None:
    rows = zip(*[values + [""] * (3 - len(values)) for values in columns.values()], strict=True)
    text = "\n".join("\t".join(row) for row in [tuple(columns), *rows])
    (tmp_path / "t.tsv").write_text(text + "\n")
    _, found, why = recognized(tmp_path / "t.tsv")
    assert found == TextForm(**form)
    assert why.keys() == form.keys()


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_an_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("Ort,x\nKöln,1\n".encode(encoding))
    table, form, why = recognized(tmp_path / "t.csv")
    assert form.encoding == encoding
    assert list(table.names) == ["Ort", "x"]
    assert ("is not UTF-8" in why.get("encoding", "")) is (encoding != "utf-8")


def test_no_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a\n\x81\n")  # no letter of cp1252
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        recognized(tmp_path / "t.csv")
