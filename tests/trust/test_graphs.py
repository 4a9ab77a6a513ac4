"""Random graphs: the generator reaches the whole vocabulary; and what they have found before."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.vocabulary.layers import LAYERS
from specs import blobs, dense_spec
from trust.drawn import TEMPLATES, Drawing, Tensor
from trust.drawn_operations import JUMPS
from trust.drawn_records import MISSING
from trust.drawn_rows import inputs
from trust.drawn_specs import KINDS, OPERATIONS, draw, draw_layer

pytestmark = pytest.mark.slow


def test_every_layer_has_a_template() -> None:
    """Of ONNX's operators some have one: the cases of operators cover the others. Files of ONNX are in tests/onnx_files."""
    assert set(TEMPLATES) >= {name for name in LAYERS.primary() if not name.startswith("onnx.") and name != "Onnx"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_reached(kind: str) -> None:
    """By seeds one after the other: what a seed draws depends on chance, that one of four has the layer does not."""
    assert any(draw(random.Random(seed), most=1, kind=kind).used[kind] for seed in range(4))


def test_what_jumps_takes_no_rounding_error() -> None:
    drawing = Drawing(random.Random(1))
    for name in JUMPS:
        assert TEMPLATES[name](drawing, Tensor("x", (3,))) is None, name
        assert TEMPLATES[name](drawing, Tensor("x", (3,), exact=True)) is not None, name


@pytest.mark.parametrize("part", range(8))
def test_every_operation_is_reached(part: int) -> None:
    for name in OPERATIONS[part::8]:
        drawn = draw_layer(random.Random(part), name)
        assert not drawn.refused, name
        assert drawn.used[name], name


def test_the_rest_of_the_vocabulary_is_drawn() -> None:
    """Losses, metrics, optimizers, schedules, callbacks, shares and blocks come by themselves."""
    kinds = {word.split()[0] for seed in range(40) for word in draw(random.Random(seed), most=2).used}
    assert {"loss", "metric", "optimizer", "schedule", "callback", "share", "block"} <= kinds


def test_the_same_seed_draws_the_same_spec() -> None:
    assert draw(random.Random(5)).document == draw(random.Random(5)).document


@pytest.mark.parametrize("loss", ["dice", "tversky", {"type": "Dice", "axis": [1]}])
def test_crossentropy_beside_a_loss_over_regions(loss: Any) -> None:
    """Their `axis` is null or a list, which no cross-entropy takes."""
    spec = dense_spec(outputs={"kind": {"loss": loss, "metrics": ["crossentropy"]}})
    model = gs.compile(spec)
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert np.isfinite(model.evaluate(np.ones((4, 4)), y)["crossentropy"])


@pytest.mark.parametrize("kind", [{"type": "LSTM", "units": 2}, {"type": "ConvLSTM1D", "filters": 1, "kernel_size": 1}])
def test_masks_of_images_before_recurrent_layers(kind: dict[str, Any]) -> None:
    """The answer names the mask, not two shapes that nobody wrote."""
    flat = [{"name": "flat", "type": "TimeDistributed", "layer": {"type": "Flatten"}}] if kind["type"] == "LSTM" else []
    layers = [{"name": "mask", "type": "Masking"}, *flat, {"name": "y", **kind}]
    spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3, 4, 2]}}, "layers": layers, "outputs": {"y": {}}}
    (error,) = [d for d in gs.validate(spec) if d.is_error]
    assert error.code == "GS302"
    assert "needs a mask with one value per step, (batch, time), got (N, 3, 4)" in error.message


