"""Tables of SQLite files by a query."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from data.sources import diagnostics, rows, written

from graphspec.data.files import files_of
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `shop.sqlite`."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.execute('CREATE TABLE "Or""ders" (a, b, y, note)')
        lines = [(3, 0.5, 2, "x"), (1, 2, 0, None), (2, None, 1, "é")]
        database.executemany('INSERT INTO "Or""ders" VALUES (?, ?, ?, ?)', lines)
        database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, age INTEGER)")
        database.executemany("INSERT INTO users VALUES (?, ?)", [(k, 10 * k) for k in (3, 1, 2)])
        database.execute("CREATE TABLE odd (a, b, y)")
        database.execute("INSERT INTO odd VALUES (9007199254740993, 'text', 1), (0.5, 2, 0)")
        database.execute("CREATE TABLE bytes (a, b, y)")
        database.execute("INSERT INTO bytes VALUES (1, x'00ff', 0)")
        database.execute("CREATE INDEX covering ON odd (y, a, b)")
        database.execute("CREATE VIEW seen AS SELECT * FROM odd")
        database.commit()
    return tmp_path


def query(text: str) -> str:
    return f"file: shop.sqlite\nquery: |\n  {text}\ninputs: {{x: [a, b]}}"


def test_rows_in_their_order_and_joined(folder: Path) -> None:
    before = (folder / "shop.sqlite").read_bytes()
    source = written(folder, query('SELECT a, coalesce(b, -1) AS b, y FROM "Or""ders"'))
    assert rows(source).inputs["x"].tolist() == [[3, 0.5], [1, 2], [2, -1]]
    assert rows(source).targets["y"].tolist() == [2, 0, 1]
    assert files_of(source) == [(folder / "shop.sqlite").resolve()]
    joined = 'SELECT age AS a, id AS b, y FROM users JOIN "or""ders" ON id = a ORDER BY id'
    assert rows(written(folder, query(joined))).inputs["x"].tolist() == [[10, 1], [20, 2], [30, 3]]
    assert (folder / "shop.sqlite").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["shop.sqlite", "spec.yaml"]


def test_columns_of_several_types_are_texts(folder: Path) -> None:
    wanted = DataSignature({"x": Type("string", ("N", 2))}, {"y": Type("int64", ("N",))})
    assert rows(written(folder, query("FROM odd")), wanted).inputs["x"][:].tolist() == [
        ["9007199254740993", "text"],
        ["0.5", "2"],
    ]


def test_many_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.data.queries._BATCH_ROWS", 2)
    assert len(rows(written(folder, query("SELECT id AS a, age AS b, 0 AS y FROM users")))) == 3


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("FROM bytes", "GS504", "has bytes in column 'b' of 'bytes'"),
        ("FROM seen", "GS512", "names 'seen', which is neither a table nor a file"),
        ("FROM sqlite_master", "GS512", "names 'sqlite_master'"),
        ("FROM users JOIN odd ON id = a", "GS512", "does not determine the order"),
    ],
)
def test_what_is_refused(folder: Path, text: str, code: str, message: str) -> None:
    [found] = diagnostics(written(folder, query(text)))
    assert (found.code, message in found.message) == (code, True), found.message


def test_damaged_files_and_changes_beside_them(folder: Path) -> None:
    source = written(folder, query("SELECT id AS a, age AS b, 0 AS y FROM users"))
    whole = (folder / "shop.sqlite").read_bytes()
    (folder / "shop.sqlite-wal").write_bytes(b"changes")
    [found] = diagnostics(source)
    assert (found.code, "has changes in 'shop.sqlite-wal'" in found.message) == ("GS501", True)
    (folder / "shop.sqlite-wal").unlink()
    for content in (b"no database" * 100, whole[:5000], whole[:100] + b"\xff" * (len(whole) - 100)):
        (folder / "shop.sqlite").write_bytes(content)
        [found] = diagnostics(source)
        assert found.code == "GS501", found.message
