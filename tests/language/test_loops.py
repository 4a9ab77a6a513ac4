"""Loops over sequences: unrolled and as one node they are the same; what is wrong is said at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.export.read import read_exported

SPEC = """
graphspec: 1
name: m
inputs: {series: {shape: [4, 2]}, marks: {shape: [4], dtype: int64}}
blocks:
  cell:
    inputs: [h, x, mark]
    layers:
      - {name: id, type: Embedding, input_dim: 3, output_dim: 2, inputs: mark}
      - {name: both, type: Concatenate, inputs: [h, x, id]}
      - {name: new, type: Dense, units: 3, activation: gelu, kernel_regularizer: l2}
      - {name: square, type: Formula, value: "new * new"}
    outputs: [new, square]
layers:
  - {name: h0, type: Parameter, shape: [3], initializer: normal}
  - {name: steps, block: cell, inputs: [h0, series, marks], repeat: {over: [series, marks], shared: true,
     collect: 0, sum: 1}}
  - {name: mean, type: GlobalAveragePooling1D}
  - {name: y, type: Concatenate, inputs: [mean, "steps:1"]}
outputs: {y: {loss: mse}}
training: {optimizer: {type: SGD, learning_rate: 1.0}, batch_size: 5, seed: 1}
"""


def spec(times: Any = 4, repeat: dict[str, Any] | None = None, **block: Any) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(SPEC)
    made["inputs"]["series"]["shape"][0] = made["inputs"]["marks"]["shape"][0] = times
    made["layers"][1]["repeat"].update(repeat or {})
    made["blocks"]["cell"].update(block)
    return made


def test_a_loop_is_the_same_unrolled_and_as_one_node(tmp_path: Path) -> None:
    random, found = np.random.default_rng(0), []
    rows = {"series": random.normal(size=(5, 4, 2)).astype(np.float32), "marks": random.integers(0, 3, (5, 4))}
    target = random.normal(size=(5, 6)).astype(np.float32)
    for times, first in ((4, "steps_1/"), ("time", "steps/")):
        model = gs.compile(spec(times))
        before = {key.replace(first, "steps/"): value.copy() for key, value in model.weights.items()}
        assert sorted(before) == ["h0/value", "steps/id/embeddings", "steps/new/bias", "steps/new/kernel"]
        if found:  # random numbers depend on names
            model.set_weights(found[0][0])
            before = found[0][0]
        answers = model.predict(rows)
        model.fit(rows, {"y": target}, epochs=1, verbose=0)
        after = {key.replace(first, "steps/"): value for key, value in model.weights.items()}
        found.append((before, answers, after))
        text = str(model.export(tmp_path / f"{times}.onnx"))
        assert "equal to the runtime" in text
        again = read_exported(tmp_path / f"{times}.onnx").run(rows)["y"]
        np.testing.assert_allclose(again, model.predict(rows), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-6)
    for key, value in found[0][2].items():
        np.testing.assert_allclose(value, found[1][2][key], rtol=1e-5, atol=1e-6, err_msg=key)
        assert not np.allclose(value, found[0][0][key])


@pytest.mark.parametrize(
    ("times", "repeat", "code", "text"),
    [
        (4, {"over": ["series", "mark"]}, "GS201", "`over` of 'steps_1' names 'mark', which is none of its inputs"),
        (4, {"times": 5}, "GS304", "'series' has 4 steps, but the loop has 5"),
        (4, {"collect": [0, 2]}, "GS203", "`collect` of 'steps_1' names output 2, but it has 2 outputs"),
        (4, {"collect": 1}, "GS105", "`sum` of `repeat` names output 1, which `collect` names, too"),
        (4, {"over": 3}, "GS104", "`over` of `repeat` must be text, not 3"),
        ("t", {"shared": False}, "GS103", "`repeat` needs `times`"),
        ("t", {"carry": 2}, "GS203", "`carry` of 'steps' names output 1, but it has 2 outputs and 1 inputs"),
    ],
)
def test_a_wrong_loop_is_refused(times: Any, repeat: dict[str, Any], code: str, text: str) -> None:
    found = check(spec(times, repeat)).errors[0]
    assert str(found.code) == code
    assert text in found.message
    assert found.hint


DROP = {"name": "drop", "type": "Dropout", "rate": 0.5, "inputs": "h"}
NORM = {"name": "norm", "type": "BatchNormalization", "inputs": "h"}
WIDE = {"name": "wide", "type": "Dense", "units": 4, "inputs": "h"}
SORRY = {"name": "sorry", "type": "ActivityRegularization", "l2": 0.1, "inputs": "h"}


@pytest.mark.parametrize(
    ("node", "code", "text"),
    [
        (DROP, "GS309", "loop.Scan 'steps' has a step with 'drop', which is random"),
        (NORM, "GS309", "has a step with 'norm'"),
        (WIDE, "GS302", "carries output 0, float32(N, 4), to the next step, but begins with float32(N, 3)"),
        (SORRY, "GS105", "has a step with an `activity_regularizer`"),
    ],
)
def test_a_step_that_one_node_cannot_have_is_refused(node: dict[str, Any], code: str, text: str) -> None:
    found = check(spec("t", layers=[node], outputs=[node["name"], "x"])).errors[0]
    assert (str(found.code), found.path) == (code, "layers.steps.repeat")
    assert text in found.message
    assert found.hint


@pytest.mark.parametrize("times", [4, "t"])
def test_a_sequence_with_a_mask_is_refused_once(times: Any) -> None:
    made = spec(times)
    made["layers"].insert(0, {"name": "masked", "type": "Masking", "inputs": "series"})
    made["layers"][2] |= {
        "inputs": ["h0", "masked", "marks"],
        "repeat": made["layers"][2]["repeat"] | {"over": "masked"},
    }
    made["layers"][2]["repeat"] |= {"over": ["masked", "marks"]}
    (found,) = check(made).errors
    assert "reads the steps of a sequence with a mask" in found.message


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"type": "Formula", "value": "series + 0"}, "reads step 4, counted from 0, of (N, 4, 2)"),
        (
            {"type": "Formula", "value": "series[:, 0, 0]"},
            "needs at least rank-2 data (batch, time, …), to read its steps",
        ),
    ],
)
def test_a_node_without_so_many_steps_is_refused(node: dict[str, Any], text: str) -> None:
    made = spec(repeat={"times": 5, "over": "node"})
    made["layers"].insert(0, {"name": "node", **node})
    made["layers"][2]["inputs"] = ["h0", "node", "marks"]
    made["blocks"]["cell"] |= {
        "layers": [{"name": "a", "type": "Dense", "units": 3, "inputs": "h"}],
        "outputs": ["a", "x"],
    }
    found = check(made).errors
    assert text in found[0].message
    assert (found[0].path, bool(found[0].hint)) == ("layers.steps.repeat", True)


def test_a_written_training_step_has_the_loop(tmp_path: Path) -> None:
    model = gs.compile(spec("t"))
    random = np.random.default_rng(0)
    rows = {"series": random.normal(size=(5, 4, 2)).astype(np.float32), "marks": random.integers(0, 3, (5, 4))}
    model.fit(rows, {"y": random.normal(size=(5, 6)).astype(np.float32)}, epochs=1, verbose=0)
    assert "equal the runtime's" in str(model.export_training_step(tmp_path / "step.onnx"))


def test_sequences_of_several_lengths_are_refused() -> None:
    made = spec("t")
    made["inputs"]["marks"]["shape"] = ["u"]
    assert "reads sequences of several lengths: t, u" in check(made).errors[0].message


def test_what_is_inside_one_node_is_not_seen_and_not_shared() -> None:
    made = spec("t")
    made["layers"][2]["inputs"] = "steps/new"
    assert check(made).errors[0].message == "unknown node 'steps/new'"
    made = spec("t")
    made["layers"].insert(2, {"name": "again", "share": "steps", "inputs": ["h0", "h0"]})
    made["layers"][3]["inputs"] = "steps"
    assert "is a loop, which cannot be shared" in check(made).errors[0].message


def test_a_loop_in_a_loop(tmp_path: Path) -> None:
    """The sum of all products of a step of one series with all steps of another."""
    model = gs.compile(
        yaml.safe_load("""
