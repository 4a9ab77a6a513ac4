"""Targets that are scaled by their own window: losses by hand, answers in the target's unit, files, copies, intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphspec as gs

Array = np.ndarray[Any, Any]
ROWS, PAST, AHEAD = 24, 6, 3
RANDOM = np.random.default_rng(3)
LEVELS = RANDOM.uniform(-50, 900, (ROWS, 1, 2))
X = (LEVELS + RANDOM.normal(size=(ROWS, PAST, 2)) * RANDOM.uniform(1, 40, (ROWS, 1, 2))).astype(np.float32)
Y = (LEVELS + RANDOM.normal(size=(ROWS, AHEAD, 2)) * 20).astype(np.float32)


def document(head: dict[str, Any], shape: tuple[int, ...], layer: dict[str, Any] | None = None, **training: Any) -> Any:
    """A linear network on a window of two columns whose head has a shape."""
    units = int(np.prod(shape))
    return {
        "graphspec": 1,
        "name": "series",
        "inputs": {"past": {"shape": [PAST, 2]}},
        "layers": [
            {"name": "scaled", "type": "WindowScaling", "inputs": "past", **(layer or {})},
            {"type": "Flatten"},
            {"type": "Dense", "units": units},
            {"name": "y", "type": "Reshape", "target_shape": list(shape)},
        ],
        "outputs": {"y": {"loss": "mse", "metrics": ["mae"], **head}},
        "training": {"seed": 2, **training},
    }


def of_window(by: str = "last") -> tuple[Array, Array]:
    """The level and the deviation of each window, (rows, 1, 2)."""
    x = X.astype(np.float64)
    mean = x.mean(1, keepdims=True)
    return (x[:, -1:] if by == "last" else mean), np.sqrt(x.var(1, keepdims=True) + 1e-5) + 0.1 * np.abs(mean)


def answers(model: Any, by: str, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """What the network gives before it is scaled back, and what scales it back."""
    level, deviation = of_window(by)
    kernel, bias = (a.astype(np.float64) for a in model.weights.values())
    return ((X - level) / deviation).reshape(ROWS, -1) @ kernel + bias, level, deviation


@pytest.mark.parametrize("by", ["last", "mean"])
def test_one_column(by: str, tmp_path: Path) -> None:
    model = gs.compile(document({"scale": {"window": "scaled"}}, (AHEAD,), {"by": by}))
    raw, level, deviation = answers(model, by, (AHEAD,))
    expected = raw * deviation[:, :, 0] + level[:, :, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-3)
    scores, y = model.evaluate(X, Y[:, :, 0]), Y[:, :, 0]
    assert scores["loss"] == pytest.approx((((expected - y) / deviation[:, :, 0]) ** 2).mean(), rel=1e-4)
    assert scores["mae"] == pytest.approx(np.abs(expected - y).mean(), rel=1e-5)
    model.fit(X, y, epochs=1, verbose=0)
    model.export(tmp_path / "m.onnx")
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(["y"], {"past": X})[0]
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5, atol=1e-3)


def test_several_columns_in_another_order() -> None:
    head = {"scale": {"window": "scaled", "columns": [1, 0]}}
    model = gs.compile(document(head, (AHEAD, 2)))
    raw, level, deviation = answers(model, "last", (AHEAD, 2))
    expected = raw.reshape(ROWS, AHEAD, 2) * deviation[..., ::-1] + level[..., ::-1]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-3)
    y = Y[..., ::-1]
    assert model.evaluate(X, y)["loss"] == pytest.approx(
        (((expected - y) / deviation[..., ::-1]) ** 2).mean(), rel=1e-4
    )
    assert gs.compile(document({"scale": {"window": "scaled"}}, (AHEAD, 2))).predict(X).shape == (ROWS, AHEAD, 2)


def test_one_step_of_several_columns() -> None:
    model = gs.compile(document({"scale": {"window": "scaled", "columns": [0, 1]}}, (2,)))
    raw, level, deviation = answers(model, "last", (2,))
    np.testing.assert_allclose(model.predict(X), raw * deviation[:, 0] + level[:, 0], rtol=1e-5, atol=1e-3)


def test_a_level_alone() -> None:
    model = gs.compile(document({"scale": {"window": "scaled"}}, (AHEAD,), {"deviation": False}))
    level, _ = of_window()
    kernel, bias = (a.astype(np.float64) for a in model.weights.values())
    expected = (X - level).reshape(ROWS, -1) @ kernel + bias + level[:, :, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-3)
    y = Y[:, :, 0]
    assert model.evaluate(X, y)["loss"] == pytest.approx(((expected - y) ** 2).mean(), rel=1e-4)


def test_quantiles() -> None:
    head = {"loss": {"type": "quantile", "quantiles": [0.1, 0.9]}, "scale": {"window": "scaled"}, "metrics": []}
    model = gs.compile(document(head, (AHEAD, 2)))
    raw, level, deviation = answers(model, "last", (AHEAD, 2))
    scaled = raw.reshape(ROWS, AHEAD, 2)
    np.testing.assert_allclose(model.predict(X), scaled * deviation[:, :, :1] + level[:, :, :1], rtol=1e-5, atol=1e-3)
    error = ((Y[:, :, 0] - level[:, :, 0]) / deviation[:, :, 0])[..., None] - scaled
    expected = np.maximum(error * [0.1, 0.9], error * [-0.9, -0.1]).mean()
    assert model.evaluate(X, Y[:, :, 0])["loss"] == pytest.approx(expected, rel=1e-4)


def test_series_of_any_size_are_one_to_the_network() -> None:
    """A window a thousand times as large, and far away, trains and answers alike."""
    found = []
    for factor, shift in ((1.0, 0.0), (1000.0, 5e4)):
        model = gs.compile(document({"scale": {"window": "scaled"}}, (AHEAD,), {"floor": 0}))
        x, y = X * factor + shift, Y[:, :, 0] * factor + shift
        model.fit(x, y, epochs=3, batch_size=8, verbose=0)
        found.append((model.predict(x) - shift) / factor)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=0.05)


def test_clipped_members_and_copies(tmp_path: Path) -> None:
    head = {"scale": {"window": "scaled"}, "members": "mean", "clip": {"min": 0}}
    model = gs.compile(document(head, (4, AHEAD), seeds=2, epochs=2))
    model.fit(X, Y[:, :, 0], validation_data=(X, Y[:, :, 0]), verbose=0)
    assert model.predict(X).shape == (ROWS, AHEAD)
    assert model.predict(X).min() >= 0
    model.export(tmp_path / "m.onnx")


def test_an_interval_is_as_wide_as_the_window() -> None:
    model = gs.compile(document({"scale": {"window": "scaled"}, "interval": 0.5}, (AHEAD,), epochs=2))
    model.fit(X, Y[:, :, 0], validation_data=(X, Y[:, :, 0]), verbose=0)
    found = model.predict(X)
    widths = (found["y_high"] - found["y_low"]) / of_window()[1][:, :, 0]
    np.testing.assert_allclose(widths, np.broadcast_to(widths[:1], widths.shape), rtol=1e-3)
    inside = (found["y_low"] <= Y[:, :, 0]) & (Y[:, :, 0] <= found["y_high"])
    assert inside.mean() == pytest.approx(0.5, abs=0.1)


DATA = {
    "data": {
        "train": {
            "file": "s.csv",
            "windows": {"length": PAST, "horizon": AHEAD},
            "inputs": {"past": ["temp", "load"]},
            "targets": {"y": "load"},
        }
    }
}


@pytest.mark.parametrize(
    ("head", "more", "code", "message"),
    [
        ({"scale": {"window": "y"}}, {}, "GS105", "cannot have `scale` by 'y', which is no WindowScaling"),
        ({"scale": {"window": "never"}}, {}, "GS201", "unknown node 'never'"),
        ({"scale": {"window": "scaled", "columns": [2]}}, {}, "GS105", "cannot have `scale` by column 2"),
        ({"scale": {"window": "scaled", "columns": [0, 1]}}, {}, "GS105", "cannot have `scale` by 2 columns"),
        ({"scale": {"window": "scaled"}, "clip": True}, {}, "GS105", "cannot have `clip`, which needs"),
        ({"scale": {"window": "scaled"}, "loss": "poisson"}, {}, "GS105", "another loss after a shift"),
        ({"scale": {"window": "scaled"}}, DATA, "GS105", "has the target 'load', but is scaled by 'temp', column 0"),
    ],
)
def test_refused(head: dict[str, Any], more: dict[str, Any], code: str, message: str) -> None:
    found = gs.validate(document(head, (AHEAD,)) | more)
    assert any(d.code == code and message in d.message and d.hint for d in found), found


def test_the_column_of_the_target(tmp_path: Path) -> None:
    head = {"scale": {"window": "scaled", "columns": [1]}}
    assert not gs.validate(document(head, (AHEAD,)) | DATA)
