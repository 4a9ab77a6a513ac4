"""Networks whose layers were hard to write: the loss and its gradients are those of float64, the spec is short.

Each reference is a function of NumPy with a statement for each of PyTorch's: of the weights, the inputs, and the weights
that stand still, which are read where no gradient flows. Its lines are counted beside those of the spec's layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import graphspec as gs

Arrays = dict[str, np.ndarray[Any, Any]]
ROWS = 3


def softmax(x: Any, axis: int = -1) -> Any:
    parts = np.exp(x - x.max(axis, keepdims=True))
    return parts / parts.sum(axis, keepdims=True)


def dense(w: Arrays, name: str, x: Any) -> Any:
    return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)


def rows(x: Any, ids: Any) -> Any:
    return np.stack([one[at] for one, at in zip(x, ids, strict=True)])


def index_add(ids: Any, values: Any, count: int) -> Any:
    total = np.zeros((len(ids), count, values.shape[-1]))
    for k, at in enumerate(ids):
        np.add.at(total[k], at, values[k])
    return total


def conv(x: Any, kernel: Any) -> Any:
    """3 × 3, with padding; channels first."""
    wide = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    h, w = x.shape[2:]
    taps = (np.einsum("nchw,cf->nfhw", wide[:, :, i : i + h, j : j + w], kernel[i, j]) for i, j in np.ndindex(3, 3))
    return sum(taps)


def gat(w: Arrays, x: Arrays, _: Arrays) -> Any:
    source, target = x["edges"][..., 0], x["edges"][..., 1]
    h = dense(w, "h", x["atoms"])
    scores = dense(w, "scores", h)
    e = rows(scores[:, :, 0:1], source) + rows(scores[:, :, 1:2], target)
    e = np.where(e > 0, e, 0.2 * e)
    exp = np.exp(e - e.max())
    total = index_add(target, exp, 4)
    attention = exp / rows(total, target)
    out = index_add(target, attention * rows(h, source), 4)
    return np.tanh(out).mean()


GAT = """
layers:
  - {name: h, type: Dense, units: 3, use_bias: false, inputs: atoms}
  - {name: scores, type: Dense, units: 2, use_bias: false}
  - {name: sent, type: GatherNodes, column: 0, inputs: [h, edges]}
  - {name: one, type: GatherNodes, column: 0, inputs: [scores, edges]}
  - {name: other, type: GatherNodes, column: 1, inputs: [scores, edges]}
  - {name: e, type: Formula, value: "leaky_relu(one[:, :, 0:1] + other[:, :, 1:2], negative_slope=0.2)"}
  - {name: attention, type: SegmentSoftmax, column: 1, inputs: [e, edges, atoms]}
  - {name: message, type: Formula, value: attention * sent}
  - {name: out, type: SegmentSum, column: 1, inputs: [message, edges, atoms]}
  - {name: cost, type: Formula, value: tanh(out)}
"""


def spatial_transformer(w: Arrays, x: Arrays, _: Arrays) -> Any:
    theta = dense(w, "theta", x["x"].reshape(ROWS, -1)).reshape(-1, 2, 3)
    across, down = np.meshgrid(np.linspace(-0.75, 0.75, 4), np.linspace(-0.75, 0.75, 4))
    grid = np.stack([across, down, np.ones((4, 4))], -1).reshape(-1, 3) @ theta.transpose(0, 2, 1)
    place = ((grid + 1) * 4 - 1) / 2
    low = np.floor(place).astype(int)
    part = place - low
    wide = np.pad(x["x"][:, 0], [(0, 0), (9, 9), (9, 9)])
    total = 0
    for i, j in np.ndindex(2, 2):
        weight = (part[..., 0] if i else 1 - part[..., 0]) * (part[..., 1] if j else 1 - part[..., 1])
        total = total + weight * np.stack(
            [p[at[:, 1] + 9 + j, at[:, 0] + 9 + i] for p, at in zip(wide, low, strict=True)]
        )
    return (dense(w, "y", total) ** 2).mean()


SPATIAL_TRANSFORMER = """
layers:
  - {name: flat, type: Flatten, inputs: x}
  - {name: theta, type: Dense, units: 6, bias_initializer: {type: Constant, value: [1, 0, 0, 0, 1, 0]}}
  - {name: map, type: Reshape, target_shape: [2, 3]}
  - {name: grid, type: onnx.AffineGrid, inputs: [map, [1, 1, 4, 4]]}
  - {name: seen, type: onnx.GridSample, inputs: [x, grid]}
  - {name: rows, type: Flatten}
  - {name: y, type: Dense, units: 2}
  - {name: cost, type: Formula, value: y**2}
