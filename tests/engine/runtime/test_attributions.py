"""Integrated gradients: equal to independent NumPy code, and they add up for every kind of layer and every shipped spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from paths import ROOT
from test_architectures import SMALLER, SPECS, rows

import graphspec as gs
from graphspec.engine.runtime.explanations import MAX_STEPS, TOLERANCE, Integrator, values_at
from graphspec.graph.cuts import frontier
from graphspec.vocabulary.metrics import targets_of

SLOW_ONES = (
    *("convnext_tiny", "deeplab_v3_plus", "densenet121", "efficientnet_b0", "inception_v3", "resnet50", "swin_t"),
    "vgg16",
)


def spec(inputs: dict[str, Any], *layers: dict[str, Any], loss: str = "mse") -> dict[str, Any]:
    head = layers[-1]["name"]
    return {"graphspec": 1, "name": "net", "inputs": inputs, "layers": list(layers), "outputs": {head: {"loss": loss}}}


def test_a_linear_network_has_exact_attributions() -> None:
    model = gs.compile(spec({"x": {"shape": [5]}}, {"name": "y", "type": "Dense", "units": 1}))
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    found = model.explain(x)
    np.testing.assert_allclose(found.attributions["x"], x * model.weights["y/kernel"][:, 0].astype(float), rtol=1e-12)
    near = np.random.default_rng(1).standard_normal((9, 5)).astype(np.float32)
    found = model.explain(x, baseline=near)
    expected = (x - near.mean(axis=0, dtype=float)) * model.weights["y/kernel"][:, 0]
    np.testing.assert_allclose(found.attributions["x"], expected, rtol=1e-12)


def reference(x: np.ndarray[Any, Any], weights: dict[str, Any], steps: int = 2000) -> np.ndarray[Any, Any]:
    """Integrated gradients of the predicted class's probability, by differences of a network in plain NumPy."""

    def probability(points: np.ndarray[Any, Any], k: int) -> np.ndarray[Any, Any]:
        hidden = np.tanh(points @ weights["h1/kernel"] + weights["h1/bias"])
        hidden = np.maximum(hidden @ weights["h2/kernel"] + weights["h2/bias"], 0)
        logits = hidden @ weights["y/kernel"] + weights["y/bias"]
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        found: np.ndarray[Any, Any] = (e / e.sum(axis=-1, keepdims=True))[:, k]
        return found

    k = int(np.argmax([probability(x[None], k)[0] for k in range(3)]))
    points = (np.arange(steps)[:, None] + 0.5) / steps * x
    gradient = np.empty_like(points)
    for i in range(x.size):
        moved = np.zeros_like(x)
        moved[i] = 1e-6
        gradient[:, i] = (probability(points + moved, k) - probability(points - moved, k)) / 2e-6
    found: np.ndarray[Any, Any] = x * gradient.mean(axis=0)
    return found


def test_equal_to_independent_code() -> None:
    model = gs.compile(
        spec(
            {"x": {"shape": [6]}},
            {"name": "h1", "type": "Dense", "units": 7, "activation": "tanh", "bias_initializer": "uniform"},
            {"name": "h2", "type": "Dense", "units": 8, "activation": "relu", "bias_initializer": "uniform"},
            {"name": "y", "type": "Dense", "units": 3, "activation": "softmax"},
            loss="sparse_categorical_crossentropy",
        )
    )
    model.set_weights({name: 2 * w for name, w in model.weights.items()})
    x = 2 * np.random.default_rng(2).standard_normal((5, 6)).astype(np.float32)
    found = model.explain(x).attributions["x"]
    weights = {name: w.astype(float) for name, w in model.weights.items()}
    for row in range(5):
        expected = reference(x[row].astype(float), weights)
        np.testing.assert_allclose(found[row], expected, rtol=0.02, atol=0.005 * np.abs(expected).sum())


