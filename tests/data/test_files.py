"""Checks of data files against types: every diagnostic with its position."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphspec.base.errors import Diagnostic
from graphspec.data.check import load
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type
from graphspec.language.declarations import DataSource
from graphspec.language.read import read

rng = np.random.default_rng(0)
FLOAT, IDS = Type("float32", ("N", 2)), Type("int64", ("N",))
WANTED = DataSignature({"x": FLOAT}, {"y": IDS}, classes={"y": 3})


def source(folder: Path, text: str) -> DataSource:
    """Return the source of ``data: {train: …}`` in a spec with these lines."""
    spec = folder / "spec.yaml"
    spec.write_text("data:\n  train:\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    tree = read(spec).find(("data", "train"))[0]
    assert tree is not None
    keys = tree.plain()
    return DataSource(folder / keys["file"], keys.get("inputs"), keys.get("targets"), None, None, tree)


def brief(found: list[Diagnostic]) -> list[tuple[str, int | None, int | None]]:
    return [(d.code, d.line, d.column) for d in found]


def test_npz_by_names_and_by_a_mapping(tmp_path: Path) -> None:
    x, y = rng.integers(0, 2, (5, 2)).astype(np.uint8), np.arange(5) % 3
    np.savez(tmp_path / "d.npz", x=x, y=y, words=x, label=y[:, None], y_sample_weight=np.ones(5), other=np.zeros(3))
    arrays, found = load(source(tmp_path, "file: d.npz"), WANTED)
    assert found == []
    assert arrays is not None
    assert arrays.inputs["x"].dtype == np.uint8
    assert arrays.weights["y"].tolist() == [1] * 5
    text = "file: d.npz\ninputs: {x: words}\ntargets: {y: label}"
    arrays, found = load(source(tmp_path, text), WANTED)
    assert found == []
    assert arrays is not None
    assert arrays.targets["y"].tolist() == y.tolist()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "semicolon"])
def test_tables(tmp_path: Path, kind: str) -> None:
    rows = [("a b", 1, 0.5, "no"), ("c", 2, 1.5, "yes"), ("d", 3, 2.0, "no")]
    names, path = ["text", "n [1]", 'v"', "answer"], tmp_path / f"d [x].{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    elif kind == "parquet":
        import duckdb

        values = ", ".join(str(row) for row in rows)
        columns = ", ".join('"' + n.replace('"', '""') + '"' for n in names)
        duckdb.sql(f"select * from (values {values}) t({columns})").write_parquet(str(path))
    else:
        separator = {"csv": ",", "tsv": "\t", "semicolon": ";"}[kind]
        path = path.with_suffix(".csv" if kind == "semicolon" else path.suffix)
        header = separator.join('"' + n.replace('"', '""') + '"' for n in names)
        path.write_text("\n".join([header, *(separator.join(map(str, row)) for row in rows)]))
    text = f"file: '{path.name}'\ninputs: {{x: ['n [1]', 'v\"']}}\ntargets: {{y: answer}}"
    wanted = DataSignature({"x": FLOAT}, {"y": IDS}, classes={"y": 2}, labels={"y": ["no", "yes"]})
    arrays, found = load(source(tmp_path, text), wanted)
    assert found == []
    assert arrays is not None
    assert arrays.inputs["x"].tolist() == [[1, 0.5], [2, 1.5], [3, 2]]
    assert arrays.inputs["x"].dtype == np.float32
    assert arrays.targets["y"].tolist() == [0, 1, 0]


def test_lists_of_a_table_are_rows(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"x": [1, 2], "y": 0}\n{"x": [3, 4], "y": 2}\n')
    arrays, found = load(source(tmp_path, "file: d.jsonl"), WANTED)
    assert found == []
    assert arrays is not None
    assert arrays.inputs["x"].tolist() == [[1, 2], [3, 4]]
    (tmp_path / "d.jsonl").write_text('{"x": [1, 2], "y": 0}\n{"x": [3], "y": 2}\n')
    assert brief(load(source(tmp_path, "file: d.jsonl"), WANTED)[1]) == [("GS503", 3, 11)]


def test_booleans_of_a_table_become_floats(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\ntrue,1\nFALSE,0\n")
    wanted = DataSignature({"x": Type("float32", ("N", 1))}, {"y": Type("float32", ("N", 1))})
    arrays, found = load(source(tmp_path, "file: d.csv"), wanted)
    assert found == []
    assert arrays is not None
    assert arrays.inputs["x"].tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("missing.npz", None, "GS501", "does not exist"),
        ("d.txt", b"1", "GS105", "unknown file type"),
        ("d.npz", b"", "GS508", "is empty"),
        ("d.npz", b"\x80\x04N.", "GS501", "cannot be read"),
        ("d.npz", b"PK\x03\x04broken", "GS501", "cannot be read"),
        ("d.csv", b"x,y\n1,2\n1,2,3\n", "GS501", "line 3 has 3 values"),
        ("d.csv", b"\x00\xff\xfe" * 50, "GS501", "cannot be read"),
        ("d.jsonl", b'{"x": 1}\n{"x": nope}\n', "GS501", "Malformed JSON"),
        ("d.parquet", b"PAR1 junk PAR1", "GS501", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, code: str, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    arrays, found = load(source(tmp_path, f"file: {name}"), WANTED)
    assert arrays is None
    assert brief(found) == [(code, 3, 11)]
    assert said in found[0].message
    assert name in found[0].message


def test_a_file_name_close_by_is_suggested(tmp_path: Path) -> None:
    np.savez(tmp_path / "newswires_train.npz", x=np.zeros(1))
    _, found = load(source(tmp_path, "file: newswire_train.npz"), WANTED)
    assert found[0].hint == "did you mean 'newswires_train.npz'?"


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(tmp_path / "d.npz", x=np.array([Bomb(), 1], object), y=np.zeros(2, np.int64))
    arrays, found = load(source(tmp_path, "file: d.npz"), WANTED)
    assert arrays is None
    assert brief(found) == [("GS504", 3, 11)]
    assert "pickles" in found[0].message
    assert not (tmp_path / "exploded").exists()


def test_every_problem_in_one_run_each_at_its_place(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", a=np.zeros((4, 3)), b=np.array([0, 5, 1, 2]), w=np.zeros(3))
    wanted = DataSignature({"x": FLOAT, "z": FLOAT}, {"y": IDS, "v": Type("float32", ("N", 1))}, classes={"y": 3})
    text = "file: d.npz\ninputs:\n  x: a\n  z: aa\ntargets:\n  y: b\n  v: w"
    arrays, found = load(source(tmp_path, text), wanted)
    assert arrays is None
    assert sorted(brief(found), key=lambda d: d[1] or 0) == [
        ("GS503", 5, 10),
        ("GS502", 6, 10),
        ("GS506", 8, 10),
    ]
    messages = {d.code: d.message for d in found}
    assert messages["GS503"].endswith("has shape (4, 3), not (N, 2): axis 1 has 3")
    assert "has classes outside 0 … 2 in 1 of 4 rows; first: 5 in the row at index 1" in messages["GS506"]
    assert {d.code: d.path for d in found}["GS506"] == "data.train.targets.y"


def test_a_missing_column_of_several_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("crim,zn,y\n1,2,0\n")
    text = "file: d.csv\ninputs: {x: [crim, znn]}"
    _, found = load(source(tmp_path, text), WANTED)
    assert brief(found) == [("GS502", 4, 24)]
    assert found[0].hint == "did you mean 'zn'?"


def test_missing_and_wrong_values_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,c,y\n1,1,x,0\n,NA,x,2\n3,3,x,1\n")
    wanted = DataSignature({n: Type("float32", ("N", 1)) for n in "abc"}, {"y": IDS}, classes={"y": 3})
    _, found = load(source(tmp_path, "file: d.csv"), wanted)
    where = f"of '{tmp_path / 'd.csv'}'"
    assert [(d.code, d.message) for d in found] == [
        (
            "GS505",
            f"2 columns {where} have no value in some of 3 rows: 'a' in 1 (first: line 3), 'b' in 1 (first: line 3)",
        ),
        ("GS504", f"column 'c' {where} contains text in 3 of 3 rows; first: 'x' in line 2"),
    ]


def test_rows_must_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.zeros(3, np.int64), y_sample_weight=np.ones(4))
    _, found = load(source(tmp_path, "file: d.npz"), WANTED)
    assert brief(found) == [("GS507", 3, 11)]
    assert "array 'y'" in found[0].message
    np.savez(tmp_path / "d.npz", x=np.zeros((0, 2)), y=np.zeros(0, np.int64))
    assert [d.code for d in load(source(tmp_path, "file: d.npz"), WANTED)[1]] == ["GS508"]
