"""What the texts of an ONNX file say, as onnxruntime and every viewer show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.graph.onnx_session import session
from specs import blobs, dense_spec


def texts(path: Path) -> dict[str, str]:
    """Return the texts of inputs and outputs by name."""
    graph = onnx.load(path).graph
    return {value.name: value.doc_string for value in (*graph.input, *graph.output)}


def test_the_description_of_the_model(tmp_path: Path) -> None:
    gs.compile(dense_spec(description="Species of a penguin, °C inside")).export(tmp_path / "a.onnx")
    meta = session(tmp_path / "a.onnx", threads=1).get_modelmeta()
    assert meta.description == meta.graph_description == "Species of a penguin, °C inside"
    assert onnx.load(tmp_path / "a.onnx").doc_string == "Species of a penguin, °C inside"


def test_classes_and_columns(tmp_path: Path) -> None:
    spec = dense_spec()
    spec["inputs"]["x"] |= {"description": "Bill and flipper, in mm.", "column": "sizes"}
    spec["outputs"]["kind"] |= {"labels": ["red", "it's", "blue\n"], "description": "Its colour."}
    model = gs.compile(spec)
    model.export(tmp_path / "a.onnx")
    found = texts(tmp_path / "a.onnx")
    assert found["x"] == "Bill and flipper, in mm; column 'sizes'"
    assert found["kind"] == 'Its colour; probability of each class: 0 is \'red\', 1 is "it\'s", 2 is "blue\\n"'
    assert found["kind_label"] == "label of the class with the largest value of 'kind'"
    facts = {p.key: p.value for p in onnx.load(tmp_path / "a.onnx").metadata_props}
    signature = json.loads(facts["graphspec.signature"])
    assert signature["inputs"][0]["description"] == "Bill and flipper, in mm."
    assert signature["outputs"][0]["description"] == "Its colour."


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"labels": ["no", "yes"]}, "probability of 'yes'; above 0.5 it means 'yes', else 'no'"),
        ({}, "probability of class 1; above 0.5 it means class 1, else class 0"),
        ({"loss": {"type": "binary_crossentropy", "from_logits": True}}, ""),
        ({"loss": "mean_squared_error", "description": "Price in $1000."}, "Price in $1000"),
        ({"loss": None}, ""),
    ],
)
def test_one_unit(head: dict[str, Any], said: str, tmp_path: Path) -> None:
    layers = [{"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"}]
    gs.compile(dense_spec(layers=layers, outputs={"y": {"loss": "binary_crossentropy"} | head})).export(
        tmp_path / "a.onnx"
    )
    found = texts(tmp_path / "a.onnx")
    assert found["y"] == said
    if "labels" in head:
        assert found["y_label"] == "'yes' if 'y' is above 0.5, else 'no'"


def test_ids_missing_values_and_columns_of_records(tmp_path: Path) -> None:
    spec = {
        "graphspec": 1,
        "name": "mixed",
        "inputs": {
            "words": {"shape": [5], "dtype": "int64", "description": "Ids of words"},
            "it": {
                "columns": {
                    "size": {"type": "number", "description": "Size in cm.", "column": "Size"},
                    "town": "category",
                }
            },
        },
        "layers": [
            {"name": "e", "type": "Embedding", "input_dim": 20, "output_dim": 2, "mask_zero": True, "inputs": "words"},
            {"name": "m", "type": "GlobalAveragePooling1D"},
            {"name": "both", "type": "Concatenate", "inputs": ["m", "it"]},
            {"name": "price", "type": "Dense", "units": 1},
        ],
        "outputs": {"price": {"loss": "mean_squared_error", "scale": "standard"}},
    }
    model = gs.compile(spec)
    random = np.random.default_rng(0)
    x = {"words": random.integers(1, 20, (9, 5)), "size": random.normal(size=9), "town": np.array(list("abcabcabc"))}
    model.fit(x, np.arange(9.0), verbose=0)
    model.export(tmp_path / "a.onnx")
    found = texts(tmp_path / "a.onnx")
    assert found["words"] == "Ids of words; ids from 0 to 19; id 0 is padding"
    assert found["size"] == "Size in cm; column 'Size'; NaN stands for a missing value"
    assert found["town"] == '"" (an empty text) stands for a missing value'
    assert found["price"] == "in the unit of the target, whose mean was 4 and whose deviation was 2.58199"


def test_many_labels_are_cut(tmp_path: Path) -> None:
    layers = [{"name": "kind", "type": "Dense", "units": 300, "activation": "softmax"}]
    spec = dense_spec(layers=layers)
    spec["outputs"]["kind"]["labels"] = [f"c{k}" for k in range(300)]
    gs.compile(spec).export(tmp_path / "a.onnx", rows=blobs(3)[0])
    text = texts(tmp_path / "a.onnx")["kind"]
    assert text.endswith("39 is 'c39', … (300 in all)")
