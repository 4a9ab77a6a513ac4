"""What fields hold, by hand: kinds, missing and different values, ranges, shares, drift, unseen values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays.strings import Strings
from graphspec.data.batches import Dataset
from graphspec.show.report.columns import Facts, facts, stability
from graphspec.show.report.rows import fields


def _facts(columns: Any, *parts: dict[str, Any], inputs: dict[str, Any] | None = None) -> list[Facts]:
    spec = {
        "graphspec": 1,
        "name": "f",
        "inputs": inputs or {"r": {"columns": columns}},
        "layers": [{"type": "Flatten"}] * (inputs is not None) + [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
    }
    declared = gs.compile(spec).spec
    return facts(
        declared, fields(declared), {name: Dataset(p) for name, p in zip(("train", "test"), parts, strict=False)}
    )


def test_numbers() -> None:
    values = np.append(np.arange(99, dtype=np.float32), np.nan).reshape(-1, 1)
    [found] = _facts({"age": "number"}, {"age": values}, {"age": values + 50})
    assert (found.kind, found.distinct, found.samples["train"].missing) == ("number", 99, 1)
    assert found.about == "0 to 98; quartiles 24.5, 49, 73.5"
    assert len(found.bins) == 20
    assert found.shares["train"].sum() == pytest.approx(1)
    assert found.shares["test"][-1] > 0.4
    assert found.index is not None
    assert found.index > 2 > 0.5 > found.chance > 0.4  # χ² of 10 degrees: 23.2, with 100 rows each


def test_numbers_of_few_values_have_a_bin_for_each() -> None:
    [found] = _facts({"rooms": "number"}, {"rooms": np.array([[2.0], [3.0], [3.0], [4.5]], np.float32)})
    assert (found.bins, found.shares["train"].tolist()) == (["2", "3", "4.5"], [0.25, 0.5, 0.25])
    assert found.index is None
    [same] = _facts({"rooms": "number"}, {"rooms": np.full((4, 1), np.nan, np.float32)})
    assert same.about == "no values"
    [constant] = _facts({"rooms": "number"}, {"rooms": np.ones((4, 1), np.float32)})
    assert (constant.about, constant.bins) == ("always 1", ["1"])


def test_categories_and_those_that_training_rows_lack() -> None:
    train = Strings.of([["a"]] * 6 + [["b"]] * 3 + [["NA"]])
    test = Strings.of([["a"]] * 5 + [["new"]] * 4 + [[""]])
    [found] = _facts({"c": {"type": "category", "missing_values": ["NA"]}}, {"c": train}, {"c": test})
    assert (found.kind, found.distinct, found.unseen) == ("category", 2, [("new", 4)])
    assert (found.samples["train"].missing, found.samples["test"].missing) == (1, 1)
    assert found.bins == ["a", "b", "all others"]
    np.testing.assert_allclose(found.shares["test"], [5 / 9, 0, 4 / 9])
    assert found.index == pytest.approx(stability(np.array([6, 3, 1, 0]), np.array([5, 0, 1, 4])))


def test_dates_are_ordered_as_dates_of_their_format() -> None:
    """As texts, 31.12.2021 is after 18.06.2024, and a day that the training rows lack is a new value."""
    train = Strings.of([[f"{1 + k % 28:02d}.{1 + k % 12:02d}.{2019 + k % 6}"] for k in range(200)] + [[""], ["never"]])
    later = Strings.of([[f"{1 + k % 28:02d}.{1 + k % 12:02d}.2025"] for k in range(100)])
    [day] = _facts({"day": {"type": "date", "format": "%d.%m.%Y"}}, {"day": train}, {"day": later})
    assert (day.kind, day.about, day.unseen) == ("date", "2019-01-01 to 2024-12-28", ())
    assert (day.samples["train"].missing, day.bins[0]) == (2, "below 2019-04-20")
    assert day.shares["test"][-1] == 1
    assert day.index is not None
    assert day.index > 1


def test_texts_have_lengths_and_dates_a_range() -> None:
    texts = Strings.of([[" ".join(["word"] * k)] for k in range(1, 31)])
    dates = Strings.of([[f"2024-01-{k:02d}"] for k in range(1, 31)])
    columns = {"note": {"type": "text"}, "day": "date"}
    note, day = _facts(columns, {"note": texts, "day": dates})
    assert (note.kind, note.about) == ("text", "1 to 30 words; quartiles 8.25, 15.5, 22.75")
    assert (day.kind, day.about) == ("date", "2024-01-01 to 2024-01-30")


def test_pictures_have_their_brightness() -> None:
    pictures = np.zeros((4, 8, 12, 1), np.uint8)
    pictures[2:] = 255
    [found] = _facts(None, {"x": pictures}, inputs={"x": {"shape": [8, 12, 1]}})
    assert (found.kind, found.distinct) == ("picture", 2)
    assert found.about == "12 × 8 grey pixels; mean 0 to 1 of full brightness; quartiles 0, 0.5, 1"


def test_sequences_of_ids_are_counted_at_all_positions() -> None:
    ids = np.array([[5, 7], [5, 0]])
    spec = {
        "graphspec": 1,
        "name": "f",
        "inputs": {"x": {"shape": [2], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "input_dim": 9, "output_dim": 2},
            {"type": "Flatten"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
    }
    declared = gs.compile(spec).spec
    [found] = facts(declared, fields(declared), {"train": Dataset({"x": ids})})
    assert (found.kind, found.distinct, found.bins) == ("ids", 3, ["0", "5", "7"])
    assert found.shares["train"].tolist() == [0.25, 0.5, 0.25]
