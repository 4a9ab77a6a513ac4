"""Networks of several copies: what is there once, what each copy has, and that the answer is the copies' mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import shop

import graphspec as gs
from specs import blobs, dense_spec, pairs, two_heads_spec


def of_seeds(spec: dict[str, Any], seeds: int = 3) -> gs.Model:
    return gs.compile({**spec, "training": {**spec["training"], "seeds": seeds}})


def by_hand(model: gs.Model, x: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The mean of the answers of single networks with the weights of each copy."""
    weights, found = model.weights, []
    for prefix, single in zip(model.prefixes, model.copies(), strict=True):
        single.set_weights({name: weights[prefix + name] for name in single.weights})
        found.append(single.predict_dict(x, batch_size=32))
    return {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}


def test_the_answer_is_the_mean_of_the_copies_and_so_is_the_files(tmp_path: Path) -> None:
    model, x = of_seeds(dense_spec()), blobs(20)[0]
    assert {name.split("/")[0] for name in model.weights} == {"copy_1", "copy_2", "copy_3"}
    assert len(model.weights) == 3 * 4
    assert not np.array_equal(model.weights["copy_1/hidden/kernel"], model.weights["copy_2/hidden/kernel"])
    expected = by_hand(model, x)["kind"]
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-6, atol=1e-7)
    model.export(tmp_path / "mean.onnx")
    file = onnxruntime.InferenceSession(str(tmp_path / "mean.onnx"), providers=["CPUExecutionProvider"])
    assert [each.name for each in file.get_outputs()] == ["kind"]
    np.testing.assert_allclose(file.run(["kind"], {"x": x})[0], expected, rtol=1e-5, atol=1e-6)


def test_shared_weights_several_heads_and_masks() -> None:
    spec, (x, _) = two_heads_spec(), pairs()
    spec["layers"][0]["mask_zero"] = True
    model = of_seeds(spec, 2)
    for name, expected in by_hand(model, x).items():
        np.testing.assert_allclose(model.predict(x)[name], expected, rtol=1e-5, atol=1e-6)


def test_further_outputs_blocks_and_terms() -> None:
    layers = [
        {"name": "lstm", "type": "LSTM", "units": 3, "return_state": True},
        {"name": "deep", "block": "two", "inputs": "lstm:1"},
        {"name": "kind", "type": "Dense", "units": 3},
    ]
    spec = dense_spec(
        inputs={"x": {"shape": [5, 2]}},
        blocks={
            "two": {
                "inputs": ["z"],
                "outputs": ["y"],
                "layers": [{"type": "Dense", "units": 4}, {"name": "y", "type": "BatchNormalization"}],
            }
        },
        layers=layers,
        outputs={
            "kind": {"loss": {"type": "sparse_categorical_crossentropy", "from_logits": True}},
            "state": {"layer": "lstm:1"},
            "near": {"layer": "deep", "loss": "mse", "target": "lstm_0"},
        },
    )
    spec["layers"].insert(2, {"name": "lstm_0", "type": "Dense", "units": 4, "inputs": "lstm"})
    spec["layers"][3]["inputs"] = "deep"
    model, x = of_seeds(spec, 2), np.random.default_rng(0).normal(size=(6, 5, 2)).astype(np.float32)
    for name, expected in by_hand(model, x).items():
        np.testing.assert_allclose(model.predict(x)[name], expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(model.evaluate(x, {"kind": np.array([0, 1, 2, 0, 1, 2])})["loss"])


def test_columns_are_prepared_once(tmp_path: Path) -> None:
    model = gs.compile(shop.project(tmp_path), ["training.seeds=2", "training.epochs=1"])
    model.fit(verbose=0)
    once = {node.name for node in model.spec.nodes if not node.name.startswith("copy_")}
    assert {"visit/town/ids", "visit/spent", "visit/remark/ids"} <= {*once, "visit/spent", "visit/remark/ids"}
    assert "visit/town/ids" in once
    assert "mood" in once  # the mean
    assert model.adapted is not None
    assert "visit/town/ids" in model.adapted.layers
    assert model.predict({"town": ["Oslo"], "spent": [3.0], "day": ["2020-01-01"], "remark": ["good"]}).shape == (1, 3)


@pytest.mark.parametrize("name", ["copy_1", "copy"])
def test_blocks_that_are_called_like_copies(name: str) -> None:
    layers = [
        {"name": name, "block": "one", "inputs": "x"},
        {"name": "hidden", "type": "Dense", "units": 2, "inputs": name},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    blocks = {
        "one": {"inputs": ["x"], "outputs": ["hidden"], "layers": [{"name": "hidden", "type": "Dense", "units": 4}]}
    }
    model, x = of_seeds(dense_spec(layers=layers, blocks=blocks), 2), blobs(5)[0]
    np.testing.assert_allclose(model.predict(x), by_hand(model, x)["kind"], rtol=1e-5, atol=1e-6)
