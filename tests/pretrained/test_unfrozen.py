"""Real ONNX files whose weights train: which of them do, what has no gradient, losses that fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from pretrained import OCR, Network, answers, rows, spec

pytestmark = pytest.mark.slow

READER = Network("common.onnx", (1, 64, 40))  # convolutions, a bidirectional LSTM, a Dense layer; rows in axis 1


def test_a_recurrent_network_is_unfrozen(tmp_path: Path) -> None:
    model = gs.compile(spec(tmp_path, READER, trainable=True))
    x = rows(READER, 2)
    expected = np.concatenate([answers(READER, x[k : k + 1]) for k in range(2)], axis=1)
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-3, atol=1e-3)


def test_what_has_no_gradient_is_named(tmp_path: Path) -> None:
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(spec(tmp_path, Network("common_old.onnx", (1, 64, 40), "208"), trainable=True))
    text = str(caught.value)
    assert "operators without a gradient here: DynamicQuantizeLinear" in text
    assert "and 17 more" in text
    assert "leave `trainable` out" in text


HEAD: tuple[dict[str, Any], ...] = (
    {"name": "flat", "type": "Flatten"},
    {"name": "kind", "type": "Dense", "units": 2, "activation": "softmax"},
)
FEATURES = Network(OCR, (3, 48, 24), "pool2d_10.tmp_0")


def trained(folder: Path, **more: Any) -> dict[str, bool]:
    """Train the network with a new head, and return which weights have moved."""
    x = rows(FEATURES, 32)
    y = np.arange(32) % 2
    x[y == 1, :, ::4] = 1.0  # lines
    model = gs.compile(spec(folder, FEATURES, *HEAD, **more))
    before = {name: np.array(value) for name, value in model.weights.items()}
    history = model.fit(x, y, epochs=6, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    model.export(folder / "out.onnx", rows=x)  # proved against the runtime before it is written
    return {name: bool((before[name] != value).any()) for name, value in model.weights.items()}


def test_weights_train_and_statistics_stay(tmp_path: Path) -> None:
    moved = trained(tmp_path, trainable=True)
    assert {"net/conv1_weights", "net/conv12_se_2_offset", "net/conv_last_bn_scale", "kind/kernel"} <= moved.keys()
    assert not {"net/conv1_bn_mean", "net/conv_last_bn_variance"} & moved.keys()
    assert len(moved) == 53 + 2 * 35 + 18 + 2  # convolutions, BatchNormalization, biases of the gates, the head
    assert all(moved.values())


def test_patterns_choose_what_trains(tmp_path: Path) -> None:
    moved = trained(tmp_path, trainable=["conv_last_*", "conv12_*"])
    assert moved["net/conv_last_weights"]
    assert moved["net/conv12_expand_weights"]
    assert not moved.get("net/conv1_weights", False)
