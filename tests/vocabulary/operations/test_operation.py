"""Layers that are made from functions: their signature, names, masks and mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.vocabulary.layers import LAYERS, OPERATIONS

NAMES = [name for names in OPERATIONS.values() for name in names.split()]


def spec(*layers: dict[str, Any], head: str = "y", shape: Any = (3,), **inputs: Any) -> dict[str, Any]:
    declared = {"x": {"shape": list(shape)}, **inputs}
    return {"graphspec": 1, "name": "s", "inputs": declared, "layers": [*layers], "outputs": {head: {}}}


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_described(name: str) -> None:
    cls = LAYERS.get(name)
    assert cls is not None
    assert cls.__name__ == name
    assert cls.__doc__
    assert all(field.description for field in cls.model_fields.values())
    assert name not in LAYERS.refused


def test_the_signature_becomes_arguments() -> None:
    cls = LAYERS.get("ops.sum")
    assert cls is not None
    assert cls.arity == (1, 1)
    assert list(cls.model_fields) == ["axis", "keepdims"]
    assert cls.model_validate({"axis": [1, 2]}).axis == (1, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("layer", "code", "text"),
    [
        ({"type": "ops.sum", "axis": 5}, "GS301", "axis 5"),
        ({"type": "ops.sum", "axes": 1}, "GS102", "unknown key 'axes'"),
        ({"type": "ops.sum", "keepdims": 1}, "GS104", "`keepdims`"),
        ({"type": "ops.add", "inputs": ["x"]}, "GS203", "takes 2 inputs, got 1"),
        ({"type": "ops.max", "inputs": ["x", "x"]}, "GS203", "takes 1 input, got 2"),
        ({"type": "ops.summ"}, "GS111", "unknown layer 'ops.summ'"),
        ({"type": "onnx.ReduceSumm"}, "GS111", "unknown layer 'onnx.ReduceSumm'"),
        ({"type": "onnx.CTCLoss"}, "GS111", "unknown layer 'onnx.CTCLoss'"),
    ],
)
def test_mistakes(layer: dict[str, Any], code: str, text: str) -> None:
    problems = check(spec({"name": "y", **layer})).errors
    assert [(p.code, text in p.message) for p in problems] == [(code, True)], problems


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ops.summ", "did you mean 'ops.sum'?"),
        ("onnx.TopKs", "did you mean 'onnx.TopK'?"),
        ("keras.ops.sum", "write `ops.sum`"),
        ("np.argmax", "write `ops.argmax`"),
        ("torch.maximum", "write `ops.maximum`"),
        ("argmax", "write `ops.argmax`"),
        ("sum", "write `ops.sum`; for a layer, did you mean 'Add'?"),
        ("maximum", "did you mean 'Maximum'?"),
        ("keras.layers.Dense", "write `Dense`"),
    ],
)
def test_other_spellings_lead_to_it(name: str, hint: str) -> None:
    (problem,) = check(spec({"name": "y", "type": name})).errors
    assert problem.hint == hint


def test_default_names_are_the_last_part() -> None:
    layers = [{"type": "ops.add", "inputs": ["x", 1]}, {"type": "onnx.LogSoftmax"}, {"name": "y", "type": "ReLU"}]
    assert [node.name for node in check(spec(*layers)).require()[0].nodes] == ["add_1", "log_softmax_1", "y"]


def test_an_operation_drops_the_mask_silently() -> None:
    ids = {"shape": [None], "dtype": "int64"}
    embed = {"name": "e", "type": "Embedding", "input_dim": 5, "output_dim": 2, "mask_zero": True, "inputs": "ids"}
    checked = check(spec(embed, {"name": "y", "type": "ops.add", "inputs": ["e", 1]}, ids=ids))
    assert checked.require()[1].outputs["y"][0].mask is None  # type: ignore[index]
    assert "GS308" not in [d.code for d in checked.diagnostics]


def test_a_spec_trains_through_operations() -> None:
    layers = [
        {"name": "h", "type": "Dense", "units": 4},
        {"name": "s", "type": "ops.multiply", "inputs": ["h", "h"]},
        {"name": "t", "type": "ops.sum", "axis": -1, "keepdims": True},
        {"name": "y", "type": "ops.divide", "inputs": ["t", 2.0]},
    ]
    training = {"optimizer": {"type": "Adam", "learning_rate": 0.05}}
    document = spec(*layers) | {"outputs": {"y": {"loss": "mean_squared_error"}}, "training": training}
    model = gs.compile(document)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    history = model.fit(x, (x**2).sum(1, keepdims=True), epochs=20, batch_size=16)
    losses = history.history["loss"]
    assert losses[-1] < losses[0] / 2
