"""Drift of new rows against what a network learnt: by hand, by the command, and what damaged files say."""

from __future__ import annotations

import csv
import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from paths import ROOT

import graphspec as gs
from graphspec.base.document import Text
from graphspec.engine.training.adapt import _of_categories, _of_dates, _of_numbers
from graphspec.show.live_rows import Drift, drifts, shown
from graphspec.vocabulary.layers.dates import DateParts

TABLE = ROOT / "specs" / "data" / "penguins.csv"
ROWS = 400


def spec(**columns: Any) -> Any:
    layers = [{"name": "y", "type": "Dense", "units": 1}]
    outputs = {"y": {"loss": "mean_squared_error"}}
    return {"graphspec": 1, "name": "s", "inputs": {"r": {"columns": columns}}, "layers": layers, "outputs": outputs}


@pytest.fixture(scope="module")
def model() -> Any:
    random = np.random.default_rng(0)
    town = random.choice(["Rome", "Oslo", "Bern", ""], ROWS, p=[0.5, 0.3, 0.1, 0.1])
    rows = {"age": random.normal(40, 10, ROWS), "town": town.astype(object), "kind": random.integers(0, 3, ROWS)}
    made = gs.compile(spec(age="number", town="category", kind={"type": "category", "dtype": "int64"}))
    made.fit(rows, np.zeros((ROWS, 1), np.float32), epochs=1, verbose=0)
    return made, rows


def test_what_is_learnt_is_how_the_rows_are_spread(model: Any) -> None:
    made, rows = model
    known = made.adapted.inputs
    borders = np.quantile(rows["age"].astype(np.float32), np.arange(1, 10) / 10, method="inverted_cdf")
    found = known["age"]["distribution"]
    assert len(found["borders"]) == 9
    assert np.abs(np.array(found["borders"]) - borders).max() < 1
    assert (sum(found["counts"]), found["rows"], found["missing"]) == (ROWS, ROWS, 0)
    assert found["ends"] == [float(rows["age"].astype(np.float32).min()), float(rows["age"].astype(np.float32).max())]
    town = known["town"]["distribution"]
    assert dict(zip(town["values"], town["counts"], strict=True)) == {
        name: int((rows["town"] == name).sum()) for name in ("Rome", "Oslo", "Bern")
    }
    assert town["missing"] == int((rows["town"] == "").sum())


def test_the_index_and_the_shares_by_hand(model: Any) -> None:
    made, rows = model
    town = np.array(["Rome"] * 10 + ["Oslo"] * 60 + ["Paris"] * 20 + [""] * 10, object)
    new = {"age": np.append(np.full(90, 40.0), np.full(10, 500.0)), "town": town, "kind": np.zeros(100, np.int64)}
    found = {each.input: each for each in drifts(made.spec, made.adapted.inputs, new)}
    before = [np.mean(rows["town"] == name) for name in ("Rome", "Oslo", "Bern", "")]
    after, nothing = [0.1, 0.6, 0.5 / 100, 0.1], 0.5 / ROWS
    by_hand = sum((q - p) * math.log(q / p) for p, q in zip([*before, nothing], [*after, 0.2], strict=True))
    assert found["town"].index == pytest.approx(by_hand)
    assert (found["town"].beyond, found["town"].examples, found["town"].missing) == (0.2, ["Paris"], 0.1)
    assert (found["age"].beyond, found["age"].examples, found["age"].drift) == (0.1, [500.0], "large")
    assert [each.input for each in drifts(made.spec, made.adapted.inputs, new)][-1] == min(
        found, key=lambda k: found[k].index
    )


def test_other_rows_of_one_distribution_have_no_drift(model: Any) -> None:
    made, _ = model
    random, large = np.random.default_rng(1), 0
    for _ in range(20):
        town = random.choice(["Rome", "Oslo", "Bern", ""], 100, p=[0.5, 0.3, 0.1, 0.1]).astype(object)
        new = {"age": random.normal(40, 10, 100), "town": town, "kind": random.integers(0, 3, 100)}
        large += sum(each.drift != "none" for each in drifts(made.spec, made.adapted.inputs, new))
    assert large <= 4  # of 60; 1 % by chance, and what the training rows have by chance is always compared with


@pytest.mark.parametrize(("others", "names"), [([], None), (["day", "note"], "day, note")])
def test_inputs_that_are_not_compared_are_named(others: list[str], names: str | None) -> None:
    texts = [
        str(block.content)
        for block in shown([Drift("age", 0.0, "none", 0, 0, 0, [])], 5, 10, others)
        if isinstance(block, Text)
    ]
    assert [text for text in texts if text.startswith("not compared")] == (
        [] if names is None else [f"not compared, no single number, category or date: {names}"]
    )


