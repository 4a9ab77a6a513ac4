"""Data files that were read wrongly, or ended in an internal error, or took too much memory."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archiving import archive, npy
from commands import graphspec, project

import graphspec as gs
from graphspec.base.arrays import memory
from graphspec.base.errors import Mark
from graphspec.data import archives, database, text_files
from graphspec.data.check import load
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type
from graphspec.language.declarations import DataSource
from graphspec.language.tree import Tree

pytestmark = pytest.mark.slow

PLAIN = "a,b,y\n1,2,0\n3,4,1\n"
MANY = "5,6,7\n" * 2500
"""More rows than those by which a column is taken for numbers or for text."""


def read(path: Path, labels: list[str] | None = None, **columns: Any) -> Any:
    """The arrays of ``a`` and ``b`` side by side and of ``y``, as lists; or every problem as one text."""
    mapping = {"x": ["a", "b"], **columns}
    wanted = DataSignature(
        {n: Type("float32", ("N", len(c)) if isinstance(c, list) else ("N",)) for n, c in mapping.items()},
        {"y": Type("int64", ("N",))},
        labels={} if labels is None else {"y": labels},
    )
    source = DataSource(path, mapping, {"y": "y"}, None, None, Tree({}, Mark("spec.yaml")))
    arrays, found = load(source, wanted)
    if arrays is None:
        return "\n".join(f"{d.code} {d.message}" for d in found)
    return arrays.inputs["x"].tolist(), arrays.targets["y"].tolist()


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("a,b,y,a\n1,2,0,9\n", "GS502", "has 'a' (column 1) and 'a' (column 4)"),
        ("A,b,y,a\n1,2,0,9\n", "GS502", "has 'A' (column 1) and 'a' (column 4)"),
        ("a,b,y\n", "GS508", "no rows"),
        (PLAIN + MANY + "1,2\n", "GS501", "line 2504 has 2 values, the header 3 names"),
        (PLAIN + MANY + "1,2,3,4\n", "GS501", "line 2504 has 4 values"),
        (PLAIN + MANY + "1,2,3\r\n", "GS501", "CRLF and in LF"),
        (PLAIN.encode("utf-16"), "GS501", "is UTF-16, not UTF-8"),
        ("a,b,y\n1,ä,0\n".encode("latin-1"), "GS501", "line 2 is not UTF-8"),
        ("a,b,y\n1,1_000,0\n", "GS504", "first: '1_000' in line 2"),
        (PLAIN + MANY + "1,1_000,0\n", "GS504", "in 1 of 2,503 rows; first: '1_000' in line 2,504"),
        (PLAIN + MANY + "1,NA,0\n", "GS505", "first: line 2,504"),
        (PLAIN + MANY + "1,x,0\n", "GS504", "first: 'x' in line 2,504"),
        ("a,b,y\n1,\0,0\n", "GS504", "contains text"),
        (
            "a,b,y\n1,2,9223372036854775808\n",
            "GS504",
            "does not fit int64 in 1 of 1 rows; first: 9223372036854775808 in line 2",
        ),
        (
            PLAIN + "1,2,9007199254740993\n1,2,1.5\n",
            "GS504",
            "is not an exact int64 in 1 of 4 rows; first: 1.5 in line 5",
        ),
        ("a,b,y\n1,2," + "0" * 3_000_000, "GS501", "Maximum line size"),
        ("a,b,y" + "," * 200_000 + "\n", "GS501", "200,003 columns"),
    ],
)
def test_tables_of_text_that_are_refused(tmp_path: Path, content: str | bytes, code: str, said: str) -> None:
    found = read(written(tmp_path, "d.csv", content))
    assert found.startswith(code)
    assert said in found


@pytest.mark.parametrize(
    ("content", "y"),
    [
        ("\ufeff" + PLAIN, [0, 1]),
        (PLAIN.replace("\n", "\r\n"), [0, 1]),
        (PLAIN.replace("\n", "\r"), [0, 1]),
        ("\n\n" + PLAIN, [0, 1]),
        (PLAIN.rstrip(), [0, 1]),
        (PLAIN + MANY + "1,2,9007199254740993\n1,2,1.0\n", [0, 1, *[7] * 2500, 2**53 + 1, 1]),
        (PLAIN + "1,2,-9223372036854775807\n1,2,1e18\n1,2, +5 \n", [0, 1, -(2**63) + 1, 10**18, 5]),
        ('a,b,"y",c\n1,2,0,"x\ny"\n3,4,1,"_"\n', [0, 1]),
        ("y,a,b,c,c\n0,1,2,3,4\n1,3,4,3,4\n", [0, 1]),
        (" a , b,y\n1,2,0\n3,4,1\n", [0, 1]),
    ],
)
def test_tables_of_text_that_are_read(tmp_path: Path, content: str, y: list[int]) -> None:
    x, found = read(written(tmp_path, "d.csv", content))
    assert found == y
    assert x[:2] == [[1, 2], [3, 4]]


def test_a_column_is_text_wherever_the_first_word_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "d.csv", PLAIN + MANY + "1,2,x\n")
    assert read(path, ["0", "1", "7", "x"])[1] == [0, 1, *[2] * 2500, 3]
    assert "GS506 column 'y'" in read(path, ["0", "1", "7"])


def test_columns_of_a_table_are_not_chosen_by_the_case_of_their_names(tmp_path: Path) -> None:
    path = written(tmp_path, "d.csv", PLAIN.replace("a", "A"))
    assert "GS502" in read(path)
    assert read(path, x=["A", "b"])[0] == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ('{"a": 1, "b": 2, "y": 1}\n3\n', "GS501", "line 2 is not an object"),
        ("[1, 2]\n", "GS501", "line 1 is not an object"),
        ('{"a": 1, "a": 2, "b": 2, "y": 1}\n', "GS501", "duplicate key"),
        ('{"a": 1, "A": 2, "b": 2, "y": 1}\n', "GS501", "keys 'A' and 'a' differ only in case"),
        ('{"a": {"c": 1}, "b": 2, "y": 1}\n', "GS504", "STRUCT"),
        ('{"a": NaN, "b": 2, "y": 1}\n', "GS505", "first: line 1"),
        ('{"a": 1, "b": 2, "y": 9223372036854775808}\n', "GS504", "does not fit int64"),
        ('{"a": 1, "b": 2, "y": 18446744073709551616}\n', "GS504", "first: 18446744073709551616 in line 1"),
        ('{"a": "1", "b": 2, "y": 1}\n', "GS504", "first: '1' in line 1"),
        (b'{"a": 1, "b": 2, "y": "\xff"}\n', "GS501", "UTF-8"),
        ('{"a": ' + "[" * 50000, "GS501", "Malformed"),
        ('{"a": 1, "b": 2, "y": 1, "t": "' + "x" * (1 << 24) + '"}\n', "GS501", "a line of more than 16.0 MiB"),
    ],
)
def test_lines_of_json_that_are_refused(tmp_path: Path, content: str | bytes, code: str, said: str) -> None:
    found = read(written(tmp_path, "d.jsonl", content))
    assert found.startswith(code)
    assert said in found


def test_lines_of_json_that_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "d.jsonl", '{"a":1,"b":2,"y":9007199254740993}\n\n{"y":1.0,"b":4,"a":3}\n')
    assert read(path) == ([[1, 2], [3, 4]], [2**53 + 1, 1])
    text = '{"a":1,"b":2,"y":"2020-01-01"}\n{"a":3,"b":4,"y":5}\n'
    assert read(written(tmp_path, "d.jsonl", text), ["5", "2020-01-01"])[1] == [1, 0]
    path = written(tmp_path, "d.jsonl", '{"a":[[1,2],[3,4]],"y":[9007199254740993,1.0]}\n')
    wanted = DataSignature({"a": Type("float32", ("N", 2, 2))}, {"y": Type("int64", ("N", 2))})
    arrays, found = load(DataSource(path, None, None, None, None, Tree({}, Mark("spec.yaml"))), wanted)
    assert arrays is None
    assert "rounded" in found[0].message


COLUMNS = {
    "decimal": ("9007199254740993.00::DECIMAL(20, 2)", [2**53 + 1]),
    "unsigned": ("9007199254740993::UBIGINT", [2**53 + 1]),
    "a fraction": ("1.5::DECIMAL(4, 2)", "not an exact int64: row 1 (counted from 1) has 1.50"),
    "too large": ("100000000000000000000::DECIMAL(30, 0)", "does not fit int64"),
    "time": ("TIMESTAMP '2020-01-01'", "type TIMESTAMP"),
    "a time zone": ("TIMESTAMPTZ '2020-01-01'", "TIME ZONE"),
    "uuid": ("gen_random_uuid()", "UUID"),
    "map": ("MAP {'a': 1}", "MAP"),
    "blob": ("'a'::BLOB", "BLOB"),
    "nothing": ("NULL", "GS505"),
    "text": ("'1'", "contains numbers as text"),
    "lists": ("[1, 2]", "GS503"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_parquet(tmp_path: Path, kind: str) -> None:
    import duckdb

    column, expected = COLUMNS[kind]
    path = tmp_path / "d.parquet"
    duckdb.connect().execute(f"COPY (SELECT 1 a, 2.5 b, {column} y) TO '{path}'")
    found = read(path)
    assert found == ([[1, 2.5]], expected) if isinstance(expected, list) else expected in found


def test_parquet_with_damaged_names(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "d.parquet"
    duckdb.connect().execute(f"COPY (SELECT 1 aaaaaa, 2 b, 3 y) TO '{path}'")
    path.write_bytes(path.read_bytes().replace(b"aaaaaa", b"\xff\xfe\xfaaaa"))
    assert read(path).startswith("GS501")


def test_parquet_without_rows(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "d.parquet"
    duckdb.connect().execute(f"COPY (SELECT 1 a, 2 b, 3 y WHERE false) TO '{path}'")
    assert read(path).startswith("GS508")


ENTRIES = {
    "a pickle": (pickle.dumps([1, 2]), "GS501", "is not an array"),
    "text": (b"hello", "GS501", "is not an array"),
    "nothing": (b"", "GS501", "is not an array"),
    "objects": (npy(np.array([1, None, "x"], object)), "GS504", "never read"),
    "objects by the header": (npy(np.arange(3)).replace(b"<i8", b"|O8"), "GS504", "never read"),
    "times": (npy(np.arange(3).astype("M8[s]")), "GS504", "datetime64"),
    "structures": (npy(np.zeros(3, "i4,i4")), "GS504", "cannot become"),
    "a single number": (npy(np.array(3)), "GS503", "single value"),
    "too few bytes": (npy(np.arange(3))[:-8], "GS501", "need 24 bytes, it has 16"),
    "too many bytes": (npy(np.arange(3)) + b"12345678", "GS501", "need 24 bytes, it has 32"),
    "a negative size": (npy(np.arange(3)).replace(b"(3,)", b"(-3)"), "GS501", "damaged"),
    "too many elements": (npy(np.arange(10**6)).replace(b"(1000000,)", b"(10**18,)  "[:10]), "GS501", "damaged"),
    "brackets": (npy(np.arange(3)).replace(b"(3,)", b"(((("), "GS501", "damaged"),
    "another length": (npy(np.arange(4)), "GS507", "rows"),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_entries_of_archives(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    content, code, said = ENTRIES[kind]
    found = read(archive(tmp_path / "d.npz", b=content))
    assert found.startswith(code)
    assert said in found


def test_an_entry_that_is_twice_there(tmp_path: Path) -> None:
    path = archive(tmp_path / "d.npz")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("a", npy(np.arange(3)))
    assert "GS502 " in read(path)
    assert "has 2 arrays called 'a'" in read(path)


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project(tmp_path)
    np.savez_compressed(tmp_path / "train.npz", features=np.zeros((1 << 22, 4)), answer=np.zeros(1 << 22, np.int64))
    assert (tmp_path / "train.npz").stat().st_size < 1 << 19
    monkeypatch.setattr(memory, "_container_limits", lambda root, **_: [(1 << 26, 0)])
    whole = archives.Npz._one

    def small(npz: Any, file: Any, opened: Any, name: str, header: Any) -> Any:
        assert header.nbytes < 1 << 20, "it was read"
        return whole(npz, file, opened, name, header)

    monkeypatch.setattr(archives.Npz, "_one", small)
    result = graphspec("train", path, "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert "GS602" in result.stderr
    assert "train.npz' needs" in result.stderr
    assert graphspec("validate", "--data", path).exit_code == 1


# Memory.


def test_a_table_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    rows = np.random.default_rng(0).integers(0, 100, (20_000, 40))
    text = ",".join([*(f"c{k}" for k in range(39)), "y"]) + "\n" + "\n".join(",".join(map(str, r)) for r in rows)
    path = written(tmp_path, "d.csv", text)
    monkeypatch.setattr(database, "_BATCH_BYTES", 1 << 18)
    sizes = []
    whole = database.batches
    monkeypatch.setattr(database, "batches", lambda s: (sizes.append(b[0]) or b for b in whole(s)))
    read(path, x=["c0"])
    tracemalloc.start()
    x, y = read_arrays(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(x, rows[:, :39])
    assert np.array_equal(y, rows[:, 39])
    assert max(sizes[1:]) < 4000  # the parts have the size that was asked for
    assert peak < 1.5 * (x.nbytes + y.nbytes)


def read_arrays(path: Path) -> Any:
    wanted = DataSignature({"x": Type("float32", ("N", 39))}, {"y": Type("int64", ("N",))})
    mapping: Any = {"x": [f"c{k}" for k in range(39)]}
    arrays, _ = load(DataSource(path, mapping, None, None, None, Tree({}, Mark("spec.yaml"))), wanted)
    assert arrays is not None
    return arrays.inputs["x"], arrays.targets["y"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_that_does_not_fit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import duckdb

    path = tmp_path / f"d.{kind}"
    how = {"csv": "(FORMAT csv)", "jsonl": "(FORMAT json)", "parquet": "(FORMAT parquet)"}[kind]
    duckdb.connect().execute(f"COPY (SELECT i a, i b, i y FROM range(10000) t(i)) TO '{path}' {how}")
    monkeypatch.setattr(memory, "_container_limits", lambda root, **_: [(10000 * 12, 0)])
    assert read(path).startswith("GS602")
    monkeypatch.setattr(memory, "_container_limits", lambda root, **_: [(10000 * 16, 0)])
    assert read(path)[1] == list(range(10000))


def test_ends_of_lines_in_cells_are_not_taken_for_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,b,y,text\n" + ('1,2,3,"' + "\n" * 1000 + '"\n') * 10
    monkeypatch.setattr(memory, "_container_limits", lambda root, **_: [(1000, 0)])
    assert read(written(tmp_path, "d.csv", text))[1] == [3] * 10


# Names.


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    path = project(tmp_path)
    text = path.read_text().replace("test.npz", "n" * 300 + ".npz").replace("train.npz", "other.npz")
    path.write_text(text)
    result = graphspec("validate", "--data", path)
    assert result.exit_code == 1
    assert result.stdout.count("error[GS501]") == 2  # both files are named
    for name, said in (("a\0b.npz", "null character"), ("\ud800.npz", "half of a character")):
        spec = {"graphspec": 1, "name": "n", "inputs": {"x": {"shape": [1]}}, "layers": [{"type": "Dense", "units": 1}]}
        found = gs.validate(spec | {"data": {"train": {"file": name}}})
        assert any(said in d.message and d.code == "GS105" for d in found)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.csv")
    assert "is a pipe, not a regular file" in read(tmp_path / "p.csv")
    (tmp_path / "z.csv").symlink_to("/dev/zero")
    assert "is a device" in read(tmp_path / "z.csv")
    (tmp_path / "l.csv").symlink_to("l.csv")
    assert read(tmp_path / "l.csv").startswith("GS501")
    assert read(tmp_path / "*.csv").startswith("GS501")


# Files that change while they are used.


def test_ends_of_lines_bound_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_BLOCK_BYTES", 1)
    for text, rows in (("a\nb\n", 3), ("a\r\nb\r\nc", 3), ("a\rb\r\r\n", 4), ("", 1), ("\n\r", 3)):
        assert text_files.scan(written(tmp_path, "d", text)).rows == rows, text
