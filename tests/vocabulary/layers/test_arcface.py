"""ArcFace against PyTorch's library: loss, gradients, logits; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import GOLDEN
from safetensors.numpy import load_file

import graphspec as gs

FILE = load_file(GOLDEN / "torch_losses.safetensors")
GIVEN = {name.partition("/")[2]: array for name, array in FILE.items() if name.startswith("arcface/")}


def network() -> Any:
    """The "ArcFace" layer behind weights, with the loss "arcface"."""
    return gs.compile({
        "graphspec": 1, "name": "m", "inputs": {"x": {"shape": [4]}},
        "layers": [
            {"name": "vector", "type": "Dense", "units": 4, "use_bias": False},
            {"name": "logits", "type": "ArcFace", "units": 5},
        ],
        "outputs": {"logits": {"loss": "arcface", "metrics": ["accuracy"]}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}, "batch_size": 9, "epochs": 1, "seed": 1},
    })  # fmt: skip


def test_loss_gradients_and_logits(tmp_path: Path) -> None:
    model, x, label = network(), GIVEN["x"].astype(np.float32), GIVEN["y"]
    weights = {"vector/kernel": np.eye(4, dtype=np.float32), "logits/kernel": GIVEN["kernel"].astype(np.float32)}
    model.set_weights(weights)
    found = model.predict(x)
    np.testing.assert_allclose(found, GIVEN["logits"], rtol=1e-4, atol=1e-4)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))
    history = model.fit(x, label, verbose=0).history
    np.testing.assert_allclose(history["loss"], GIVEN["loss"], rtol=1e-5)
    moved = weights["logits/kernel"] - model.weights["logits/kernel"]
    np.testing.assert_allclose(moved, GIVEN["kernel_gradient"], rtol=1e-3, atol=1e-4)
    moved = weights["vector/kernel"] - model.weights["vector/kernel"]
    np.testing.assert_allclose(moved, x.T @ GIVEN["gradient"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ({"type": "ArcFace", "units": 4}, None),
        ({"type": "Dense", "units": 4}, "needs the cosines of an ArcFace layer"),
    ],
)
def test_the_loss_needs_the_layer(layer: dict[str, Any], says: str | None) -> None:
    spec = {
        "graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3]}},
        "layers": [{"name": "y", **layer}, {"name": "p", "type": "Softmax"}], "outputs": {"p": {"loss": "arcface"}},
    }  # fmt: skip
    if says is None:
        gs.compile(spec)
        return
    with pytest.raises(gs.SpecError, match=says):
        gs.compile(spec)