def test_numbers_with_ties_gaps_and_a_single_value() -> None:
    assert _of_numbers(np.full(5, 2.0), 7, np.float32) == {
        "rows": 7, "missing": 2, "ends": [2.0, 2.0], "borders": [2.0], "counts": [0, 5]
    }  # fmt: skip
    assert _of_categories(["a", "a", "once", ""], {""}) == {"rows": 4, "missing": 1, "values": ["a"], "counts": [2]}


def days(first: str, count: int, hours: int = 24, form: str = "%Y-%m-%d %H:%M") -> list[str]:
    return [(datetime.fromisoformat(first) + timedelta(hours=hours * k)).strftime(form) for k in range(count)]


WEEK = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
TWO_YEARS = days("2022-01-01", 2 * 365)
# the dates of the training, new dates, and of the date and of its parts: drift, share beyond, examples; the days later
DATES: list[tuple[list[str], list[str], dict[str | None, tuple[str, float, list[Any]]], float | None]] = [
    (TWO_YEARS, TWO_YEARS, {None: ("none", 0, []), "month": ("none", 0, []), "weekday": ("none", 0, [])}, None),
    (TWO_YEARS, days("2024-01-01", 100), {
        None: ("none", 1, ["2024-01-01", "2024-04-09"]), "month": ("short", 0, []), "weekday": ("none", 0, []),
    }, 100),
    ([d for d in TWO_YEARS if datetime.fromisoformat(d).weekday() < 5], days("2023-01-02", 70), {
        None: ("none", 0, []), "month": ("short", 0, []), "weekday": ("large", 2 / 7, ["Sat", "Sun"]),
    }, None),
    (days("2023-01-01", 181), days("2023-07-01", 365), {  # half a year: the other months are new
        None: ("none", 1, ["2023-07-01", "2024-06-29"]), "weekday": ("none", 0, []),
        "month": ("large", 184 / 365, [7, 8, 9, 10, 11, 12]),
    }, 365),
    (days("2023-01-01", 365), days("2023-01-01", 365, form="%d/%m/%Y"), {None: ("large", 0, [])}, None),  # unreadable
    (days("2023-01-02", 500), ["1900-01-01", *days("2023-01-02", 499)], {
        None: ("none", 1 / 500, ["1900-01-01"]), "month": ("none", 0, []), "weekday": ("none", 0, []),
    }, None),
    (["", "never"], days("2023-01-01", 40), {
        None: ("large", 1, ["2023-01-01", "2023-02-09"]), "month": ("short", 1, [1, 2]), "weekday": ("none", 1, WEEK),
    }, None),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "wanted", "later"), DATES)
def test_dates(before: list[str], after: list[str], wanted: dict[str | None, Any], later: float | None) -> None:
    layer = DateParts(parts=("month", "weekday", "days"))
    record = json.loads(json.dumps({"dates": _of_dates(before, layer)}))
    given = gs.compile(spec(day={"type": "date", "parts": list(layer.parts)})).spec
    found = drifts(given, {"day": record, "old": {"low": 0}}, {"day": np.array(after, object)})
    assert {each.part: (each.drift, each.beyond, each.examples) for each in found} == {
        part: (drift, pytest.approx(beyond), examples) for part, (drift, beyond, examples) in wanted.items()
    }
    assert [each.days_later for each in found if each.days_later is not None] == ([] if later is None else [later])
    assert all(math.isnan(each.index) == (each.drift == "short") for each in found)


def test_dates_are_learnt_with_the_last_row_and_stay_out_of_the_signature(tmp_path: Path) -> None:
    texts = days("2020-01-01", 20_001, hours=1)  # more than are looked at
    made = gs.compile(spec(day={"type": "date", "parts": ["hour"]}, age="number"))
    rows = {"day": np.array(texts, object), "age": np.arange(len(texts), dtype=np.float32)}
    made.fit(rows, np.zeros((len(texts), 1), np.float32), epochs=1, batch_size=4096, verbose=0)
    record = made.adapted.inputs["day"]["dates"]
    assert record["ends"] == [
        datetime.fromisoformat(texts[0]).isoformat(),
        datetime.fromisoformat(texts[-1]).isoformat(),
    ]
    assert (sum(record["parts"]["hour"]), record["rows"], len(record["parts"])) == (10_001, 10_001, 1)
    made.export(tmp_path / "m.onnx", signature=tmp_path / "m.json")
    (tmp_path / "new.csv").write_text("\n".join(["day,age", *(f"{day},1" for day in days("2023-01-01", 48, 1))]))
    shown = graphspec("data", tmp_path / "m.onnx", tmp_path / "new.csv")
    assert "100 %: 2023-01-01 to 2023-01-02 23:00" in shown.stdout
    assert "day: hour" in shown.stdout
    signature = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert "usual" not in next(each for each in signature["inputs"] if each["name"] == "day")


