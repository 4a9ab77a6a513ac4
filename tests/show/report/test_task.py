"""What a network does, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest

import graphspec as gs
from graphspec.show.report.about import kind, listed, sentence

DENSE = {"name": "y", "type": "Dense", "units": 1}


def net(inputs: dict[str, Any], layers: list[dict[str, Any]], **outputs: Any) -> gs.Model:
    return gs.compile({"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": outputs})


@pytest.mark.parametrize(
    ("units", "activation", "output", "wanted", "of"),
    [
        (1, None, {"loss": "mse"}, "y: a number", "Regression"),
        (3, None, {"loss": "mse"}, "y: 3 numbers", "Regression"),
        (1, "sigmoid", {"loss": "binary_crossentropy"}, "y: yes or no", "Classification"),
        (1, "sigmoid", {"loss": "binary_crossentropy", "labels": ["bad", "good"]}, "y: bad or good", "Classification"),
        (4, "sigmoid", {"loss": "binary_crossentropy"}, "y: which of 4 classes apply", "Multi-label classification"),
        (2, "softmax", {"loss": "sparse_categorical_crossentropy"}, "y: one of 2 classes", "Classification"),
        (
            6,
            "softmax",
            {"loss": "categorical_crossentropy", "labels": list("abcdef")},
            "y: one of 6 classes (a, b, c, d, e, …)",
            "Classification",
        ),
    ],
)
def test_heads(units: int, activation: str | None, output: dict[str, Any], wanted: str, of: str) -> None:
    model = net({"x": {"shape": [2]}}, [DENSE | {"units": units, "activation": activation}], y=output)
    assert sentence(model) == f"Reads 2 numbers, x. Answers {wanted}."
    assert kind(model) == of


def test_inputs() -> None:
    layers = [{"name": "flat", "type": "Flatten"}, DENSE]
    assert "a picture of 8 × 9 pixels, image" in sentence(
        net({"image": {"shape": [8, 9, 3]}}, layers, y={"loss": "mse"})
    )
    columns = {"row": {"columns": dict.fromkeys("abcdefg", "number")}}
    assert sentence(net(columns, [DENSE], y={"loss": "mse"})).startswith(
        "Reads a record of 7 columns (a, b, c, d, e, …)."
    )


def test_windows_read_steps_of_columns() -> None:
    windows = {"length": 4, "horizon": 3, "order": "t", "future": ["ahead"], "static": ["now"]}
    columns = {"past": ["load", "wind"], "now": "t", "ahead": ["holiday"]}
    data = {"train": {"file": "a.csv", "windows": windows, "inputs": columns, "targets": {"y": "load"}}}
    inputs = {"past": {"shape": [4, 2]}, "now": {"shape": [1], "dtype": "string"}, "ahead": {"shape": [3, 1]}}
    layers = [{"name": "flat", "type": "Flatten", "inputs": "past"}, DENSE | {"units": 3}]
    model = gs.compile(net(inputs, layers, y={"loss": "mse"}).document() | {"data": data})
    reads = "Reads load, wind of the last 4 steps; t; and holiday of the 3 steps ahead."
    assert sentence(model) == f"{reads} Answers y: 3 numbers."


def test_several_heads() -> None:
    layers = [
        {"name": "a", "type": "Dense", "units": 1, "inputs": "x"},
        DENSE | {"activation": "sigmoid", "inputs": "x"},
    ]
    model = net({"x": {"shape": [2]}}, layers, a={"loss": "mse"}, y={"loss": "binary_crossentropy"})
    assert sentence(model) == "Reads 2 numbers, x. Answers a: a number; y: yes or no."
    assert kind(model) == "Regression and classification"


def test_kinds_are_listed_as_people_do() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([]) == ""
