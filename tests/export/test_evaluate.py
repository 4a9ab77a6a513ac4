"""What an exported file scores is what its network scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.engine.runtime.session import Session
from graphspec.export.read import evaluate_exported, read_exported
from specs import blobs, dense_spec, pairs, two_heads_spec


def check(model: gs.Model, x: Any, y: Any, folder: Path) -> dict[str, float]:
    """Compare a file with its model on the test data, and return the values."""
    np.savez(folder / "test.npz", **x, **y)
    model.export(folder / "a.onnx", rows=x)
    found = read_exported(folder / "a.onnx")
    spec = replace(found.spec, data={"test": found.spec.data["test"].at(folder / "test.npz")})
    rows = Session(spec, found.checked.require()[1]).part("test")
    values = evaluate_exported(found, spec, rows)[0].logs()
    wanted = {k: v for k, v in model.evaluate(x, y).items() if not isinstance(v, np.ndarray)}
    assert values == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    return values


def test_classes(tmp_path: Path) -> None:
    outputs = {
        "kind": {
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy", "confusion_matrix", "f1_score"],
            "labels": ["red", "green", "blue"],
        }
    }
    model = gs.compile(dense_spec(outputs=outputs, data={"test": {"file": "test.npz"}}))
    x, y = blobs()
    model.fit(x, y, epochs=1, verbose=0)
    assert check(model, {"x": x}, {"kind": y}, tmp_path)["accuracy"] > 0.2


def test_two_heads_of_sequences(tmp_path: Path) -> None:
    model = gs.compile(two_heads_spec() | {"data": {"test": {"file": "test.npz"}}})
    x, y = pairs()
    model.fit(x, y, epochs=1, verbose=0)
    assert set(check(model, x, y, tmp_path)) >= {"loss", "same_loss", "gap_loss", "same_accuracy", "gap_mae"}


def test_masked_heads(tmp_path: Path) -> None:
    """The mask of a head comes from the inputs: padded steps do not count."""
    spec = {
        "graphspec": 1,
        "name": "tags",
        "inputs": {"words": {"shape": ["time"], "dtype": "int64"}},
        "layers": [
            {"name": "embed", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True},
            {"name": "seen", "type": "LSTM", "units": 3, "return_sequences": True},
            {"name": "tag", "type": "Dense", "units": 2, "activation": "softmax"},
        ],
        "outputs": {"tag": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}},
        "data": {"test": {"file": "test.npz"}},
    }
    random = np.random.default_rng(0)
    words = random.integers(1, 9, (50, 6))
    words[:, 4:] = 0
    words[::3, 2:] = 0
    tags = (words > 4).astype(np.int64)
    model = gs.compile(spec)
    model.fit({"words": words}, {"tag": tags}, epochs=2, verbose=0)
    check(model, {"words": words}, {"tag": tags}, tmp_path)


def test_texts_and_standardized_targets(tmp_path: Path) -> None:
    spec = {
        "graphspec": 1,
        "name": "price",
        "inputs": {"it": {"columns": {"size": "number", "town": "category"}}},
        "layers": [{"name": "price", "type": "Dense", "units": 1}],
        "outputs": {"price": {"loss": "mean_squared_error", "scale": "standard", "metrics": ["mae"]}},
        "data": {"test": {"file": "test.npz"}},
    }
    random = np.random.default_rng(1)
    x = {"size": random.normal(5, 2, 60).astype(np.float32), "town": random.choice(["Bern", "Basel", "Biel"], 60)}
    y = {"price": (100 * x["size"] + 50 * (x["town"] == "Bern")).astype(np.float32)}
    model = gs.compile(spec)
    model.fit(x, y, epochs=2, verbose=0)
    check(model, x, y, tmp_path)


LOSS = "its loss reads values of trained layers that the file does not compute"
STEPS = "trained layers decide which steps of its heads count"


@pytest.mark.parametrize(
    ("layers", "outputs", "why"),
    [
        ([{"name": "h", "type": "Dense", "units": 2}], {"y": {"loss": "mse", "target": "h"}}, LOSS),
        ([{"name": "masked", "type": "Masking"}], {"y": {"loss": "mse"}}, STEPS),
    ],
)
def test_what_a_file_alone_cannot_tell(layers: Any, outputs: Any, why: str, tmp_path: Path) -> None:
    first, last = {"name": "first", "type": "Dense", "units": 3}, {"name": "y", "type": "Dense", "units": 2}
    layers = [first, *layers, last if why == STEPS else last | {"inputs": "first"}]
    spec = {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [5, 3]}}, "layers": layers, "outputs": outputs}
    model = gs.compile(spec | {"data": {"test": {"file": str(tmp_path / "test.npz")}}})
    model.export(tmp_path / "a.onnx")
    np.savez(tmp_path / "test.npz", x=np.ones((4, 5, 3), np.float32), y=np.ones((4, 5, 2), np.float32))
    result = graphspec("evaluate", tmp_path / "a.onnx", "--data", tmp_path / "test.npz")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"a.onnx cannot be evaluated: {why}; evaluate its run" in " ".join(result.stderr.split())
