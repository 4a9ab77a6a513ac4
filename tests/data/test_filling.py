"""Tests of arrays that are filled in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.data_reading import ID, NUMBER, TEXT, TEXTS, good, lines

from graphspec.base.arrays.memory import InFiles
from graphspec.base.arrays.strings import Strings
from graphspec.graph.ir.graph import Type


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_columns_are_read_into_files(tmp_path: Path, kind: str) -> None:
    count, folder, path = 20_000, tmp_path / "arrays", tmp_path / f"d.{kind}"
    folder.mkdir()
    if kind == "csv":
        path.write_text("x,i,t,u,y\n" + "".join(f"{k}.5,{k},é{k},{k % 3},c{k % 2}\n" for k in range(count)))
    else:
        rows = [{"x": k + 0.5, "i": k, "t": f"é{k}", "u": k % 3, "y": f"c{k % 2}"} for k in range(count)]
        lines(path, rows)
    kinds = {"x": NUMBER, "i": ID, "t": TEXT, "p": TEXTS, "xs": Type("float32", ("N", 2))}
    mapped: dict[str, str | list[str]] = {"p": ["u", "t"], "xs": ["x", "i"]}
    data = good(
        path,
        kinds,
        {"y": Type("int64", ("N",))},
        mapped=mapped,
        text_labels=frozenset("y"),
        allocate=InFiles(folder),
    )
    assert {p.name for p in folder.iterdir()} == {
        *("x.bin", "i.bin", "xs.bin"),
        *(f"{name}%3A{part}.bin" for name in "tpy" for part in ("bytes", "offsets")),
    }
    parts = [a for f in data.feeds().values() for a in (f.arrays().values() if isinstance(f, Strings) else [f])]
    assert sum(isinstance(a, np.memmap) for a in parts) == 9
    rows_read = np.array([0, 777, count - 1])
    assert data.inputs["x"][rows_read, 0].tolist() == (rows_read + 0.5).tolist()
    assert data.inputs["i"][rows_read, 0].tolist() == rows_read.tolist()
    assert data.inputs["t"][rows_read].tolist() == [[f"é{k}"] for k in rows_read]
    assert data.inputs["p"][rows_read].tolist() == [[str(k % 3), f"é{k}"] for k in rows_read]
    assert data.inputs["xs"][rows_read].tolist() == [[k + 0.5, k] for k in rows_read]
    assert data.targets["y"][rows_read].tolist() == [f"c{k % 2}" for k in rows_read]
    assert len(data) == count


def test_numbers_in_files_have_room_for_missing_ones(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    path = lines(tmp_path / "d.jsonl", [{"x": 1}] * 100_000 + [{"x": None}])
    found = good(path, {"x": NUMBER}, gaps=frozenset("x"), allocate=InFiles(folder)).inputs["x"]
    assert (found.dtype, found[0, 0], found[99_999, 0]) == (np.float32, 1, 1)
    assert np.isnan(found[100_000, 0])


def test_no_rows(tmp_path: Path) -> None:
    from support.data_reading import problem

    path = tmp_path / "d.csv"
    path.write_text("t,x\n")
    assert problem(path, {"t": TEXT, "x": NUMBER}).code == "GS508"
    assert problem(path, {"t": TEXT}).code == "GS508"