"""


def segnet(w: Arrays, x: Arrays, _: Arrays) -> Any:
    a = np.maximum(conv(x["x"], w["a/kernel"]) + w["a/bias"][:, None, None], 0)
    windows = a.reshape(ROWS, 2, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(ROWS, 2, 2, 2, 4)
    pooled, at = windows.max(-1), windows.argmax(-1)
    b = np.maximum(conv(pooled, w["b/kernel"]) + w["b/bias"][:, None, None], 0)
    spread = np.where(np.arange(4) == at[..., None], b[..., None], 0)
    back = spread.reshape(ROWS, 2, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(ROWS, 2, 4, 4)
    c = conv(back, w["c/kernel"]) + w["c/bias"][:, None, None]
    return (c**2).mean()


SEGNET = """
layers:
  - {name: a, type: Conv2D, filters: 2, kernel_size: 3, padding: same, data_format: channels_first, activation: relu}
  - {name: pool, type: onnx.MaxPool, kernel_shape: [2, 2], strides: [2, 2]}
  - {name: b, type: Conv2D, filters: 2, kernel_size: 3, padding: same, data_format: channels_first, activation: relu}
  - {name: back, type: onnx.MaxUnpool, kernel_shape: [2, 2], strides: [2, 2], inputs: [b, "pool:1"]}
  - {name: c, type: Conv2D, filters: 2, kernel_size: 3, padding: same, data_format: channels_first}
  - {name: cost, type: Formula, value: c**2}
"""


def byol(w: Arrays, x: Arrays, still: Arrays) -> Any:
    online = dense(w, "online/z", np.tanh(dense(w, "online/h", x["x"])))
    guess = dense(w, "guess", online)
    target = dense(still, "target/z", np.tanh(dense(still, "target/h", x["other"])))
    guess = guess / np.sqrt((guess**2).sum(-1, keepdims=True))
    target = target / np.sqrt((target**2).sum(-1, keepdims=True))
    return (2 - 2 * (guess * target).sum(-1)).mean()


BYOL = """
blocks:
  net:
    inputs: [x]
    layers:
      - {name: h, type: Dense, units: 4, activation: tanh}
      - {name: z, type: Dense, units: 3}
    outputs: [z]
layers:
  - {name: online, block: net, inputs: x}
  - {name: guess, type: Dense, units: 3}
  - {name: target, share: online, average: 0.9, inputs: other}
  - {name: cost, type: Formula, value: "2 - 2 * sum(normalize(guess, axis=-1) * normalize(target, axis=-1), axis=-1)"}
"""


def mixture(w: Arrays, x: Arrays, _: Arrays) -> Any:
    experts = np.stack([np.maximum(dense(w, f"expert_{k}", x["x"]), 0) for k in (1, 2, 3)], 1)
    gate = softmax(dense(w, "gate", x["x"]))
    mixed = (gate[:, :, None] * experts).sum(1)
    return (dense(w, "y", mixed) ** 2).mean()


MIXTURE = """
layers:
  - {name: expert, type: Dense, units: 4, activation: relu, inputs: x, repeat: {times: 3, carry: 0}}
  - {name: experts, type: ops.stack, axis: 1, inputs: ["expert_*"]}
  - {name: gate, type: Dense, units: 3, activation: softmax, inputs: x}
  - {name: mixed, type: Dot, axes: 1, inputs: [gate, experts]}
  - {name: y, type: Dense, units: 2}
  - {name: cost, type: Formula, value: y**2}
"""


def ple(w: Arrays, x: Arrays, _: Arrays) -> Any:
    kinds = []
    for kind in (1, 2, 3):
        kinds.append([np.maximum(dense(w, f"experts_{kind}/expert_{k}", x["x"]), 0) for k in (1, 2)])
    total = 0
    for task, own in (("a", 0), ("b", 1)):
        every = np.stack([*kinds[own], *kinds[2]], 1)
        gate = softmax(dense(w, f"{task}/gate", x["x"]))
        mixed = np.einsum("ne,ned->nd", gate, every)
        total = total + dense(w, f"{task}/y", mixed) ** 2
    return total.mean()


PLE = """
blocks:
  experts:
    inputs: [x]
    layers:
      - {name: expert, type: Dense, units: 3, activation: relu, repeat: {times: 2, carry: 0}}
      - {name: all, type: ops.stack, axis: 1, inputs: ["expert_*"]}
    outputs: [all]
  task:
    inputs: [own, shared, x]
    layers:
      - {name: gate, type: Dense, units: 4, activation: softmax, inputs: x}
      - {name: mixed, type: Formula, value: "einsum(gate, concatenate(own, shared, axis=1), subscripts='ne,ned->nd')"}
      - {name: y, type: Dense, units: 1}
    outputs: [y]
