"""Several files as one source, and compressed files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from data.sources import diagnostics, rows, written
from support.data_reading import NUMBER, TEXT, good, problem

from graphspec.base.arrays.memory import InFiles
from graphspec.data import files, paths
from graphspec.graph.ir.graph import Type

IDS = Type("int64", ("N",))


def table(path: Path, *lines: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("a,b,y\n" + "\n".join(lines) + "\n")


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    table(tmp_path / "visits" / "b.csv", "3,4,1")
    table(tmp_path / "visits" / "a.csv", "1,2,0", "5,6,2")
    (tmp_path / "visits" / "c.csv").write_text("y,b,a\n2,8,7\n")
    (tmp_path / "visits" / "other.tsv").write_text("q\n2\n")
    arrays = rows(written(tmp_path, "file: visits/*.csv\ninputs: {x: [a, b]}"))
    assert arrays.inputs["x"].tolist() == [[1, 2], [5, 6], [3, 4], [7, 8]]
    assert arrays.targets["y"].tolist() == [0, 2, 1, 2]
    few = rows(written(tmp_path, "file: visits/*.csv\ninputs: {x: [a, b]}"), max_rows=3)
    assert few.targets["y"].tolist() == [0, 2, 1]


def test_archives_and_folders_of_any_depth(tmp_path: Path) -> None:
    for k, name in enumerate(("1/2/p.npz", "1/q.npz")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=np.full((2, 2), k, np.uint8), y=np.array([k, k]))
    arrays = rows(written(tmp_path, "file: '**/*.npz'"))
    assert arrays.inputs["x"].dtype == np.uint8
    assert arrays.targets["y"].tolist() == [0, 0, 1, 1]


def test_values_of_different_width_are_joined_without_loss(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((1, 2), 200, np.uint8), y=np.array([0], np.int8))
    np.savez(tmp_path / "b.npz", x=np.full((1, 2), 0.5, np.float32), y=np.array([1], np.int64))
    np.savez(tmp_path / "c.npz", x=np.full((1, 2), -70_000, np.int32), y=np.array([2], np.uint8))
    arrays = rows(written(tmp_path, "file: '?.npz'"))
    assert arrays.inputs["x"][:, 0].tolist() == [200, 0.5, -70_000]
    assert arrays.inputs["x"].dtype == np.float32
    assert arrays.targets["y"].tolist() == [0, 1, 2]


def test_a_file_with_the_marks_of_a_pattern_in_its_name_is_itself(tmp_path: Path) -> None:
    table(tmp_path / "d [1].csv", "1,2,0")
    table(tmp_path / "d 1.csv", "7,7,2")
    assert rows(written(tmp_path, "file: 'd [1].csv'\ninputs: {x: [a, b]}")).targets["y"].tolist() == [0]


def test_problems_name_the_file(tmp_path: Path) -> None:
    table(tmp_path / "visits" / "a.csv", "1,2,0")
    table(tmp_path / "visits" / "b.csv", "1,2,0", "4,much,1")
    source = written(tmp_path, "file: visits/*.csv\ninputs: {x: [a, b]}")
    [found] = diagnostics(source)
    assert (found.code, found.line, found.column) == ("GS504", 4, 21)
    assert "first: 'much' in line 3 of 'b.csv'" in found.message
    (tmp_path / "visits" / "b.csv").write_text("a,c,y\n1,2,0\n")
    [found] = diagnostics(source)
    assert found.code == "GS502"
    assert "has no column 'b', which 'a.csv' has (in 'b.csv')" in found.message
    (tmp_path / "visits" / "b.csv").write_text("a,b,y,z\n1,2,0,1\n")
    [found] = diagnostics(source)
    assert "has column 'z', which 'a.csv' does not have (in 'b.csv')" in found.message
    (tmp_path / "visits" / "b.csv").write_text("")
    [found] = diagnostics(source)
    assert (found.code, "is empty (in 'b.csv')" in found.message) == ("GS508", True)


def test_lists_of_another_length_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": [1, 2], "y": 0}\n')
    (tmp_path / "b.jsonl").write_text('{"x": [1, 2, 3], "y": 0}\n')
    [found] = diagnostics(written(tmp_path, "file: '*.jsonl'"))
    assert found.code == "GS503"
    assert "(in 'b.jsonl')" in found.message


def test_no_file_and_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = diagnostics(written(tmp_path, "file: no/*.csv"))
    assert (found.code, "no file matches" in found.message) == ("GS501", True)
    for k in range(3):
        table(tmp_path / f"{k}.csv", "1,2,0")
    monkeypatch.setattr(paths, "MAX_FILES", 2)
    [found] = diagnostics(written(tmp_path, "file: '*.csv'"))
    assert "more than 2 match" in found.message


def test_texts_of_several_files_are_joined() -> None:
    from graphspec.base.arrays.strings import Strings
    from graphspec.data.source import Request
    from graphspec.graph.ir.graph import Type

    request = Request("t", ["t"], False, Type("string", ("N", 1)), True)
    parts = [Strings.of(["é", ""]), Strings.of(["b"]), Strings.of([])]
    assert files.joined(parts, request)[:].tolist() == ["é", "", "b"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_compressed_tables(tmp_path: Path, kind: str) -> None:
    content = '{"a": 1, "b": 2.5, "y": 1}\n{"a": 3, "b": 4, "y": 2}\n'
    if kind != "jsonl":
        content = "a,b,y\n1,2.5,1\n3,4,2\n".replace(",", "\t" if kind == "tsv" else ",")
    (tmp_path / f"d.{kind}.gz").write_bytes(gzip.compress(content.encode()))
    arrays = rows(written(tmp_path, f"file: d.{kind}.gz\ninputs: {{x: [a, b]}}"))
    assert arrays.inputs["x"].tolist() == [[1, 2.5], [3, 4]]
    assert arrays.targets["y"].tolist() == [1, 2]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_damaged_compressed_tables(tmp_path: Path, kind: str) -> None:
    whole = gzip.compress(os.urandom(1 << 16).hex().encode())
    for content in (b"not compressed", whole[:-5000], whole[:40] + b"damage" + whole[46:]):
        (tmp_path / f"d.{kind}.gz").write_bytes(content)
        [found] = diagnostics(written(tmp_path, f"file: d.{kind}.gz"))
        assert found.code == "GS501", found.message


@pytest.mark.slow
def test_a_line_that_decompresses_to_gigabytes_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "d.csv.gz", "wb", 1) as file:
        file.write(b"a,b,y\n")
        for _ in range(64):
            file.write(b"1" * (1 << 20))
    [found] = diagnostics(written(tmp_path, "file: d.csv.gz\ninputs: {x: [a, b]}"))
    assert found.code == "GS501"
    with gzip.open(tmp_path / "d.jsonl.gz", "wb", 1) as file:
        for _ in range(64):
            file.write(b"1" * (1 << 20))
    [found] = diagnostics(written(tmp_path, "file: d.jsonl.gz"))
    assert "has a line of more than" in found.message


def lines(path: Path, *rows: str) -> None:
    path.write_text("".join(row + "\n" for row in rows))


def test_files_are_read_into_files_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    for k in range(3):
        lines(tmp_path / f"d{k}.csv", "x,t,y", *(f"{k}.5,é{k}{j},{'ab'[j % 2]}" for j in range(40)))
    kinds = {"x": NUMBER, "t": TEXT}
    data = good(tmp_path / "d*.csv", kinds, {"y": IDS}, text_labels=frozenset("y"), allocate=InFiles(folder))
    assert data.inputs["x"][:, 0].tolist() == [k + 0.5 for k in range(3) for _ in range(40)]
    assert data.inputs["t"][:][:, 0].tolist() == [f"é{k}{j}" for k in range(3) for j in range(40)]
    assert data.targets["y"][:].tolist() == ["a", "b"] * 60
    assert isinstance(data.inputs["x"], np.memmap)
    assert isinstance(data.inputs["t"].data, np.memmap)


def test_missing_values_of_several_files(tmp_path: Path) -> None:
    lines(tmp_path / "d0.csv", "x,i,y", "1,1,0", "2,2,1")
    lines(tmp_path / "d1.csv", "x,i,y", ",NA,", "4,4,1")
    kinds = {"x": NUMBER, "i": Type("int64", ("N", 1))}
    data = good(tmp_path / "d*.csv", kinds, {"y": IDS}, gaps=frozenset("xi"), drop=True)
    assert data.inputs["x"][:, 0].tolist() == [1, 2, 4]
    found = problem(tmp_path / "d*.csv", kinds, {"y": IDS}, gaps=frozenset("xi"))
    assert found.message.endswith("has no target in 1 of 4 rows; first: line 2 of 'd1.csv'")


def test_labels_are_texts_in_all_files(tmp_path: Path) -> None:
    lines(tmp_path / "d0.csv", "x,y", "1,0", "2,1")
    lines(tmp_path / "d1.csv", "x,y", "1,many")
    found = problem(tmp_path / "d*.csv", {"x": NUMBER}, {"y": IDS}, text_labels=frozenset("y"))
    assert (found.code, "texts in some files, and numbers in others (in 'd1.csv')" in found.message) == ("GS504", True)
