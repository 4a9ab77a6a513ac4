"""Heads beside the data that the spec names for them, before a file is opened."""

from __future__ import annotations

from typing import Any

import pytest

import graphspec as gs

STEPS = {"name": "steps", "type": "Reshape", "target_shape": [8, 1]}
CASES: dict[str, tuple[list[dict[str, Any]], str, dict[str, Any], str | None]] = {
    "a value for each step": (
        [STEPS, {"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"}],
        "binary_crossentropy",
        {"file": "t.csv", "targets": {"y": "label"}},
        "column 'label' of 't.csv' has one value in each row, but the target of head 'y' has shape (N, 8, 1)",
    ),
    "a class for each step": (
        [STEPS, {"name": "y", "type": "Dense", "units": 2, "activation": "softmax"}],
        "sparse_categorical_crossentropy",
        {"file": "t.tsv"},
        "column 'y' of 't.tsv' has one value in each row, but the target of head 'y' has shape (N, 8)",
    ),
    "several numbers": (
        [{"name": "y", "type": "Dense", "units": 3}],
        "mean_squared_error",
        {"file": "t.csv"},
        "column 'y' of 't.csv' has one value in each row, but the target of head 'y' has shape (N, 3)",
    ),
    "several columns": (
        [{"name": "y", "type": "Dense", "units": 3}],
        "mean_squared_error",
        {"file": "t.csv", "targets": {"y": ["a", "b", "c"]}},
        None,
    ),
    "texts that become vectors": (
        [{"name": "y", "type": "Dense", "units": 3, "activation": "softmax"}],
        "categorical_crossentropy",
        {"file": "t.csv"},
        None,
    ),
    "arrays": ([{"name": "y", "type": "Dense", "units": 3}], "mean_squared_error", {"file": "t.npz"}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_one_column_for_a_head_with_several_values(name: str) -> None:
    layers, loss, source, message = CASES[name]
    document = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [8]}},
        "layers": layers,
        "outputs": {"y": {"loss": loss}},
        "data": {"train": source},
    }
    found = [(d.code, d.message, d.path) for d in gs.validate(document) if d.is_error]
    path = "data.train.targets.y" if "targets" in source else "data.train"
    assert found == ([] if message is None else [("GS503", message, path)])


def test_the_hint_for_a_list_in_each_row() -> None:
    layers = [{"name": "y", "type": "Dense", "units": 2, "activation": "softmax"}]
    outputs, data = {"y": {"loss": "sparse_categorical_crossentropy"}}, {"train": {"file": "t.csv"}}
    document = {"graphspec": 1, "name": "net", "inputs": {"s": {"shape": ["time", 3]}}, "layers": layers}
    [found] = gs.validate(document | {"outputs": outputs, "data": data})
    assert found.hint == "write lists in JSON Lines, or end with one value for each row"