@pytest.mark.parametrize(
    ("how", "status", "said", "warned"),
    [
        ({"every": "1h", "missing": "previous"}, 0, "2 of 40 time steps, one every 1h, are missing, and filled", ""),
        ({}, 0, "2 of 40 time steps, one every 1h, are missing", "warning[GS516]"),
        ({"every": "1h"}, 1, "", "error[GS516]"),
    ],
)
def test_the_time_steps_of_series(tmp_path: Path, how: dict[str, Any], status: int, said: str, warned: str) -> None:
    windows = {"length": 3, "horizon": 1, "order": "at", **how}
    train = {"file": "rows.csv", "windows": windows, "inputs": {"x": "load"}, "targets": {"y": "load"}}
    given = {**spec(), "inputs": {"x": {"shape": [3]}}, "data": {"train": train}}
    lines = ["at,load", *(f"{at},{k}" for k, at in enumerate(days("2023-01-01", 40, 1)) if k not in (7, 20))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    gs.compile(given).export(tmp_path / "m.onnx")
    result = graphspec("data", tmp_path / "m.onnx", tmp_path / "rows.csv")
    assert (result.exit_code, said in result.stdout.splitlines() or not said, warned in result.stderr) == (
        status,
        True,
        True,
    )
    assert bool(result.stderr) == bool(warned)
    if not status:
        steps = {"every": "1h", "steps": 40, "missing": 2, "filled": "missing" in how}
        found = json.loads(graphspec("data", tmp_path / "m.onnx", tmp_path / "rows.csv", "--json").stdout)
        assert (found["steps"], found["inputs"]) == (steps, [])


@pytest.fixture(scope="module")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("penguins")
    made = ("train", ROOT / "specs" / "penguins.yaml", "--set", "training.epochs=1", "--out", folder / "run")
    assert graphspec(*made, "--no-report", "--export", folder / "p.onnx").exit_code == 0
    rows = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
    for k, row in enumerate(rows):
        row["island"] = "Elba" if k % 3 == 0 else row["island"]
        row["bill_length_mm"] = "" if k % 2 else row["bill_length_mm"]
    with (folder / "moved.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.parametrize("network", ["run", "p.onnx"])
def test_the_command(penguins: Path, network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    same = graphspec("data", penguins / network, TABLE)
    assert (same.exit_code, "no large drift" in same.stdout) == (0, True)
    assert "NA" not in same.stdout  # which the spec says is missing
    moved = graphspec("data", penguins / network, penguins / "moved.csv")
    assert moved.exit_code == 1
    assert "large drift: bill_length_mm, island" in moved.stdout
    assert "33 %: Elba" in moved.stdout
    assert max(map(len, moved.stdout.splitlines())) <= 80
    found = json.loads(graphspec("data", penguins / network, penguins / "moved.csv", "--json").stdout)
    assert {each["input"] for each in found["inputs"] if each["drift"] == "large"} == {"island", "bill_length_mm"}
    few = json.loads(graphspec("data", penguins / network, TABLE, "--rows", "20", "--json").stdout)
    assert few["rows"] == 20


def test_what_cannot_be_compared_says_why(penguins: Path, tmp_path: Path) -> None:
    result = graphspec("data", ROOT / "specs" / "penguins.yaml", TABLE)
    assert (result.exit_code, "has learnt from no rows" in result.stderr) == (2, True)
    made = gs.compile({**spec(), "inputs": {"x": {"shape": [3]}}})
    made.fit(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32), epochs=1, verbose=0)
    made.export(tmp_path / "m.onnx")
    result = graphspec("data", tmp_path / "m.onnx", TABLE)
    assert (result.exit_code, "does not say how its training rows were spread" in result.stderr) == (2, True)
    record = json.loads((penguins / "run" / "adapted.json").read_text(encoding="utf-8"))
    for wrong in ({"counts": 3}, {"counts": [1], "rows": 2, "missing": 0, "ends": [1], "borders": [1]}, 7):
        with pytest.raises(ValueError, match="its record of the training rows' 'year' is wrong"):
            drifts(gs.compile(spec(year="number")).spec, {"year": {"distribution": wrong}}, {"year": np.ones(3)})
    assert "year" in record["inputs"]
    dates = {"rows": 2, "missing": 0, "ends": ["2023-01-01", "2023-01-02"], "parts": {"weekday": [0, 2]}}
    for wrong in ({}, 7, {**dates, "ends": ["soon"] * 2}, {**dates, "ends": [1, 2]}, dates):
        with pytest.raises(ValueError, match="its record of the training rows' 'day' is wrong"):
            drifts(gs.compile(spec(day="date")).spec, {"day": {"dates": wrong}}, {"day": np.array(["2023-01-01"])})
