"""Diagnostics of data stand where the spec names the column, else at the file."""

from __future__ import annotations

from pathlib import Path

from data.sources import diagnostics, written

from graphspec.base.errors import Mark
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type


def test_positions(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,0\n,7\n")
    wanted = DataSignature(
        {n: Type("float32", ("N", 1)) for n in ("a", "b", "c", "d")}, {"y": Type("int64", ("N",))}, classes={"y": 3}
    )
    source = written(tmp_path, "file: t.csv\ninputs: {b: bb, d: x}")
    found = diagnostics(source, wanted)
    assert [(d.code, d.line, d.path) for d in found] == [
        ("GS502", 4, "data.train.inputs.b"),
        ("GS502", 3, "data.train.file"),
        ("GS502", 4, "data.train.inputs.d"),
        ("GS506", 3, "data.train.file"),
        ("GS505", 3, "data.train.file"),
    ]
    assert found[3].message.endswith("has classes outside 0 … 2 in 1 of 2 rows; first: 7 in line 3")


def test_a_misspelt_column_of_a_record_is_at_its_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("height,y\n1,0\n")
    at = {"heigth": (Mark("t.yaml", 9, 7), "inputs.row.columns.heigth"), "age": (Mark("t.yaml", 10, 7), "")}
    wanted = DataSignature({n: Type("float32", ("N", 1)) for n in at}, {"y": Type("int64", ("N",))}, records=at)
    found = diagnostics(written(tmp_path, "file: t.csv"), wanted)
    assert [(d.hint, d.line) for d in found] == [("did you mean 'height'?", 9), ("it has height, y", 3)]
    found = diagnostics(written(tmp_path, "file: t.csv\ninputs: {heigth: heihgt, age: height}"), wanted)
    assert [(d.hint, d.line) for d in found] == [("did you mean 'height'?", 4)]  # here the name is in `inputs`


def test_no_column_that_a_network_reads_is_a_misspelt_other(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("bill_length,island\n1,2\n")
    wanted = DataSignature({n: Type("float32", ("N", 1)) for n in ("bill_length", "bill_depth", "iland")})
    found = diagnostics(written(tmp_path, "file: t.csv"), wanted)
    assert [d.hint for d in found] == ["did you mean 'island'?", "it has bill_length, island"]