graphspec: 1
name: m
inputs: {a: {shape: [t, 2]}, b: {shape: [u, 2]}, zero: {shape: [2]}}
blocks:
  inner: {inputs: [h, b, a], layers: [{name: h_, type: Formula, value: "h + a * b"}], outputs: [h_]}
  outer:
    inputs: [h, a, b]
    layers: [{name: loop, block: inner, inputs: [h, b, a], repeat: {over: b, shared: true}}]
    outputs: [loop]
layers:
  - {name: y, block: outer, inputs: [zero, a, b], repeat: {over: a, shared: true}}
outputs: {y: {}}
""")
    )
    random = np.random.default_rng(0)
    a, b, zero = (random.normal(size=(3, *shape)).astype(np.float32) for shape in ((4, 2), (5, 2), (2,)))
    found = model.predict({"a": a, "b": b, "zero": zero})
    np.testing.assert_allclose(found, zero + a.sum(1) * b.sum(1), rtol=1e-5, atol=1e-5)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))


@pytest.mark.parametrize("cell", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
@pytest.mark.parametrize("times", [3, "t"])
def test_cells_as_nodes_are_the_layers(cell: str, times: Any) -> None:
    kind = cell.removesuffix("Cell")
    states = ["h", "c"][: 2 if kind == "LSTM" else 1]
    layers = [
        {"name": "layer", "type": kind, "units": 3, "inputs": "x", "initial_state": states, "return_sequences": True},
        {"name": "cell", "type": cell, "units": 3, "inputs": ["x", *states]},
    ]
    layers[1]["repeat"] = {"over": "x", "carry": len(states), "shared": True, "collect": 0}
    shapes = {"x": [times, 2], **{state: [3] for state in states}}
    inputs = {name: {"shape": shape} for name, shape in shapes.items()}
    document = {"graphspec": 1, "name": "m", "inputs": inputs, "layers": layers, "outputs": {"layer": {}, "cell": {}}}
    model, random = gs.compile(document), np.random.default_rng(0)
    weights = {key: random.normal(size=value.shape).astype(np.float32) for key, value in model.weights.items()}
    same = {key: weights[f"layer/{key.rpartition('/')[2]}"] for key in weights}
    model.set_weights(same)
    x = {name: random.normal(size=(4, *(3 if d == "t" else d for d in shape))) for name, shape in shapes.items()}
    found = model.predict({name: array.astype(np.float32) for name, array in x.items()})
    np.testing.assert_allclose(found["cell"], found["layer"], rtol=1e-5, atol=1e-6)
