"""PositionEmbedding, which is in KerasHub: its formula, trained and exported, with lengths that vary and with masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lowering import SEQUENCE, TIME, lower, weights

import graphspec as gs
from graphspec.errors import ShapeError, SpecError

WORDS = {"name": "words", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True}


def network(length: int | str, longest: int) -> dict[str, Any]:
    """Words with positions, and the sum of the words that are no padding."""
    place = {"name": "place", "type": "PositionEmbedding", "sequence_length": longest, "inputs": "words"}
    layers = [
        WORDS,
        place,
        {"name": "placed", "type": "Add", "inputs": ["words", "place"]},
        {"name": "mean", "type": "GlobalAveragePooling1D", "inputs": "place"},
        {"name": "y", "type": "Dense", "units": 1, "use_bias": False},
    ]
    return {
        "graphspec": 1,
        "name": "positions",
        "inputs": {"x": {"shape": [length], "dtype": "int64"}},
        "layers": layers,
        "outputs": {"y": {"loss": "mse"}, "placed": {}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}},
    }


@pytest.mark.parametrize("shape", [SEQUENCE, TIME, ("N", 2, 7, 3), ("N", 2, "time", 3)])
def test_shape_and_weight(shape: tuple[Any, ...]) -> None:
    graph, (Y,) = lower({"type": "PositionEmbedding", "sequence_length": 9}, shape)
    assert Y.shape == shape
    assert weights(graph) == {"embeddings": (9, 3)}


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("longest", [5, 8])
def test_only_the_shape_of_the_input_counts(shape: tuple[int, ...], longest: int) -> None:
    layer = {"name": "y", "type": "PositionEmbedding", "sequence_length": longest}
    spec = {"graphspec": 1, "name": "one", "inputs": {"x": {"shape": list(shape[1:])}}, "layers": [layer]}
    model = gs.compile({**spec, "outputs": {"y": {}}})
    (table,) = model.weights.values()
    assert table.shape == (longest, 4)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(model.run({"x": x})["y"], np.broadcast_to(table[:5], shape))


@pytest.mark.parametrize("length", [5, "time"])
def test_trained_and_exported(length: int | str, tmp_path: Path) -> None:
    """A step by hand; then the file agrees, also at other lengths."""
    model = gs.compile(network(length, 7))
    x = np.array([[1, 2, 0, 0, 0], [3, 1, 4, 1, 5]])
    before = model.weights
    table, kernel = before["place/embeddings"], before["y/kernel"]
    keep = (x > 0) / (x > 0).sum(1, keepdims=True)  # the mask of the words passes through
    y = keep @ table[:5] @ kernel
    np.testing.assert_allclose(model.run({"x": x})["y"], y, rtol=1e-5, atol=1e-6)
    model.fit({"x": x}, {"y": np.zeros((2, 1))}, epochs=1, batch_size=2, verbose=0)
    expected = table.copy()
    expected[:5] -= keep.T @ y @ kernel.T  # d mse / dy = 2 y / 2
    np.testing.assert_allclose(model.weights["place/embeddings"], expected, rtol=1e-4, atol=1e-6)
    assert model.export(tmp_path / "positions.onnx").batches
    if length == "time":
        np.testing.assert_allclose(
            model.run({"x": x[:, :2]})["placed"][0, 1], model.weights["words/embeddings"][2] + expected[1], rtol=1e-5
        )


def test_sequences_that_are_too_long() -> None:
    with pytest.raises(ShapeError, match="6 positions for sequences of length 7") as caught:
        lower({"type": "PositionEmbedding", "sequence_length": 6}, SEQUENCE)
    assert (caught.value.code, caught.value.problem.key) == ("GS304", "sequence_length")
    model = gs.compile(network("time", 3))
    with pytest.raises(SpecError, match="outside 0 … 2") as found:
        model.run({"x": np.ones((2, 4), np.int64)})
    assert "`sequence_length` of 'place'" in str(found.value)


def test_ids_are_no_vectors() -> None:
    with pytest.raises(ShapeError, match="rank-3") as caught:
        lower({"type": "PositionEmbedding", "sequence_length": 6}, ("N", 6), dtype="int64")
    assert caught.value.code == "GS301"