layers:
  - {name: experts, block: experts, inputs: x, repeat: {times: 3, carry: 0}}
  - {name: a, block: task, inputs: [experts_1, experts_3, x]}
  - {name: b, block: task, inputs: [experts_2, experts_3, x]}
  - {name: cost, type: Formula, value: a**2 + b**2}
"""


def capsules(w: Arrays, x: Arrays, _: Arrays) -> Any:
    u = np.einsum("nij,ikjd->nikd", x["caps"], w["w/value"])
    b = np.zeros((ROWS, 4, 2))
    for _step in range(3):
        c = softmax(b)
        s = (c[..., None] * u).sum(1)
        size = (s**2).sum(-1, keepdims=True)
        v = s * np.sqrt(size) / (1 + size)
        b = b + (u * v[:, None]).sum(-1)
    return (v[:, 0] ** 2).mean()


CAPSULES = """
blocks:
  route:
    inputs: [b, u]
    layers:
      - {name: c, type: Formula, value: "expand_dims(softmax(b, axis=-1), axis=-1)"}
      - {name: s, type: Formula, value: "sum(c * u, axis=1)"}
      - {name: size, type: Formula, value: "sum(s**2, axis=-1, keepdims=true)"}
      - {name: v, type: Formula, value: s * sqrt(size) / (1 + size)}
      - {name: new, type: Formula, value: "b + sum(u * expand_dims(v, axis=1), axis=-1)"}
    outputs: [new, v]
layers:
  - {name: w, type: Parameter, shape: [4, 2, 3, 5]}
  - {name: u, type: Formula, value: "einsum(caps, w, subscripts='nij,ikjd->nikd')"}
  - {name: b, type: Formula, value: "0 * u[:, :, :, 0]"}
  - {name: route, block: route, inputs: [b, u], repeat: 3}
  - {name: cost, type: Formula, value: "(route:1)[:, 0]**2"}
"""


def vq_vae(w: Arrays, x: Arrays, still: Arrays) -> Any:
    z = dense(w, "z", x["x"])
    distance = (z**2).sum(-1, keepdims=True) - 2 * z @ w["codes/value"].T + (w["codes/value"] ** 2).sum(-1)
    q = w["codes/value"][distance.argmin(-1)]
    z_still, q_still = dense(still, "z", x["x"]), still["codes/value"][distance.argmin(-1)]
    through = z + (q_still - z_still)
    copy = dense(w, "copy", through)
    commit = ((q - z_still) ** 2).mean(-1) + 0.25 * ((z - q_still) ** 2).mean(-1)
    return (((copy - x["x"]) ** 2).mean(-1) + commit).mean()


VQ_VAE = """
layers:
  - {name: codes, type: Parameter, shape: [4, 2], initializer: {type: RandomNormal, stddev: 1.0}}
  - {name: z, type: Dense, units: 2, inputs: x}
  - {name: far, type: Formula, value: "sum(codes**2, axis=-1) - 2 * z @ transpose(codes)"}
  - {name: q, type: Formula, value: "one_hot(argmin(far, axis=-1), num_classes=4) @ codes"}
  - {name: through, type: Formula, value: z + stop_gradient(q - z)}
  - {name: copy, type: Dense, units: 5}
  - {name: commit, type: Formula, value: "mean((q - stop_gradient(z))**2 + 0.25 * (z - stop_gradient(q))**2, axis=-1)"}
  - {name: cost, type: Formula, value: "mean((copy - x)**2, axis=-1) + commit"}
"""


def attention(w: Arrays, name: str, x: Any, y: Any) -> Any:
    heads = {k: np.einsum("nti,ihd->nhtd", v, w[f"{name}/{k}/kernel"]) + w[f"{name}/{k}/bias"][:, None]
             for k, v in (("query", x), ("key", y), ("value", y))}  # fmt: skip
    weights = softmax(np.einsum("nhtd,nhsd->nhts", heads["query"], heads["key"]) / np.sqrt(3))
    seen = np.einsum("nhts,nhsd->nthd", weights, heads["value"])
    return np.einsum("nthd,hdi->nti", seen, w[f"{name}/attention_output/kernel"]) + w[f"{name}/attention_output/bias"]


def perceiver(w: Arrays, x: Arrays, _: Arrays) -> Any:
    latents = np.tile(w["latents/value"], (ROWS, 1, 1))
    for k in (1, 2):
        latents = latents + attention(w, f"layers_{k}/read", latents, x["points"])
        latents = latents + attention(w, f"layers_{k}/think", latents, latents)
        latents = latents + dense(w, f"layers_{k}/out", np.tanh(dense(w, f"layers_{k}/wide", latents)))
    return (latents.mean(1) ** 2).mean()


PERCEIVER = """
blocks:
  layer:
    inputs: [latents, points]
    layers:
      - {name: read, type: MultiHeadAttention, num_heads: 2, key_dim: 3, inputs: [latents, points]}
      - {name: seen, type: Add, inputs: [latents, read]}
      - {name: think, type: MultiHeadAttention, num_heads: 2, key_dim: 3, inputs: [seen, seen]}
      - {name: thought, type: Add, inputs: [seen, think]}
      - {name: wide, type: Dense, units: 5, activation: tanh}
      - {name: out, type: Dense, units: 4}
      - {name: next, type: Add, inputs: [thought, out]}
    outputs: [next]
