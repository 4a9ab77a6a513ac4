"""Heads that compare with an input or a node, and heads that are terms of the loss: training, files, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.base.errors import SpecError, UsageError

X = np.random.default_rng(0).uniform(0, 1, (48, 6)).astype(np.float32)


def document(layers: list[dict[str, Any]], outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [6]}},
        "layers": layers,
        "outputs": outputs,
        **more,
    }


CODE = {"name": "code", "type": "Dense", "units": 3, "activation": "relu"}
AUTOENCODER = [CODE, {"name": "recon", "type": "Dense", "units": 6}]
VAE = [
    {"name": "h", "type": "Dense", "units": 5, "activation": "relu"},
    {"name": "mean", "type": "Dense", "units": 2, "inputs": "h"},
    {"name": "log_var", "type": "Dense", "units": 2, "inputs": "h"},
    {"name": "z", "type": "Sampling", "inputs": ["mean", "log_var"]},
    {"name": "recon", "type": "Dense", "units": 6, "activation": "sigmoid"},
    {"name": "square", "type": "Multiply", "inputs": ["mean", "mean"]},
    {"name": "variance", "type": "Activation", "activation": "exponential", "inputs": "log_var"},
    {"name": "sum", "type": "Add", "inputs": ["square", "variance"]},
    {"name": "kl", "type": "Subtract", "inputs": ["sum", "log_var"]},
]
VAE_HEADS = {
    "recon": {"loss": "binary_crossentropy", "target": "x", "metrics": ["mae"]},
    "kl": {"loss": "value", "weight": 0.1},
}
SIMCLR = [
    {"name": "dropped", "type": "Dropout", "rate": 0.3, "inputs": "x"},
    {"name": "noisy", "type": "GaussianNoise", "stddev": 0.1, "inputs": "other"},
    {"name": "a", "type": "Dense", "units": 4, "inputs": "dropped"},
    {"name": "b", "share": "a", "inputs": "noisy"},
]
SIMCLR_HEADS = {"pair": {"layer": ["a", "b"], "loss": "info_nce"}, "embedding": {"layer": "a"}}
TWO = {"x": {"shape": [6]}, "other": {"shape": [6]}}


def weights_equal(a: Any, b: Any) -> None:
    for name, weight in a.weights.items():
        np.testing.assert_array_equal(b.weights[name], weight, err_msg=name)


def test_an_input_as_target_gives_the_bits_of_the_same_array_as_data(tmp_path: Path) -> None:
    own = gs.compile(document(AUTOENCODER, {"recon": {"loss": "mse", "target": "x", "metrics": ["mae", "r2_score"]}}))
    given = gs.compile(document(AUTOENCODER, {"recon": {"loss": "mse", "metrics": ["mae", "r2_score"]}}))
    weights = np.linspace(0, 2, len(X), dtype=np.float32)
    for more in ({}, {"sample_weight": weights}, {"validation_split": 0.25}):
        assert own.fit(X, epochs=2, verbose=0, **more).history == given.fit(X, X, epochs=2, verbose=0, **more).history
    weights_equal(own, given)
    assert own.evaluate(X, sample_weight=weights) == given.evaluate(X, X, sample_weight=weights)
    own.export(tmp_path / "ae.onnx")
    with pytest.raises((SpecError, UsageError)):
        own.fit(X, X, verbose=0)  # no head has targets in the data


def test_a_variational_autoencoder(tmp_path: Path) -> None:
    model = gs.compile(document(VAE, VAE_HEADS, training={"optimizer": "adam"}))
    history = model.fit(X, epochs=3, verbose=0).history
    assert [*history] == ["loss", "recon_loss", "kl_loss", "recon_mae"]
    assert np.isfinite(history["loss"]).all()
    again = gs.compile(document(VAE, VAE_HEADS, training={"optimizer": "adam"}))
    for _ in range(3):
        again.fit(X, epochs=1, verbose=0)
    weights_equal(model, again)
    assert model.predict(X).shape == X.shape  # one output: the divergence is a term of the loss
    model.export(tmp_path / "vae.onnx")
    graph = onnx.load(tmp_path / "vae.onnx").graph
    assert [output.name for output in graph.output] == ["recon"]
    assert not {node.op_type for node in graph.node} & {"Exp", "Sub", "Sample"}
    found = model.evaluate(X)
    mean, log_var = (np.maximum(X @ model.weights["h/kernel"] + model.weights["h/bias"], 0) @ model.weights[f"{n}/kernel"]
                     + model.weights[f"{n}/bias"] for n in ("mean", "log_var"))  # fmt: skip
    assert found["kl_loss"] == pytest.approx((mean**2 + np.exp(log_var) - log_var).mean(), rel=1e-4)


@pytest.mark.parametrize("flows", [False, True])
def test_a_student_learns_from_a_teacher(flows: bool, tmp_path: Path) -> None:
    layers = [
        {"name": "teacher", "type": "Dense", "units": 4, "activation": "softmax", "inputs": "x"},
        {"name": "student", "type": "Dense", "units": 4, "activation": "softmax", "inputs": "x"},
    ]
    head = {"loss": "kl_divergence", "target": "teacher", "metrics": ["categorical_accuracy"]}
    model = gs.compile(document(layers, {"student": head | ({"target_gradient": True} if flows else {})}))
    before = model.weights
    history = model.fit(X, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert (model.weights["student/kernel"] != before["student/kernel"]).any()
    assert (model.weights["teacher/kernel"] != before["teacher/kernel"]).any() == flows
    model.export(tmp_path / "student.onnx")
    assert len(onnx.load(tmp_path / "student.onnx").graph.node) == 2


def test_two_passes_of_dropout_agree() -> None:
    layers = [
        {"name": "one", "type": "Dropout", "rate": 0.5, "inputs": "x"},
        {"name": "two", "type": "Dropout", "rate": 0.5, "inputs": "x"},
        {"name": "a", "type": "Dense", "units": 4, "inputs": "one"},
        {"name": "b", "share": "a", "inputs": "two"},
    ]
    model = gs.compile(document(layers, {"a": {"loss": "mse", "target": "b", "target_gradient": True}}))
    assert model.fit(X, epochs=2, verbose=0).history["loss"][-1] > 0
    assert model.evaluate(X)["loss"] == 0  # without dropout both are one


def test_class_ids_of_an_input() -> None:
    inputs = {"x": {"shape": [6]}, "kind": {"shape": [], "dtype": "int64"}}
    layers = [{"name": "y", "type": "Dense", "units": 3, "activation": "softmax", "inputs": "x"}]
    head = {"loss": "sparse_categorical_crossentropy", "target": "kind", "metrics": ["accuracy"]}
    model = gs.compile(document(layers, {"y": head}) | {"inputs": inputs})
    kinds = np.arange(48) % 3
    assert model.fit({"x": X, "kind": kinds}, epochs=2, verbose=0).history["accuracy"][0] >= 0
    assert model.predict(X).shape == (48, 3)  # only the loss reads `kind`
    with pytest.raises(SpecError, match="the head that compares with it needs a unit for each class"):
        model.fit({"x": X, "kind": kinds + 1}, verbose=0)


@pytest.mark.parametrize(
    ("loss", "units", "source", "given"),
    [
        ("mse", 1, {"shape": []}, np.arange(48)),  # an axis is added
        ("sparse_categorical_crossentropy", 3, {"shape": [1]}, np.arange(48).reshape(-1, 1) % 3),  # an axis is dropped
    ],
)
def test_an_input_as_target_gets_the_shape_and_type_of_the_loss(
    loss: str, units: int, source: dict[str, Any], given: np.ndarray[Any, Any]
) -> None:
    inputs = {"x": {"shape": [6]}, "other": {**source, "dtype": "int32"}}
    layers = [{"name": "y", "type": "Dense", "units": units, "activation": "sigmoid", "inputs": "x"}]
    own = gs.compile(document(layers, {"y": {"loss": loss, "target": "other"}}) | {"inputs": inputs})
    by_data = gs.compile(document(layers, {"y": {"loss": loss}}))
    history = own.fit({"x": X, "other": given.astype(np.int32)}, epochs=2, verbose=0).history
    assert history == by_data.fit(X, given, epochs=2, verbose=0).history
    weights_equal(own, by_data)


def test_views_of_two_inputs(tmp_path: Path) -> None:
    model = gs.compile(document(SIMCLR, SIMCLR_HEADS) | {"inputs": TWO})
    history = model.fit({"x": X, "other": X[::-1]}, epochs=2, verbose=0).history
    assert [*history] == ["loss", "pair_loss"]
    found = model.predict(X)  # the other view is for training only
    np.testing.assert_allclose(found, X @ model.weights["a/kernel"] + model.weights["a/bias"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict({"x": X, "other": X}), found)
    model.export(tmp_path / "a.onnx", rows={"x": X, "other": X})
    assert [value.name for value in onnx.load(tmp_path / "a.onnx").graph.input] == ["x"]


def test_contrastive_pairs_have_targets_in_the_data() -> None:
    heads = {"pair": {"layer": ["a", "b"], "loss": "contrastive"}, "embedding": {"layer": "a"}}
    model = gs.compile(document(SIMCLR, heads) | {"inputs": TWO})
    same = (np.arange(48) % 2).astype(np.float32)
    assert np.isfinite(model.fit({"x": X, "other": X}, same, epochs=1, verbose=0).history["loss"][0])
    with pytest.raises(SpecError, match="GS5"):
        model.fit({"x": X, "other": X}, same * 2, verbose=0)


def test_two_towers_learn_their_scale() -> None:
    towers = [{"name": n, "type": "Dense", "units": 3, "inputs": i} for n, i in (("a", "x"), ("b", "other"))]
    scale = {"name": "scale", "type": "Parameter", "shape": [], "initializer": "ones"}
    heads = {"pair": {"layer": ["a", "b", "scale"], "loss": "clip"}, "text": {"layer": "a"}, "picture": {"layer": "b"}}
    model = gs.compile(document([*towers, scale], heads) | {"inputs": TWO})
    before = model.evaluate({"x": X, "other": X**2})["loss"]
    model.fit({"x": X, "other": X**2}, epochs=3, verbose=0)
    assert model.evaluate({"x": X, "other": X**2})["loss"] < before
    assert model.weights["scale/value"] != 1


@pytest.mark.slow
@pytest.mark.parametrize("heads", [VAE_HEADS, SIMCLR_HEADS], ids=["vae", "simclr"])
def test_workers_give_the_same_bits_with_shards(heads: dict[str, Any]) -> None:
    layers, inputs = (VAE, {"x": TWO["x"]}) if heads is VAE_HEADS else (SIMCLR, TWO)
    feeds = dict.fromkeys(inputs, X)
    models = []
    for workers in (1, 2):
        training = {"workers": workers, "shards": 2, "batch_size": 16, "optimizer": "adam"}
        models.append(gs.compile(document(layers, heads, training=training) | {"inputs": inputs}))
        models[-1].fit(feeds, epochs=2, verbose=0)
    weights_equal(*models)


DENSE = [
    {"name": "a", "type": "Dense", "units": 4, "inputs": "x"},
    {"name": "y", "type": "Dense", "units": 4},
    {"name": "turned", "type": "ops.transpose", "inputs": "y"},
    {"name": "steps", "type": "Reshape", "target_shape": [3, 2], "inputs": "x"},
]
MORE = {"text": {"shape": [4], "dtype": "string"}, "ids": {"shape": [3], "dtype": "int64"}}
ERRORS = [
    ({"y": {"loss": "mse", "target": "nothing"}}, "GS201", "unknown node 'nothing'"),
    ({"y": {"loss": "mse", "target": 3}}, "GS104", "`target`"),
    ({"y": {"loss": "mse", "target": "x"}}, "GS402", "compares with values of shape (N, 6), but MeanSquaredError"),
    ({"y": {"loss": "sparse_categorical_crossentropy", "target": "a"}}, "GS402", "are integers"),
    ({"y": {"loss": "mse", "target": "text"}}, "GS402", "compares with texts, but a loss compares numbers"),
    ({"steps": {"loss": "ctc", "target": "ids"}}, "GS402", "CTC needs label sequences with their lengths"),
    ({"y": {"loss": "value", "target": "x"}, "e": {"layer": "y"}}, "GS402", "but Value compares with nothing"),
    (
        {"y": {}, "t": {"layer": ["turned"], "loss": "value"}},
        "GS402",
        "one value per row, but the node has shape (4, N)",
    ),
    ({"y": {}, "p": {"layer": ["y", "text"], "loss": "cosine"}}, "GS306", "'p' is text, but a head is numbers"),
    ({"y": {"target": "a"}}, "GS105", "has a `target`, but no loss that compares with it"),
    ({"y": {"loss": "mse", "target_gradient": True}}, "GS105", "has `target_gradient`, but no `target`"),
    ({"y": {"loss": "mse", "target": "y", "scale": "standard"}}, "GS105", "cannot have `scale`"),
    ({"y": {}, "p": {"layer": ["a", "y"]}}, "GS402", "has several nodes, but no loss"),
    ({"y": {}, "p": {"layer": ["a", "y"], "loss": "mse"}}, "GS402", "write `layer: a` and `target: y`"),
    ({"y": {}, "p": {"layer": ["a", "y"], "loss": "triplet"}}, "GS402", "has 2 nodes, but Triplet compares 3"),
    ({"y": {"loss": "info_nce"}, "e": {"layer": "y"}}, "GS402", "has 1 node, but InfoNCE compares 2"),
    ({"y": {}, "p": {"layer": [], "loss": "cosine"}}, "GS203", "is empty"),
    ({"y": {}, "p": {"layer": ["a", 2], "loss": "cosine"}}, "GS104", "must contain names"),
    ({"y": {"loss": "value"}}, "GS105", "all heads are for training only"),
    ({"y": {}, "a": {"layer": ["a", "y"], "loss": "cosine"}}, "GS107", "has the name of a node"),
]


@pytest.mark.parametrize(("outputs", "code", "says"), ERRORS, ids=[says[:30] for *_, says in ERRORS])
def test_what_does_not_fit_is_refused(outputs: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(SpecError) as error:
        gs.compile(document(DENSE, outputs) | {"inputs": {"x": {"shape": [6]}, **MORE}})
    errors = [d for d in error.value.diagnostics if d.is_error]
    assert [d.code for d in errors] == [code], errors
    assert says in str(errors[0])
