"""Rows by SQL: what is read, in which order, and everything that is refused."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pytest
from data.sources import WANTED, diagnostics, rows, written

from graphspec.data import queries
from graphspec.data.check import load
from graphspec.data.files import files_of

USERS = "id,age\n1,30\n2,40\n3,50\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `users.csv` and `visits.parquet`; outside of it is `secret.csv`."""
    found = tmp_path / "spec"
    found.mkdir()
    (found / "users.csv").write_text(USERS)
    (tmp_path / "secret.csv").write_text("a,b,y\n1,2,0\n")
    values = "(3, 1.5, 0), (1, 2.5, 1), (2, 3.5, 2), (1, 4.5, 0)"
    text = f"SELECT * FROM (VALUES {values}) v(id, length, y)"
    duckdb.sql(text).write_parquet(str(found / "visits.parquet"))
    return found


def database(folder: Path) -> Path:
    path = folder / "shop.duckdb"
    path.write_bytes(shop())
    return path


@cache
def shop() -> bytes:
    """The file of a database, made once: it takes longer than a query."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "shop.duckdb")
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE TABLE orders AS SELECT * FROM (VALUES (2, 0.5, 1), (1, 1.5, 0)) v(a, b, y)")
            connection.execute("CREATE VIEW drawn AS SELECT a, random() AS b, y FROM orders")
            connection.execute("CREATE MACRO pick(x) AS x + random()")
        return path.read_bytes()


def query(text: str) -> str:
    return f"query: |\n  {text.replace(chr(10), chr(10) + '  ')}\ninputs: {{x: [a, b]}}"


JOIN = "SELECT age AS a, length AS b, y FROM 'visits.parquet' JOIN 'users.csv' USING (id)"


def test_a_join_in_order(folder: Path) -> None:
    source = written(folder, query(f"{JOIN} ORDER BY length DESC"))
    arrays = rows(source)
    assert arrays.inputs["x"].tolist() == [[30, 4.5], [40, 3.5], [30, 2.5], [50, 1.5]]
    assert arrays.targets["y"].tolist() == [0, 2, 1, 0]
    assert {path.name for path in files_of(source)} == {"users.csv", "visits.parquet"}
    assert len(rows(source, max_rows=2)) == 2


def test_names_are_relative_to_the_spec_not_to_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "users.csv").write_text("id,age\n1,0\n2,0\n3,0\n")
    monkeypatch.chdir(other)
    assert rows(written(folder, query(f"{JOIN} ORDER BY length"))).inputs["x"][0].tolist() == [50, 1.5]


def test_a_plain_scan_keeps_the_order_of_its_file(folder: Path) -> None:
    text = "WITH v AS (SELECT * FROM 'visits.parquet' WHERE length > 2) SELECT id AS a, length AS b, y FROM v"
    assert rows(written(folder, query(text))).inputs["x"].tolist() == [[1, 2.5], [2, 3.5], [1, 4.5]]


@pytest.mark.parametrize(
    "text",
    [
        JOIN,
        "SELECT id AS a, count(*) AS b, 0 AS y FROM 'visits.parquet' GROUP BY id",
        "SELECT DISTINCT id AS a, 1 AS b, 0 AS y FROM 'visits.parquet'",
        "SELECT * FROM (SELECT id AS a, 1 AS b, 0 AS y FROM 'visits.parquet' ORDER BY id)",
        "SELECT id AS a, 1 AS b, 0 AS y FROM 'users.csv' UNION ALL SELECT id, 1, 0 FROM 'visits.parquet'",
        "SELECT id AS a, 1 AS b, 0 AS y FROM 'users.csv' WHERE id IN (SELECT id FROM 'visits.parquet')",
    ],
)
def test_a_query_without_an_order_is_refused(folder: Path, text: str) -> None:
    [found] = diagnostics(written(folder, query(text)))
    assert (found.code, found.line) == ("GS512", 3)
    assert found.message.startswith("the query does not determine the order of its rows")
    assert "ORDER BY" in (found.hint or "")


@pytest.mark.slow
def test_ties_are_ordered_by_all_columns(folder: Path) -> None:
    lines = [f"{k % 3},{(7 * k) % 1000},{k % 2}" for k in range(1000)]
    (folder / "a.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")
    (folder / "b.csv").write_text("a,b,y\n" + "\n".join(reversed(lines)) + "\n")
    for order in ("a", "ALL", "y LIMIT 70"):
        found = [rows(written(folder, query(f"SELECT * FROM '{name}.csv' ORDER BY {order}"))) for name in "ab"]
        assert np.array_equal(found[0].inputs["x"], found[1].inputs["x"]), order
    ordered = rows(written(folder, query("SELECT a, b, y FROM 'a.csv' UNION SELECT a, b, y FROM 'b.csv' ORDER BY b")))
    assert ordered.inputs["x"][:3, 1].tolist() == [0, 1, 2]


@pytest.mark.slow
def test_types_of_a_table_come_from_all_rows(folder: Path) -> None:
    lines = ["1,2,0"] * 30_000 + ["0.5,2,0"]
    (folder / "a.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")
    for table in ("'a.csv'", "read_csv('a.csv')", "read_csv(['a.csv'], header = true)"):
        assert rows(written(folder, query(f"SELECT * FROM {table}"))).inputs["x"][-1, 0] == 0.5


def test_patterns_and_quotes_in_names(folder: Path) -> None:
    (folder / "it's").mkdir()
    for k in "cab":
        (folder / "it's" / f"{k} [1].csv").write_text(f"a,b,y\n{ord(k)},0,1\n")
    found = rows(written(folder, query("SELECT * FROM 'it''s/*.csv'")))
    assert found.inputs["x"][:, 0].tolist() == [97, 98, 99]
    found = rows(written(folder, query('SELECT * FROM "it\'s/a [1].csv" AS t(a, b, y) WHERE t.a > 0')))
    assert len(found) == 1


def test_several_columns_of_one_name(folder: Path) -> None:
    [found] = diagnostics(written(folder, query("SELECT id AS a, id AS b, id AS b, 0 AS y FROM 'users.csv'")))
    assert (found.code, "and 'b' (column 3)" in found.message) == ("GS502", True)


@pytest.mark.slow
def test_a_database(folder: Path) -> None:
    path = database(folder)
    before = path.read_bytes()
    text = "file: shop.duckdb\n"
    source = written(folder, text + query("SELECT * FROM orders"))
    assert rows(source).inputs["x"].tolist() == [[2, 0.5], [1, 1.5]]
    assert files_of(source) == [path.resolve()]
    assert rows(written(folder, text + query("SELECT a, b, y FROM main.orders ORDER BY a"))).targets["y"].tolist() == [
        0,
        1,
    ]
    joined = "SELECT o.a, o.b, o.y FROM orders o JOIN 'users.csv' u ON o.a = u.id ORDER BY b"
    assert len(rows(written(folder, text + query(joined)))) == 2
    for wrong in ("SELECT * FROM drawn ORDER BY a", "SELECT pick(a) AS a, b, y FROM orders"):
        [found] = diagnostics(written(folder, text + query(wrong)))
        assert (found.code, "another at each run" in found.message) == ("GS512", True)
    [found] = diagnostics(written(folder, text + query("SELECT * FROM order")))
    assert found.code == "GS512"
    assert path.read_bytes() == before
    assert not (folder / "shop.duckdb.wal").exists()


def test_what_is_no_database(folder: Path) -> None:
    text = query("SELECT * FROM orders")
    [found] = diagnostics(written(folder, "file: none.duckdb\n" + text))
    assert (found.code, "does not exist" in found.message) == ("GS501", True)
    for content in (b"SELECT", b"\0" * 20_000):
        (folder / "wrong.duckdb").write_bytes(content)
        [found] = diagnostics(written(folder, "file: wrong.duckdb\n" + text))
        assert (found.code, "cannot be opened as a DuckDB database" in found.message) == ("GS501", True)
    with sqlite3.connect(folder / "lite.duckdb") as connection:
        connection.execute("CREATE TABLE orders (a, b, y)")
    connection.close()
    [found] = diagnostics(written(folder, "file: lite.duckdb\n" + text))
    assert found.code == "GS501"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT * FRM x", 'has a syntax error at or near "x" (line 1, column 14 of the query)'),
        ("SELECT 1;\nSELECT 2", "has 2 statements"),
        ("-- nothing", "has 0 statements"),
        ("SELECT é, *\nFROM 'users.csv'", "(line 1, column 8 of the query)"),
        ("SELECT *\n, foo(id) FROM 'users.csv'", "(line 2, column 3 of the query)"),
        ("SELECT age + 'é' AS a, 1 AS b, 0 AS y FROM 'users.csv'", "cannot be run: Could not convert"),
        ("SELECT * FROM user", "names 'user', which is neither a table nor a file (line 1, column 15 of the query)"),
        ("SELECT * FROM none.csv", "names 'csv', which is neither"),
        ("SELECT $x AS a FROM 'users.csv'", "has a parameter"),
        ("SELECT random() AS a FROM 'users.csv'", "uses random"),
        ("SELECT CURRENT_DATE AS a FROM 'users.csv'", "uses current_date"),
        ("SELECT * FROM 'users.csv' USING SAMPLE 2", "takes a sample"),
        ("SELECT * FROM 'users.csv' ORDER BY uuid()", "uses uuid"),
        ("SELECT age(TIMESTAMP '2020-01-01') AS a FROM 'users.csv'", "uses age"),
        ("SELECT * FROM drawn ORDER BY a", "uses a view with random, whose value may be another at each run"),
        ("SELECT pick(a) AS a, b, y FROM orders", "uses pick"),
    ],
)
def test_wrong_queries(folder: Path, text: str, message: str) -> None:
    file = ""
    if "pick" in text or "drawn" in text:
        database(folder)
        file = "file: shop.duckdb\n"
    [found] = diagnostics(written(folder, file + query(text)))
    assert found.code == "GS512", found.message
    assert message.lower() in found.message.lower()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("user.csv", "names 'user.csv', which does not exist"),
        ("user*.tsv", "names 'user*.tsv', which does not exist: no file matches this pattern"),
    ],
)
def test_a_file_that_does_not_exist(folder: Path, name: str, message: str) -> None:
    [found] = diagnostics(written(folder, query(f"SELECT * FROM '{name}'")))
    assert (found.code, message in found.message) == ("GS501", True), found.message


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("SELECT id AS a, age AS b, 0 AS y FROM read_csv('users.csv', sample_size = 1, header = true)", [1, 30]),
        ("SELECT id AS a, age AS b, 0 AS y FROM read_csv(['users.csv'], header := true)", [1, 30]),
        ("SELECT range AS a, 2 * range AS b, 0 AS y FROM range(3, 6) ORDER BY a", [3, 6]),
    ],
)
def test_functions_that_give_rows(folder: Path, text: str, first: list[float]) -> None:
    found = rows(written(folder, query(text)))
    assert (len(found), found.inputs["x"][0].tolist()) == (3, first)


OUTSIDE = [
    "SELECT * FROM '../secret.csv'",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM read_csv('../secret.csv')",
    "SELECT * FROM read_csv(['users.csv', '../secret.csv'])",
    "SELECT * FROM 'link.csv'",
    "SELECT * FROM 'below/secret.csv'",
    "SELECT * FROM '*.csv'",
    "SELECT * FROM '../*.csv'",
    "SELECT * FROM 'users.csv' WHERE id IN (SELECT a FROM '../secret.csv')",
    "WITH w AS (SELECT * FROM '../secret.csv') SELECT * FROM w",
    "SELECT * FROM 'https://example.com/x.csv'",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM 'file:///etc/passwd.csv'",
    "SELECT * FROM read_csv('/etc/passwd')",
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_files_outside_the_folder_are_refused(folder: Path, text: str) -> None:
    outside = folder.parent / "secret.csv"
    (folder / "link.csv").symlink_to(outside)
    (folder / "below").symlink_to(folder.parent)
    [found] = diagnostics(written(folder, query(text.format(outside=outside))))
    assert found.code == "GS513", found.message
    assert "--allow" in (found.hint or "")
    if "://" not in text and "/etc" not in text:
        source = written(folder, query(text.format(outside=outside)))
        _, problems = load(replace(source, allow=(folder.parent,)), WANTED)
        assert not any(d.code == "GS513" for d in problems)


REFUSED = [
    "ATTACH '../x.db'",
    "COPY (SELECT 1) TO 'stolen.csv'",
    "COPY (SELECT * FROM 'users.csv') TO '/tmp/stolen.csv'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA version",
    "SET enable_external_access = true",
    "CALL duckdb_settings()",
    "CREATE TABLE t (a INT)",
    "DROP TABLE result",
    "EXPORT DATABASE 'stolen'",
    "EXPLAIN ANALYZE SELECT 1",
    "DESCRIBE SELECT 1",
    "SHOW TABLES",
    "FROM (SHOW TABLES)",
    "SELECT * FROM 'users.csv'; COPY (SELECT 1) TO 'stolen.csv'",
    "WITH w AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM w",
    "SELECT * FROM read_text('../secret.csv')",
    "SELECT * FROM read_text('users.csv')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('users.csv')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM read_csv('../' || 'secret.csv')",
    "SELECT * FROM read_csv(getvariable('x'))",
    "SELECT * FROM read_csv((SELECT '../secret.csv'))",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT current_setting('home_directory') AS a",
    "SELECT write_log('x') AS a",
    "SELECT sleep_ms(100000) AS a",
]


@pytest.mark.parametrize("text", REFUSED)
def test_all_but_reading_is_refused(folder: Path, text: str) -> None:
    database(folder)
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    for file in ("", "file: shop.duckdb\n"):
        [found] = diagnostics(written(folder, file + query(text)))
        assert found.code in ("GS512", "GS513"), found.message
    (folder / "spec.yaml").unlink()
    assert {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()} == before


def test_a_view_of_a_database_reads_no_other_file(folder: Path) -> None:
    secret = folder.parent / "secret.csv"
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute(f"CREATE VIEW stolen AS SELECT * FROM read_csv('{secret}')")
    [found] = diagnostics(written(folder, "file: shop.duckdb\n" + query("SELECT * FROM stolen")))
    assert found.code == "GS513"


@pytest.mark.slow
def test_a_query_that_needs_too_much_memory_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "SELECT a.range AS a, b.range AS b, 0 AS y FROM range(1000000) a, range(1000000) b ORDER BY a"
    before = set(folder.iterdir())
    source = written(folder, query(text))
    monkeypatch.setattr(queries, "free", lambda: 1 << 28)
    [found] = diagnostics(source)
    assert found.code == "GS602"
    assert set(folder.iterdir()) - before == {folder / "spec.yaml"}


@pytest.mark.parametrize(("start", "end"), [("(", ")"), ("abs(", ")"), ("[", "]"), ("1 + ", ""), ("NOT ", "")])
@pytest.mark.parametrize("depth", [90, 900, 9000])
def test_deep_queries(folder: Path, start: str, end: str, depth: int) -> None:
    text = f"SELECT age AS a, id AS b, 0 AS y FROM 'users.csv' WHERE age < {start * depth}1{end * depth}"
    arrays, found = load(written(folder, query(text)), WANTED)
    assert arrays is not None or {d.code for d in found} <= {"GS512", "GS508"}, found
