"""The type of every column of a new spec, by its values."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphspec.data.files import open_table
from graphspec.data.profile import profile
from graphspec.data.suggest import Column, choose

N = 400
rng = np.random.default_rng(2)
WORDS = np.array([f"word{k}" for k in range(300)])


def chosen(folder: Path, values: Any, name: str = "c", kind: str = "csv") -> Column:
    """The decision about one column of a table."""
    path = folder / f"t.{kind}"
    rows = [(value, k % 2) for k, value in enumerate(values)]
    if kind == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([(name, "y"), *rows])
    else:
        path.write_text("".join(json.dumps({name: value, "y": y}) + "\n" for value, y in rows))
    found = profile(open_table(path))
    return choose(found.columns[name], name, found, None)


CASES: dict[str, tuple[Any, str, dict[str, Any], str]] = {
    "floats": (rng.normal(size=N), "number", {}, ""),
    "few missing": (["NA", *rng.normal(size=N)], "number", {"missing": "median"}, "missing in 1 row"),
    "many missing": (
        ["" if k % 10 == 0 else v for k, v in enumerate(rng.normal(size=N))],
        "number",
        {"missing": "median", "indicator": True},
        "missing in 40 rows",
    ),
    "heavy tail": (np.exp(2 * rng.normal(size=N)), "number", {"scale": "log1p"}, "logarithm"),
    "flags": (rng.integers(0, 2, N), "number", {}, ""),
    "codes": (rng.integers(1, 8, N), "category", {"dtype": "int64"}, "`number` if they are amounts"),
    "few of many": (rng.integers(1, 8, N) * 10, "number", {}, "7 whole numbers: `{type: category"),
    "years": (rng.integers(2007, 2010, N), "number", {}, ""),
    "counts": (rng.integers(0, 200, N), "number", {}, ""),
    "zip codes": ([f"{k:05}" for k in rng.integers(0, 9, N)], "category", {}, "leading zeros"),
    "categories": (rng.choice(["a", "b", "c"], N), "category", {}, ""),
    "missing categories": (rng.choice(["a", "b", "NA"], N), "category", {"missing_values": ["NA"]}, ""),
    "perhaps missing": (rng.choice(["a", "b", "None"], N), "category", {}, "`missing_values: [None]` if None means"),
    "many categories": (rng.choice(WORDS[:100], N), "category", {"embed": 20}, ""),
    "rare categories": ([*WORDS[:90], *["a"] * 310], "category", {}, "90 of 91 values occur once"),
    "words among numbers": (
        ["unknown", *["45+"] * 9, *rng.normal(size=N)],
        "number",
        {"missing_values": ["45+", "unknown"], "missing": "median", "indicator": True},
        "98 % are numbers; missing are '45+' (9), 'unknown' (1)",
    ),
    "many words among numbers": (
        [*"abcdefg", *rng.integers(0, 9, N)],
        "category",
        {},
        "98 % of the values are numbers: `number` once the others are mended",
    ),
    "a marker": (
        [1e20, *rng.normal(size=N)],
        "number",
        {"missing_values": [1e20]},
        "beside 1e+20, all others are equal",
    ),
    "two cases": (
        rng.choice(["Ja", "nein", "ja"], N),
        "category",
        {"fold_case": True},
        "differ in case only",
    ),
    "booleans": (rng.choice(["True", "False"], N), "category", {"fold_case": True}, ""),  # a frame's are `true`
    "texts": (
        [" ".join(rng.choice(WORDS, 8)) for _ in range(N)],
        "text",
        {"ngrams": 2, "max_tokens": 30_000, "sublinear_tf": True, "norm": "l2", "characters": [2, 3, 4, 5]},
        "8.0 words on average: words, pairs of them, runs of 2 to 5 characters",
    ),
    "dates": (
        [f"20{k % 20 + 10}-0{k % 9 + 1}-{k % 28 + 1:02}" for k in range(N)],
        "date",
        {"parts": ["year", "month", "weekday"]},
        "2010-01-01 to 2029",
    ),
    "dates in one month": (
        [f"2024-05-{k % 28 + 1:02} {k % 24:02}:30" for k in range(N)],
        "date",
        {"parts": ["weekday", "hour"]},
        "2024-05-01 to 2024-05-28",
    ),
    "formats": (
        [f"{k % 28 + 1}/0{k % 9 + 1}/2024" for k in range(N)],
        "date",
        {"format": "%d/%m/%Y", "parts": ["month", "weekday"]},
        "2024",
    ),
    "either format": (
        [f"{k % 9 + 1}/{k % 7 + 1}/2024" for k in range(N)],
        "date",
        {"format": "%d/%m/%Y", "parts": ["month", "weekday"]},
        "may also be %m/%d/%Y",
    ),
    "dates and more": (
        ["soon", "soon", *[f"2024-05-{k % 28 + 1:02}" for k in range(N)]],
        "date",
        {"parts": ["weekday"]},
        "0.5 % of the values are not dates, and count as missing",
    ),
    "nearly numbers": (
        ["x", "y", *map(str, rng.integers(0, 9, N))],
        "number",
        {"missing_values": ["x", "y"], "missing": "median"},
        "missing are 'x' (1), 'y' (1)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_types(tmp_path: Path, case: str) -> None:
    values, kind, arguments, note = CASES[case]
    found = chosen(tmp_path, values)
    assert (found.type, dict(found.arguments), found.left_out) == (kind, arguments, False)
    assert note in "; ".join(found.notes)
    assert bool(note) == bool(found.notes)


LEFT_OUT: dict[str, tuple[Any, str]] = {
    "ids": (range(1000, 1000 + N), "is different in every row, an id"),
    "names": ([f"user{k}" for k in range(N)], "is different in every row, an id"),
    "constant": (["k"] * N, "is the same in every row: 'k'"),
    "empty": ([""] * N, "is empty"),
    "infinite": ([1.5, "inf", *range(N)], "has 1 infinite value"),
    "rare texts": ([*WORDS, *WORDS[:10]], "has 300 different values, nearly all of them rare"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_left_out(tmp_path: Path, case: str) -> None:
    values, note = LEFT_OUT[case]
    found = chosen(tmp_path, values)
    assert found.left_out
    assert note in found.notes[0]


def test_an_id_by_its_name(tmp_path: Path) -> None:
    values = rng.permutation(10**6)[:N].tolist()
    assert not chosen(tmp_path, values, "amount").left_out
    assert chosen(tmp_path, values, "user_id").left_out


def test_a_leak_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "1,2\n3,4\n" * 30)
    found = profile(open_table(path))
    column = choose(found.columns["a"], "a", found, "is the target in other words")
    assert (column.left_out, column.notes, column.type) == (True, ("is the target in other words",), "number")


def test_files_with_types(tmp_path: Path) -> None:
    assert chosen(tmp_path, [bool(k % 3) for k in range(N)], kind="jsonl").type == "number"
    assert chosen(tmp_path, [None, *(bool(k % 3) for k in range(N))], kind="jsonl").type == "category"
    assert "or is of a type that columns do not read" in chosen(tmp_path, [{"a": 1}] * N, kind="jsonl").notes[0]
    found = chosen(tmp_path, [str(k % 9 * 2) for k in range(N)], kind="jsonl")
    assert (found.left_out, found.notes) == (True, ("has numbers stored as text: store numbers",))
    found = chosen(tmp_path, [[1, 2]] * N, kind="jsonl")
    assert (found.left_out, found.type) == (True, None)
