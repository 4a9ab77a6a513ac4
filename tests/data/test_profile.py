"""Profiles of tables, against counts in Python."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphspec.data import profile as module
from graphspec.data.files import open_source, open_table
from graphspec.data.profile import ColumnProfile, Profile, profile
from graphspec.data.source import DataError

COLUMNS: dict[str, list[Any]] = {
    "id": list(range(1, 9)),
    "amount": [1.5, 2.5, None, 4.0, 0.5, 1.5, 10.0, 2.0],
    "rooms": [1, 2, 2, 3, 1, 2, 2, 4],
    "city": ["Rome", "Oslo", "Rome", None, "Rome", "Oslo", "Bonn", "Rome"],
    "open": [True, False, True, True, False, True, True, False],
    "day": [f"2024-0{k}-1{k}" for k in range(1, 9)],
    "note": ["a b c", "A b!", "b, c d e", "a", "b c", "d", "a a a", "x"],
    "same": ["k"] * 8,
}


def written(folder: Path, kind: str, columns: dict[str, list[Any]]) -> Path:
    """A table of these columns."""
    path, rows = folder / f"t.{kind}", list(zip(*columns.values(), strict=True))
    if kind == "jsonl":
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
        return path
    text = "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)
    if kind == "parquet":
        import duckdb

        lines = folder / "source.jsonl"
        lines.write_text(text)
        duckdb.sql(f"COPY (SELECT * FROM '{lines}') TO '{path}'")
        return path
    separator = "\t" if kind == "tsv" else ","
    cells = [["" if v is None else str(v).lower() if isinstance(v, bool) else f'"{v}"' for v in row] for row in rows]
    path.write_text("\n".join(separator.join(line) for line in [list(columns), *cells]) + "\n")
    return path


def of(folder: Path, **columns: list[Any]) -> Profile:
    return profile(open_table(written(folder, "csv", columns)))


def column(folder: Path, values: list[Any]) -> ColumnProfile:
    return of(folder, c=values, other=list(range(len(values)))).columns["c"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_the_same_of_every_file(tmp_path: Path, kind: str) -> None:
    found = profile(open_table(written(tmp_path, kind, COLUMNS)))
    assert found.rows == 8
    assert found.typed == (kind in ("jsonl", "parquet"))
    kinds = {name: c.kind for name, c in found.columns.items()}
    assert list(kinds.values()) == ["integer", "float", "integer", "text", "bool", "date", "text", "text"]
    assert {name: c.missing for name, c in found.columns.items() if c.missing} == {"amount": 1, "city": 1}
    for name, values in COLUMNS.items():
        present = [v for v in values if v is not None]
        assert found.columns[name].distinct == len(set(present)), name
        assert found.columns[name].present == len(present)
    assert found.columns["city"].frequent == (("Rome", 4), ("Oslo", 2), ("Bonn", 1))
    assert found.columns["city"].at_least[:5] == (3, 2, 1, 1, 0)
    assert found.columns["rooms"].frequent == (("2", 4), ("1", 2), ("3", 1), ("4", 1))
    assert [n for n, c in found.columns.items() if c.unique] == ["id", "day", "note"]
    assert [n for n, c in found.columns.items() if c.constant] == ["same"]
    numbers = found.columns["amount"].numbers
    assert numbers is not None
    values = np.array([v for v in COLUMNS["amount"] if v is not None])
    assert (numbers.low, numbers.high, numbers.median) == (0.5, 10.0, 2.0)
    assert numbers.mean == pytest.approx(values.mean())
    assert numbers.deviation == pytest.approx(values.std())
    assert numbers.skewness == pytest.approx((((values - values.mean()) / values.std()) ** 3).mean())
    assert numbers.quartiles == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_words_of_texts(tmp_path: Path, kind: str) -> None:
    words = profile(open_table(written(tmp_path, kind, COLUMNS))).columns["note"].words
    assert words is not None
    texts = ["a b c", "a b", "b c d e", "a", "b c", "d", "a a a", "x"]
    counts = Counter(w for t in texts for w in t.split())
    assert words.mean == pytest.approx(np.mean([len(t.split()) for t in texts]))
    assert words.longest == 4
    assert words.at_least[:4] == tuple(sum(n >= k for n in counts.values()) for k in range(1, 5))


def test_texts_that_mean_missing_are_counted_apart(tmp_path: Path) -> None:
    found = column(tmp_path, ["1", "NA", " na ", "n/a", "3", "", "?"])
    assert (found.kind, found.missing, found.absent, found.present) == ("integer", 1, 5, 2)
    assert found.missing_texts == {"?": 1, "NA": 1, "n/a": 1, "na": 1}
    found = column(tmp_path, ["red", "NA", "blue", "None"])
    assert (found.kind, found.distinct, dict(found.missing_texts)) == ("text", 2, {"NA": 1, "None": 1})


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2", "3"], "integer"),
        (["1.0", "2", "-3e2"], "integer"),
        (["1.5", "2"], "float"),
        (["1", "x"], "text"),
        (["1_000", "2"], "text"),
        (["1,000", "2"], "text"),
        (["True", "false"], "bool"),
        (["yes", "no"], "text"),
        (["inf", "1"], "float"),
        (["", ""], "empty"),
        (["NA", ""], "empty"),
        (["2024-01-31", "2024-02-01T10:11:12"], "date"),
        (["2024-01-31 10:00:00Z", "2024-02-01"], "date"),
        (["2024-01-31", "2024-02-31"], "text"),
        (["31/01/2024", "01/02/2024"], "date"),
        (["01/31/2024", "1/2/2024"], "date"),
        (["31.01.2024", "1.2.2024"], "date"),
        (["31/01/2024 10:11", "01/02/2024 00:00"], "date"),
        (["31/01/24", "01/02/24"], "text"),
    ],
)
def test_kinds(tmp_path: Path, values: list[str], kind: str) -> None:
    assert column(tmp_path, values).kind == kind


def test_dates(tmp_path: Path) -> None:
    found = column(tmp_path, ["02/03/2024", "31/01/2024", "05/06/2023", "NA"])
    assert found.date_formats == {"%d/%m/%Y": 1.0, "%m/%d/%Y": pytest.approx(2 / 3)}
    assert found.dates == ("2023-06-05 00:00:00", "2024-03-02 00:00:00")
    assert not found.has_times
    found = column(tmp_path, ["2024-01-01 10:30", "2024-01-02", "soon", "later"])
    assert (found.kind, found.date_formats, found.has_times) == ("text", {"ISO": 0.5}, True)


def test_dates_after_rows_without_a_value(tmp_path: Path) -> None:
    found = column(tmp_path, [""] * 5000 + ["01.02.2024"])
    assert (found.kind, found.date_formats["%d.%m.%Y"], found.missing) == ("date", 1.0, 5000)


def test_shares_of_numbers_and_infinite_ones(tmp_path: Path) -> None:
    found = column(tmp_path, ["1", "2", "x", "4"])
    assert (found.kind, found.number_share) == ("text", 0.75)
    found = column(tmp_path, ["1.5", "inf", "-inf", "2.5"])
    assert found.infinite == 2
    assert found.numbers is not None
    assert (found.numbers.low, found.numbers.high) == (1.5, 2.5)


def test_equal_integers_are_one_value(tmp_path: Path) -> None:
    assert column(tmp_path, ["7", "7.0", "07", "8"]).distinct == 2
    assert column(tmp_path, ["07", "08"]).leading_zeros
    assert not column(tmp_path, ["0", "0.5", "10"]).leading_zeros
    large = ["9007199254740993", "9007199254740992", "9007199254740991"]
    assert column(tmp_path, large).distinct == 3


def test_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [f"v{k % 1500}" for k in range(4000)]
    found = column(tmp_path, values)
    assert (found.distinct, found.exact, found.listed) == (1500, True, False)
    assert found.at_least[:4] == (1500, 1500, 1000, 0)
    assert len(found.frequent) == module.FREQUENT
    assert {n for _, n in found.frequent} == {3}
    monkeypatch.setattr(module, "_EXACT_DISTINCT", 1000)
    found = column(tmp_path, values)
    assert not found.exact
    assert math.isclose(found.distinct, 1500, rel_tol=0.1)


@pytest.mark.slow
def test_wide_tables_take_few_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query looks at many columns at once: 1,200 take as many as three times 400, and find what single ones find."""
    kinds = (["1", "2", "2"], ["a", "b", ""], ["2024-01-02", "NA", "2024-03-04"], ["1.5", "x y", "-3"])
    names = [f"c{k}" for k in range(1200)]
    cells = [[kinds[k % 4][row] for k in range(1200)] for row in range(3)]
    (tmp_path / "wide.csv").write_text("\n".join(",".join(row) for row in [names, *cells]) + "\n")
    table, asked = open_table(tmp_path / "wide.csv"), list[str]()
    connection = table.connection
    counting = SimpleNamespace(execute=lambda text: asked.append(text) or connection.execute(text))
    monkeypatch.setattr(table, "connection", counting)
    found = profile(table).columns
    assert len(asked) < 60
    for k, values in enumerate(kinds):
        assert dataclasses.replace(column(tmp_path, values), name=f"c{k + 8}") == found[f"c{k + 8}"]
    assert list(found) == names