def test_a_weight_that_is_one_number_is_stored(tmp_path: Path) -> None:
    """`use_scale` has a weight without axes, which must come back without one."""
    layers = [
        {"name": "wide", "type": "Reshape", "target_shape": [2, 2]},
        {"name": "seen", "type": "Attention", "use_scale": True, "inputs": ["wide", "wide"]},
        {"name": "flat", "type": "Flatten"},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    model = gs.compile(dense_spec(layers=layers))
    model.fit(*blobs(16), epochs=1, verbose=0)
    model.save(tmp_path / "run")
    loaded = gs.load(tmp_path / "run")
    assert loaded.weights["seen/scale"].shape == ()
    one, two = (m.fit(*blobs(16), epochs=1, verbose=0).history for m in (model, loaded))
    assert one == two


def test_a_probability_of_0_has_a_gradient() -> None:
    """`categorical_generalized_cross_entropy` has a power of it, whose derivative at 0 is infinite."""
    layers = [{"name": "kind", "type": "Dense", "units": 2, "activation": "softmax"}]
    model = gs.compile(dense_spec(layers=layers, outputs={"kind": {"loss": "categorical_generalized_cross_entropy"}}))
    x = np.full((8, 4), 1000.0)
    model.fit(x, np.arange(8) % 2, epochs=3, verbose=0)
    assert all(np.isfinite(a).all() for a in model.weights.values())


@pytest.mark.parametrize("callbacks", [[], [{"type": "TerminateOnNaN"}]])
def test_weights_that_the_last_step_loses(callbacks: list[Any], tmp_path: Path) -> None:
    """The last loss is finite and its gradient is not: no checkpoint may take such weights for good ones."""
    spec = {
        "graphspec": 1,
        "name": "steep",
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1, "kernel_initializer": "ones"}],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}, "callbacks": callbacks, "batch_size": 2},
    }
    model = gs.compile(spec)
    x = np.full((2, 1), 1e20, np.float32)
    y = x - np.float32(4e18)  # a loss of 1.6e37, and a gradient of 8e38, too large for float32
    if callbacks:
        assert model.fit(x, y, verbose=0).history == {}
    else:
        with pytest.raises(gs.RunError, match=r"GS601.*weight 'y/kernel' is not finite at the end of epoch 1"):
            model.fit(x, y, verbose=0)
    assert model.epochs_done == 0


def test_texts_that_reach_no_head() -> None:
    """They are asked for, as other inputs are, and nothing is done with them."""
    spec = {
        "graphspec": 1,
        "name": "unused",
        "inputs": {"text": {"shape": [1], "dtype": "string"}, "x": {"shape": [2]}},
        "layers": [
            {"name": "bins", "type": "Hashing", "num_bins": 3, "output_mode": "one_hot", "inputs": "text"},
            {"name": "y", "type": "Dense", "units": 1, "inputs": "x"},
        ],
        "outputs": {"y": {"loss": "mean_squared_error"}},
    }
    model = gs.compile(spec)
    x = {"text": np.array([["a"], ["b"], ["a"]], object), "x": np.ones((3, 2))}
    assert len(model.fit(x, np.ones((3, 1)), verbose=0).history["loss"]) == 1
    assert model.predict(x).shape == (3, 1)
    assert model.evaluate(x, np.ones((3, 1)))["loss"] >= 0


def test_rows_have_gaps_and_odd_texts_and_models_learn() -> None:
    """What is drawn for layers of records has what they are for."""
    seen, learning = set[str](), 0
    for kind in ("Impute", "IntegerLookup", "StringLookup", "DateParts"):
        for seed in range(16):
            drawn = draw(random.Random(seed), most=1, kind=kind)
            model = gs.compile(drawn.document)
            learning += model.learns
            for array in inputs(drawn, model, 8, defaultdict(lambda: 3), np.random.default_rng(seed)).values():
                if array.dtype == object:
                    seen.update({"text"} | ({"empty"} if "" in array else set()))
                elif array.dtype.kind == "f":
                    seen.update({"NaN"} if np.isnan(array).any() else set())
                else:
                    seen.update({"missing integer"} if (array == MISSING).any() else set())
    assert seen == {"text", "empty", "NaN", "missing integer"}
    assert learning > 4
