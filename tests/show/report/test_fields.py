"""Fields of a row: columns of records, named features of windows, features of arrays, whole pictures and texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays.strings import Strings
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.show.report.rows import Field, fields
from graphspec.show.report.worst import compact, plain

HEAD = {"y": {"loss": "mse"}}


def _named(inputs: dict[str, Any], layers: list[dict[str, Any]], **more: Any) -> list[tuple[str, str, int | None]]:
    spec = {"graphspec": 1, "name": "f", "inputs": inputs, "layers": layers, "outputs": HEAD, **more}
    return [(f.name, f.input, f.place) for f in fields(gs.compile(spec).spec)]


def test_columns_have_their_names_in_the_data() -> None:
    columns = {"age": {"type": "number", "column": "Age in years"}, "job": "category"}
    found = _named({"person": {"columns": columns}}, [{"name": "y", "type": "Dense", "units": 1}])
    assert found == [("Age in years", "age", None), ("job", "job", None)]


def test_features_of_arrays_are_fields_with_their_columns_or_places() -> None:
    layers = [{"type": "Flatten", "inputs": "x"}, {"name": "y", "type": "Dense", "units": 1}]
    assert _named({"x": {"shape": [2]}}, layers) == [("x[0]", "x", 0), ("x[1]", "x", 1)]
    data = {"train": {"file": "a.csv", "inputs": {"x": ["temp", "hum"]}}}
    assert _named({"x": {"shape": [6, 2]}}, layers, data=data) == [("temp", "x", 0), ("hum", "x", 1)]
    assert _named({"x": {"shape": [8, 8, 3]}}, layers) == [("x", "x", None)]
    assert _named({"x": {"shape": [28, 28]}}, layers) == [("x", "x", None)]
    assert _named({"x": {"shape": [500]}}, layers) == [("x", "x", None)]
    assert _named({"x": {"shape": [1]}}, layers) == [("x", "x", None)]


def test_missing_values_of_each_kind() -> None:
    spec = {
        "graphspec": 1,
        "name": "f",
        "inputs": {"r": {"columns": {"sex": {"type": "category", "missing_values": ["NA"]}}}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": HEAD,
    }
    [sex] = fields(gs.compile(spec).spec)
    texts = sex.of({"sex": Strings.of([["m"], ["NA"], [""]])})
    assert sex.missing(texts).tolist() == [[False], [True], [True]]
    simple = Field("x", "x")
    assert simple.missing(np.array([1.0, np.nan])).tolist() == [False, True]
    assert simple.missing(np.array([3, MISSING_INTEGER])).tolist() == [False, True]
    assert simple.missing(np.array([0, 255], np.uint8)).tolist() == [False, False]
    assert Field("x", "x", 1).of({"x": np.arange(6).reshape(3, 2)}).tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("value", "text", "short"),
    [
        (3.0, "3", "3"),
        (-0.0, "0", "0"),
        (12345.678, "12345.7", "12346"),
        (1632772.4, "1632772", "1632772"),  # a price keeps its digits
        (-1632772.6, "-1632773", "-1632773"),
        (16327724.4, "1.63277e+07", "1.633e+07"),  # beyond those that a float32 has
    ],
)
def test_numbers_are_short_and_keep_whole_digits(value: float, text: str, short: str) -> None:
    assert (plain(value), compact(value)) == (text, short)