SEQUENCE = {"x": {"shape": [6, 3]}}
PICTURE = {"x": {"shape": [8, 8, 2]}}
IDS = {"x": {"shape": [6], "dtype": "int64"}}
FLAT = {"name": "flat", "type": "Flatten"}
OUT = {"name": "out", "type": "Dense", "units": 1}
EMBED = {"name": "embed", "type": "Embedding", "input_dim": 20, "output_dim": 4}
LAYERS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "lstm": (SEQUENCE, [{"name": "a", "type": "LSTM", "units": 4}]),
    "gru": (SEQUENCE, [{"name": "a", "type": "GRU", "units": 4}]),
    "masked lstm": (IDS, [{**EMBED, "mask_zero": True}, {"name": "a", "type": "LSTM", "units": 4}]),
    "masked mean": (IDS, [{**EMBED, "mask_zero": True}, {"name": "a", "type": "GlobalAveragePooling1D"}]),
    "masking": (SEQUENCE, [{"name": "m", "type": "Masking"}, {"name": "a", "type": "LSTM", "units": 4}]),
    "embedding": (IDS, [EMBED, FLAT]),
    "conv": (
        PICTURE,
        [
            {"name": "a", "type": "Conv2D", "filters": 4, "kernel_size": 3, "activation": "relu"},
            {"name": "p", "type": "MaxPooling2D"},
            FLAT,
        ],
    ),
    "separable": (PICTURE, [{"name": "a", "type": "SeparableConv2D", "filters": 4, "kernel_size": 3}, FLAT]),
    "norms": (
        SEQUENCE,
        [{"name": "a", "type": "BatchNormalization"}, {"name": "b", "type": "LayerNormalization"}, FLAT],
    ),
    "attention": (
        SEQUENCE,
        [
            {"name": "a", "type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "inputs": ["x", "x"]},
            FLAT,
        ],
    ),
    "bidirectional": (SEQUENCE, [{"name": "a", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 3}}]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_attributions_add_up(name: str) -> None:
    inputs, layers = LAYERS[name]
    model = gs.compile(spec(inputs, *layers, OUT))
    random = np.random.default_rng(3)
    weights = model.weights
    changed = {n: w + 0.3 * random.standard_normal(w.shape) for n, w in weights.items() if "variance" not in n}
    model.set_weights(changed)
    shape = (3, *inputs["x"]["shape"])
    x = random.integers(0, 20, shape) if "dtype" in inputs["x"] else random.standard_normal(shape).astype(np.float32)
    if "mask" in name:
        x[0, 4:] = 0
    found = model.explain(x)
    difference = found.values - found.baselines
    assert np.abs(difference).max() > 1e-3
    sums = found.attributions["x"].reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(sums, difference, atol=TOLERANCE * np.abs(difference).max())
    assert (found.gaps <= TOLERANCE).all()
    assert found.warnings == []
    np.testing.assert_allclose(found.values, model.predict(x)[:, 0], rtol=1e-4, atol=1e-5)
    if name == "masked lstm":
        assert not found.attributions["x"][0, 4:].any(), "padding says nothing"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SPECS if name not in SLOW_ONES])
def test_attributions_of_shipped_architectures_add_up(name: str) -> None:
    model = gs.compile(str(SPECS[name]), [*SMALLER.get(name, []), "training.workers=1"])
    x, y = rows(model, 2)
    model.fit(x, y, epochs=1, batch_size=2, verbose=0)
    for head, declared in model.spec.heads.items():
        if declared.loss is not None and targets_of(declared.loss) == "labels":
            continue  # a text by CTC is no single value
        found = model.explain(x, head=head, rows=1)
        assert found.warnings == [], name
        assert all(np.isfinite(a).all() for a in found.attributions.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["housing", "penguins", "bikes"])
def test_attributions_of_shipped_specs_add_up(name: str) -> None:
    model = gs.compile(ROOT / "specs" / f"{name}.yaml", ["training.workers=1", "training.callbacks=[]"])
    model.fit(epochs=1, verbose=0)
    found = model.explain(model.part("test").inputs, rows=5)
    assert found.warnings == []
    sums = sum(a.reshape(5, -1).sum(axis=1) for a in found.attributions.values())
    np.testing.assert_allclose(sums, found.values - found.baselines, rtol=0.011)
    assert found.attributions.keys() == model.spec.inputs.keys()


def test_what_stops_a_gradient_in_training_is_a_part_of_the_answer() -> None:
    layers = [
        {"name": "level", "type": "StopGradient", "inputs": "x"},
        {"name": "product", "type": "Multiply", "inputs": ["x", "level"]},
        {"name": "y", "type": "Dense", "units": 1, "kernel_initializer": "ones", "inputs": "product"},
    ]
    document = {"graphspec": 1, "name": "stop", "inputs": {"x": {"shape": [2]}}, "layers": layers}
    model = gs.compile(document | {"outputs": {"y": {"loss": "mse"}}})
    x, zeros = np.array([[2, 3]], np.float32), np.zeros((1, 2), np.float32)
    found = model.explain(x, baseline=zeros)
    np.testing.assert_allclose(found.attributions["x"], [[4, 9]], rtol=1e-6)