layers:
  - {name: latents, type: Parameter, shape: [2, 4]}
  - {name: start, type: Formula, value: "latents + 0 * points[:, 0:1, 0:1]"}
  - {name: layers, block: layer, inputs: [start, points], repeat: 2}
  - {name: cost, type: Formula, value: "mean(layers, axis=1)**2"}
"""

PICTURE = {"x": [1, 4, 4]}
MODELS: dict[str, tuple[Callable[[Arrays, Arrays, Arrays], Any], str, dict[str, list[int]]]] = {
    "graph attention": (gat, GAT, {"atoms": [4, 5], "edges": [7, 2]}),
    "spatial transformer": (spatial_transformer, SPATIAL_TRANSFORMER, PICTURE),
    "SegNet": (segnet, SEGNET, PICTURE),
    "BYOL": (byol, BYOL, {"x": [5], "other": [5]}),
    "mixture of experts": (mixture, MIXTURE, {"x": [5]}),
    "progressive layered extraction": (ple, PLE, {"x": [5]}),
    "capsules": (capsules, CAPSULES, {"caps": [4, 3]}),
    "VQ-VAE": (vq_vae, VQ_VAE, {"x": [5]}),
    "Perceiver": (perceiver, PERCEIVER, {"points": [6, 3]}),
}


def inputs_of(shapes: dict[str, list[int]]) -> Arrays:
    draw = np.random.default_rng(4)
    made: Arrays = {name: draw.normal(size=(ROWS, *shape)).round(3) for name, shape in shapes.items()}
    return made | {name: draw.integers(0, 4, (ROWS, *shapes[name])) for name in shapes if name == "edges"}


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_float64(name: str, tmp_path: Path) -> None:
    reference, text, shapes = MODELS[name]
    x = inputs_of(shapes)
    inputs = {key: {"shape": shape, **({"dtype": "int64"} if key == "edges" else {})} for key, shape in shapes.items()}
    model = gs.compile({
        "graphspec": 1, "name": "m", "inputs": inputs, **yaml.safe_load(text),
        "outputs": {"total": {"layer": "cost", "loss": "value"}, "shown": {"layer": "cost"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}, "batch_size": ROWS, "seed": 1},
    })  # fmt: skip
    before = {key: array.astype(np.float64) for key, array in model.weights.items()}
    loss = partial(lambda still, weights: reference(weights, x, still), before)
    given = {key: array if array.dtype.kind == "i" else array.astype(np.float32) for key, array in x.items()}
    history = model.fit(given, epochs=1, verbose=0)
    np.testing.assert_allclose(history.history["loss"][0], loss(before), rtol=1e-5)
    trained = [key for key in before if not key.startswith("target/")]
    draw, largest, pairs = np.random.default_rng(0), 0.0, list[tuple[str, Any, Any]]()
    for key in trained:
        found = before[key] - model.weights[key].astype(np.float64)
        for at in draw.choice(found.size, min(found.size, 12), replace=False):
            ends = []
            for step in (1e-6, -1e-6):
                moved = before | {key: before[key].copy()}
                moved[key].reshape(-1)[at] += step
                ends.append(loss(moved))
            pairs.append((f"{key}[{at}]", found.reshape(-1)[at], (ends[0] - ends[1]) / 2e-6))
            largest = max(largest, abs(pairs[-1][2]))
    assert largest > 1e-3
    for place, found, expected in pairs:
        assert abs(found - expected) <= 2e-5 * largest, (place, found, expected)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))


def test_specs_are_about_as_long_as_the_code() -> None:
    ratios = {}
    for name, (reference, text, _) in MODELS.items():
        lines = sum(line.lstrip().startswith("- {") for line in text.splitlines())
        ratios[name] = lines / (len(inspect.getsource(reference).strip().splitlines()) - 1)
    assert float(np.median(list(ratios.values()))) <= 1.3, ratios
    assert max(ratios.values()) <= 2.5, ratios