def test_lists_and_nested_values(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"v": [1, 2], "o": {"a": 1}, "x": 1}\n{"v": [1, 2, 3], "o": null, "x": 2}\n')
    found = profile(open_table(path)).columns
    assert (found["v"].kind, found["v"].lengths) == ("list", (2, 3))
    assert (found["o"].kind, found["o"].missing) == ("other", 1)


def test_odd_names_and_many_columns(tmp_path: Path) -> None:
    names = ['a "b"', "c'd", "e;f", "", *(f"x{k}" for k in range(60))]
    path = tmp_path / "t.csv"
    quoted = ",".join('"' + n.replace('"', '""') + '"' for n in names)
    path.write_text(quoted + "\n" + ",".join("1" for _ in names) + "\n" + ",".join("2" for _ in names) + "\n")
    found = profile(open_table(path))
    assert len(found.columns) == 64
    assert list(found.columns)[:3] == names[:3]
    assert {c.distinct for c in found.columns.values()} == {2}


def test_rows_from_the_start(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"c": ["1", "2", "x"], "d": [1, 2, 3]})
    assert profile(open_table(path), 2).columns["c"].kind == "integer"
    assert profile(open_table(path)).columns["c"].kind == "text"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_several_files(tmp_path: Path, kind: str) -> None:
    for part, rows in (("a", slice(0, 3)), ("b", slice(3, 8))):
        (tmp_path / part).mkdir()
        written(tmp_path / part, kind, {name: values[rows] for name, values in COLUMNS.items()})
    found = profile(open_source(tmp_path / "*" / f"t.{kind}"))  # type: ignore[arg-type]
    assert found == profile(open_table(written(tmp_path, kind, COLUMNS)))


def test_archives_are_no_tables(tmp_path: Path) -> None:
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"is no table: a\.npz"):
        profile(open_source(tmp_path / "*.npz"))  # type: ignore[arg-type]


def test_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n")
    found = profile(open_table(path))
    assert (found.rows, found.columns["a"].kind, found.columns["a"].distinct) == (0, "empty", 0)


def test_a_damaged_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 5000 + "1,2,3\n")
    with pytest.raises(DataError) as caught:
        profile(open_table(path))
    assert caught.value.code == "GS501"


def test_the_same_profile_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = written(tmp_path, "csv", {"a": rng.normal(size=3000).tolist(), "b": [f"w{k % 1301}" for k in range(3000)]})
    assert profile(open_table(path)) == profile(open_table(path))
