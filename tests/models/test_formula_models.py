"""Losses that people write themselves, as formulas: the loss and its gradients are those of float64.

Each reference is a function of NumPy with a statement for each of PyTorch's; the lines of the spec are counted beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_models import spec_lines, statements

import graphspec as gs

Arrays = dict[str, np.ndarray[Any, Any]]
ROWS = 6


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def centernet(out: Any, x: Arrays) -> Any:
    p = sigmoid(out)
    found = (x["heat"] == 1) * (1 - p) ** 2 * np.log(p)
    missed = (x["heat"] < 1) * (1 - x["heat"]) ** 4 * p**2 * np.log(1 - p)
    count = (x["heat"] == 1).sum()
    return -(found + missed).sum() / max(count, 1)


CENTERNET = {
    "p": "sigmoid(out)",
    "found": "(heat == 1) * (1 - p)**2 * log(p)",
    "missed": "(heat < 1) * (1 - heat)**4 * p**2 * log(1 - p)",
    "cost": "-sum(found + missed) / maximum(sum(heat == 1), 1)",
}


def yolo(out: Any, x: Arrays) -> Any:
    xy = 2 * sigmoid(out[:, :, 0:2]) - 0.5
    wh = (2 * sigmoid(out[:, :, 2:4])) ** 2
    low, high = xy - wh / 2, xy + wh / 2
    goal, size = x["boxes"][:, :, 0:2], x["boxes"][:, :, 2:4]
    left, right = goal - size / 2, goal + size / 2
    inner = np.maximum(np.minimum(high, right) - np.maximum(low, left), 0)
    shared = inner[:, :, 0] * inner[:, :, 1]
    union = wh[:, :, 0] * wh[:, :, 1] + size[:, :, 0] * size[:, :, 1] - shared + 1e-7
    hull = np.maximum(high, right) - np.minimum(low, left)
    far = (hull**2).sum(-1) + 1e-7
    near = ((xy - goal) ** 2).sum(-1)
    angle = np.arctan(size[:, :, 0] / size[:, :, 1]) - np.arctan(wh[:, :, 0] / wh[:, :, 1])
    v = 4 / math.pi**2 * angle**2
    iou = shared / union
    ciou = iou - near / far - v * v / (1 - iou + v + 1e-7)
    return (x["mask"] * (1 - ciou)).sum() / x["mask"].sum()


YOLO = {
    "xy": "2 * sigmoid(out[:, :, 0:2]) - 0.5",
    "wh": "(2 * sigmoid(out[:, :, 2:4]))**2",
    "goal": "boxes[:, :, 0:2]",
    "size": "boxes[:, :, 2:4]",
    "high": "minimum(xy + wh / 2, goal + size / 2)",
    "low": "maximum(xy - wh / 2, goal - size / 2)",
    "inner": "relu(high - low)",
    "shared": "inner[:, :, 0] * inner[:, :, 1]",
    "iou": "shared / (wh[:, :, 0] * wh[:, :, 1] + size[:, :, 0] * size[:, :, 1] - shared + 1e-7)",
    "hull": "maximum(xy + wh / 2, goal + size / 2) - minimum(xy - wh / 2, goal - size / 2)",
    "away": "sum((xy - goal)**2, axis=-1) / (sum(hull**2, axis=-1) + 1e-7)",
    "angle": "arctan(size[:, :, 0] / size[:, :, 1]) - arctan(wh[:, :, 0] / wh[:, :, 1])",
    "v": "4 / 3.141592653589793**2 * angle**2",
    "ciou": "iou - away - v * v / (1 - iou + v + 1e-7)",
    "cost": "sum(mask * (1 - ciou)) / sum(mask)",
}


def triplets(out: Any, x: Arrays) -> Any:
    squares = (out**2).sum(-1, keepdims=True)
    distance = squares + squares.T - 2 * out @ out.T
    same = x["kind"] == x["kind"].T
    worst = np.where(same, distance, 0).max(-1)
    best = np.where(same, 1e9, distance).min(-1)
    return np.maximum(worst - best + 0.5, 0).mean()


TRIPLETS = {
    "squares": "sum(out**2, axis=-1, keepdims=true)",
    "distance": "squares + transpose(squares) - 2 * out @ transpose(out)",
    "same": "kind == transpose(kind)",
    "gap": "max(where(same, distance, 0), axis=-1) - min(where(same, 1e9, distance), axis=-1)",
    "cost": "relu(gap + 0.5)",
}


def zip_(out: Any, x: Arrays) -> Any:
    zero, log_rate = sigmoid(out[:, 0:1]), out[:, 1:2]
    rate = np.exp(log_rate)
    none = -np.log(zero + (1 - zero) * np.exp(-rate))
    some = rate - x["n"] * log_rate + np.vectorize(math.lgamma)(x["n"] + 1) - np.log(1 - zero)
    return np.where(x["n"] == 0, none, some).mean()


ZIP = {
    "zero": "sigmoid(out[:, 0:1])",
    "log_rate": "out[:, 1:2]",
    "none": "-log(zero + (1 - zero) * exp(-exp(log_rate)))",
    "some": "exp(log_rate) - n * log_rate + lgamma(n + 1) - log(1 - zero)",
    "cost": "where(n == 0, none, some)",
}


def negative_binomial(out: Any, x: Arrays) -> Any:
    mean = np.exp(out[:, 0:1])
    r = np.log1p(np.exp(out[:, 1:2]))
    lgamma = np.vectorize(math.lgamma)
    ways = lgamma(x["n"] + r) - lgamma(r) - lgamma(x["n"] + 1)
    return -(ways + r * np.log(r / (r + mean)) + x["n"] * np.log(mean / (r + mean))).mean()


NEGATIVE_BINOMIAL = {
    "mean": "exp(out[:, 0:1])",
    "r": "softplus(out[:, 1:2])",
    "ways": "lgamma(n + r) - lgamma(r) - lgamma(n + 1)",
    "cost": "-(ways + r * log(r / (r + mean)) + n * log(mean / (r + mean)))",
}


def barlow_twins(out: Any, x: Arrays) -> Any:
    a = (out - out.mean(0)) / np.sqrt(out.var(0) + 1e-5)
    b = (x["view"] - x["view"].mean(0)) / np.sqrt(x["view"].var(0) + 1e-5)
    c = a.T @ b / len(out)
    return ((c - np.eye(3)) ** 2 * (0.05 + 0.95 * np.eye(3))).sum()


BARLOW_TWINS = {
    "eye": [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]],
    "a": "(out - mean(out, axis=0)) / sqrt(var(out, axis=0) + 1e-5)",
    "b": "(view - mean(view, axis=0)) / sqrt(var(view, axis=0) + 1e-5)",
    "c": "transpose(a) @ b / 6",
    "cost": "sum((c - eye)**2 * (0.05 + 0.95 * eye))",
}

MODELS: dict[str, tuple[Callable[[Any, Arrays], Any], dict[str, Any], dict[str, list[int]], list[int]]] = {
    "centernet": (centernet, CENTERNET, {"heat": [8]}, [8]),
    "yolo": (yolo, YOLO, {"boxes": [2, 4], "mask": [2]}, [2, 4]),
    "triplets": (triplets, TRIPLETS, {"kind": [1]}, [3]),
    "zero-inflated Poisson": (zip_, ZIP, {"n": [1]}, [2]),
    "negative binomial": (negative_binomial, NEGATIVE_BINOMIAL, {"n": [1]}, [2]),
    "Barlow Twins": (barlow_twins, BARLOW_TWINS, {"view": [3]}, [3]),
}


def inputs_of(shapes: dict[str, list[int]]) -> Arrays:
    draw = np.random.default_rng(3)
    made = {name: draw.random((ROWS, *shape)).round(3) for name, shape in shapes.items()}
    made |= {"x": draw.normal(size=(ROWS, 5)).round(3)}
    if "heat" in made:
        made["heat"] = np.where(made["heat"] > 0.7, 1, made["heat"])
    made |= {name: (made[name] > 0.3).astype(float) for name in made if name == "mask"}
    made |= {name: np.arange(ROWS)[:, None] // 2.0 for name in made if name == "kind"}
    made |= {name: np.arange(ROWS)[:, None] % 4.0 for name in made if name == "n"}
    return made


def model_of(name: str) -> Any:
    _, formulas, shapes, out = MODELS[name]
    start: list[dict[str, Any]] = [{"name": "flat", "type": "Dense", "units": math.prod(out), "inputs": "x"}]
    start += [{"name": "out", "type": "Reshape", "target_shape": out, "inputs": "flat"}]
    kinds = {key: "Formula" if isinstance(value, str) else "Constant" for key, value in formulas.items()}
    layers = [{"name": key, "type": kinds[key], "value": value} for key, value in formulas.items()]
    inputs = {key: {"shape": shape} for key, shape in {"x": [5], **shapes}.items()}
    return gs.compile({
        "graphspec": 1, "name": "m", "inputs": inputs, "layers": [*start, *layers],
        "outputs": {"out": {}, "total": {"layer": "cost", "loss": "value"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}, "batch_size": ROWS, "seed": 1},
    })  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_float64(name: str, tmp_path: Path) -> None:
    reference, _, shapes, out = MODELS[name]
    model, x = model_of(name), inputs_of(shapes)
    before = {key: array.astype(np.float64) for key, array in model.weights.items()}

    def loss(weights: Arrays) -> Any:
        flat = x["x"] @ weights["flat/kernel"] + weights["flat/bias"]
        return reference(flat.reshape(ROWS, *out), x)

    given = {key: array.astype(np.float32) for key, array in x.items()}
    history = model.fit(given, epochs=1, verbose=0)
    np.testing.assert_allclose(history.history["loss"][0], loss(before), rtol=1e-5)
    largest = 0.0
    for key, start in sorted(before.items(), reverse=True):  # kernels first: some losses have no slope along the bias
        found = start - model.weights[key].astype(np.float64)
        expected = np.zeros_like(start)
        for place in np.ndindex(start.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = {k: v.copy() for k, v in before.items()}
                moved[key][place] += step
                ends.append(loss(moved))
            expected[place] = (ends[0] - ends[1]) / 2e-6
        largest = max(largest, np.abs(expected).max())
        np.testing.assert_allclose(found / largest, expected / largest, atol=1e-5, rtol=0, err_msg=key)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))


LENGTHS = {name: (spec_lines(formulas), statements(reference)) for name, (reference, formulas, *_) in MODELS.items()}