def test_hard_kinks_take_more_steps_and_too_many_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [
        {"name": "a", "type": "Dense", "units": 30, "activation": "relu", "bias_initializer": "random_normal"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    model = gs.compile(spec({"x": {"shape": [4]}}, *layers))
    model.set_weights({"a/bias": -np.linspace(0, 3, 30), "y/kernel": np.resize([1.0, -1.0], (30, 1))})
    x = np.random.default_rng(0).standard_normal((1, 4)).astype(np.float32)
    found = model.explain(3 * x)
    assert 32 < found.steps[0] <= MAX_STEPS
    assert found.gaps[0] <= TOLERANCE
    monkeypatch.setattr("graphspec.engine.runtime.explanations.TOLERANCE", 1e-12)
    monkeypatch.setattr("graphspec.api.explanation.TOLERANCE", 1e-12)
    monkeypatch.setattr("graphspec.engine.runtime.explanations.MAX_STEPS", 64)
    found = model.explain(3 * x)
    assert found.steps[0] == 64
    assert "row 1: the sum of the attributions is" in found.warnings[0]
    assert "read them as a tendency" in found.warnings[0]


def test_what_jumps_at_the_baseline_cannot_be_attributed() -> None:
    model = gs.compile(spec({"x": {"shape": [5]}}, {"name": "unit", "type": "UnitNormalization"}, OUT))
    found = model.explain(np.random.default_rng(0).standard_normal((1, 5)).astype(np.float32))
    assert "do not rely on them, or try another baseline" in found.warnings[0]
    near = model.explain(np.full((1, 5), 2.0, np.float32) + np.eye(5)[:1], baseline=np.ones((3, 5), np.float32))
    assert near.warnings == []


def test_rows_are_computed_in_pieces_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model = gs.compile(
        spec({"x": {"shape": [5]}}, {"name": "h", "type": "Dense", "units": 4, "activation": "gelu"}, OUT)
    )
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    whole = model.explain(x)
    monkeypatch.setattr("graphspec.engine.runtime.explanations.free", lambda: 8 * 3 * 4 * 40)
    pieces = model.explain(x)
    np.testing.assert_allclose(pieces.attributions["x"], whole.attributions["x"], rtol=1e-9)
    cut = frontier(model.whole, "out")
    arrays = values_at(model, {"x": x}, [leaf.value for leaf in cut.leaves])
    assert Integrator(model, cut, "out", arrays, {"x": np.zeros(5)})._size < 36


@pytest.mark.slow
def test_the_weights_and_the_training_are_not_touched() -> None:
    model = gs.compile(ROOT / "specs" / "housing.yaml")
    model.fit(epochs=1, verbose=0)
    before, learns = model.weights, {n: p.trainable for n, p in model.graph.params.items()}
    model.explain(model.part("test").inputs, rows=2)
    assert all(np.array_equal(before[n], w) for n, w in model.weights.items())
    assert learns == {n: p.trainable for n, p in model.graph.params.items()}
    model.fit(epochs=1, verbose=0)
    assert not np.array_equal(before["price/kernel"], model.weights["price/kernel"])


WORDS = np.array(["a", "fine", "film", "with", "a", "dull", "plot", "and", "good", "actors"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["branches", "fashion", "newswires", "reviews", "reviews_lstm", "same_garment"])
def test_attributions_of_shipped_specs_add_up_on_made_up_rows(name: str) -> None:
    model = gs.compile(ROOT / "specs" / f"{name}.yaml", ["training.workers=1", "training.callbacks=[]"])
    random = np.random.default_rng(0)
    x: dict[str, Any] = {}
    for key, value in model.whole.inputs.items():
        shape = [30, *(d if isinstance(d, int) else 9 for d in value.shape[1:])]
        if value.type.is_string:
            x[key] = np.array([" ".join(random.choice(WORDS, random.integers(3, 9))) for _ in range(30)])
        elif value.dtype == "uint8":
            x[key] = random.integers(0, 256, shape, dtype=np.uint8)
        else:
            x[key] = random.integers(0, 99, shape)
    units = {
        head: int(value.shape[-1]) for head, value in model.whole.outputs.items() if isinstance(value.shape[-1], int)
    }
    labels = {head.name: head.labels for head in model.spec.heads.values()}
    classes = {head: random.integers(0, max(k, 2), 30) for head, k in units.items()}
    y = {head: np.array(names)[classes[head]] if (names := labels[head]) else classes[head] for head in units}
    model.fit(x, y, epochs=1, verbose=0)
    for head in model.spec.heads:
        found = model.explain(x, head=head, rows=2)
        assert found.warnings == []
        assert found.attributions.keys() == model.spec.inputs.keys()
        sums = sum(a.reshape(2, -1).sum(axis=1) for a in found.attributions.values())
        difference = found.values - found.baselines
        np.testing.assert_allclose(sums, difference, atol=max(1e-6, TOLERANCE * np.abs(difference).max()))


def test_embedded_words_are_equal_to_independent_code() -> None:
    layers = [EMBED, {"name": "mean", "type": "GlobalAveragePooling1D"}, {**OUT, "activation": "tanh"}]
    model = gs.compile(spec(IDS, *layers))
    model.set_weights({name: 8 * w for name, w in model.weights.items()})
    ids = np.random.default_rng(5).integers(1, 20, (3, 6))
    found = model.explain(ids).attributions["x"]
    weights = {name: w.astype(float) for name, w in model.weights.items()}
    table, kernel = weights["embed/embeddings"], weights["out/kernel"][:, 0]
    for row in range(3):
        start, step = table[0] @ kernel, (table[ids[row]] - table[0]) @ kernel / 6
        total = step.sum()
        expected = step * (np.tanh(start + total) - np.tanh(start)) / total  # all along one line
        np.testing.assert_allclose(found[row], expected, rtol=1e-4)
