"""Norms by hand: activations and dead units, gradients against finite differences, and gradients that vanish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import rows_of
from onnx_files import dense

import graphspec as gs
from graphspec.show.report.network import activation, gradients, network_facts
from specs import blobs, dense_spec


def _spec(**more: Any) -> dict[str, Any]:
    """Without dropout, so that the loss is a function of the weights."""
    spec = dense_spec(**more)
    spec["layers"] = [spec["layers"][0], spec["layers"][2]]
    return spec


def test_activations_by_hand() -> None:
    values = np.array([[[0, -2, 0]], [[0, 4, 6]]], np.float32)
    found = activation(values)
    assert (found.mean, found.zeros, found.dead, found.units, found.finite) == (2, 0.5, 1, 3, True)
    assert not activation(np.array([[np.nan, 1]], np.float32)).finite
    assert activation(np.zeros((0, 3), np.float32)).units == 0
    assert activation(np.ones(4, np.float32)).units == 0


def test_a_dead_unit_is_found() -> None:
    model = gs.compile(_spec())
    weights = model.weights
    weights["hidden/bias"][3] = -1000
    model.set_weights(weights)
    x, y = blobs(40)
    facts = network_facts(model, rows_of(model, x, y))
    hidden = facts.nodes["hidden"].activation
    assert hidden is not None
    expected = np.maximum(x @ weights["hidden/kernel"] + weights["hidden/bias"], 0)
    assert hidden.dead == int((expected == 0).all(0).sum()) >= 1
    assert hidden.mean == pytest.approx(np.abs(expected).mean(), rel=1e-5)
    assert hidden.zeros == pytest.approx((expected == 0).mean())
    assert facts.rows == 40


def test_gradients_are_those_of_finite_differences() -> None:
    model = gs.compile(_spec())
    x, y = blobs(30)
    rows = rows_of(model, x, y)
    before = model.weights
    found = gradients(model, model.prepared(rows))

    def loss(kernel: np.ndarray[Any, Any]) -> float:
        model.set_weights({"kind/kernel": kernel})
        answers = model.predict(x).astype(np.float64)
        return float(-np.log(answers[np.arange(30), y]).mean())

    kernel = before["kind/kernel"]
    for place in [(0, 0), (3, 2), (7, 1)]:
        step = np.zeros_like(kernel)
        step[place] = 1e-2
        slope = (loss(kernel + step) - loss(kernel - step)) / 2e-2
        assert found["kind/kernel"][place] == pytest.approx(slope, abs=2e-4)
    model.set_weights(before)
    facts = network_facts(model, rows)
    node = facts.nodes["kind"]
    squares = [np.square(found[f"kind/{role}"], dtype=float).sum() for role in ("kernel", "bias")]
    assert node.gradient == pytest.approx(np.sqrt(sum(squares)))
    assert node.weights == pytest.approx(np.sqrt(np.square(kernel, dtype=float).sum()), rel=1e-6)


def test_the_gradient_is_the_one_that_training_uses_and_the_model_stays() -> None:
    spec = _spec()
    spec["layers"].insert(1, {"name": "norm", "type": "BatchNormalization"})
    spec["training"] = {
        "optimizer": {"type": "SGD", "learning_rate": 1.0},
        "batch_size": 30,
        "seed": 3,
        "shuffle": False,
    }
    model = gs.compile(spec)
    x, y = blobs(30)
    before = model.weights
    found = gradients(model, model.prepared(rows_of(model, x, y)))
    after = model.weights
    assert all(np.array_equal(before[name], after[name]) for name in before)
    model.fit(x, y, epochs=1, verbose=0)
    for name, gradient in found.items():
        np.testing.assert_allclose(before[name] - model.weights[name], gradient, atol=1e-6)


def test_gradients_that_vanish_and_those_that_are_zero() -> None:
    spec = _spec()
    deep = [{"name": f"s{k}", "type": "Dense", "units": 4, "activation": "sigmoid"} for k in range(12)]
    spec["layers"] = [*deep, spec["layers"][1]]
    model = gs.compile(spec)
    small = network_facts(model, rows_of(model, *blobs(30))).small_gradients()
    assert small[:2] == ["s0", "s1"]
    assert "kind" not in small
    usual = gs.compile(_spec())
    assert network_facts(usual, rows_of(usual, *blobs(30))).small_gradients() == []
    usual.set_weights({"kind/kernel": np.zeros((8, 3), np.float32)})
    assert network_facts(usual, rows_of(usual, *blobs(30))).small_gradients() == ["hidden"]


def test_without_rows_there_are_costs_alone() -> None:
    facts = network_facts(gs.compile(_spec()), None)
    assert (facts.nodes, facts.rows) == ({}, 0)
    assert "Without rows" in facts.why_not
    assert facts.costs.nodes["hidden"].trainable == 40


def test_copies_of_a_network_with_an_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dense.onnx").write_bytes(dense().SerializeToString())
    spec = _spec(training={"seeds": 2, "epochs": 1})
    spec["layers"].insert(0, {"name": "file", "type": "Onnx", "file": "dense.onnx", "trainable": True})
    model = gs.compile(spec)
    model.fit(*blobs(40))
    assert {"copy_1/file", "copy_2/file"} <= network_facts(model, None).costs.nodes.keys()
