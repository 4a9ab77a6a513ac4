"""Networks with loops, as people write them: outputs and gradients are those of float64.

Each reference is a function of NumPy with a statement for each of PyTorch's; the lines of the spec are counted beside them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import graphspec as gs

Arrays = dict[str, np.ndarray[Any, Any]]
ROWS = 3


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


class Net:
    """The weights of a network by the names of its nodes."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights

    def __call__(self, name: str, x: Any) -> Any:
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def lstm(self, name: str, x: Any, h: Any, c: Any) -> Any:
        i, f, g, o = np.split(self(name, x) + h @ self.weights[f"{name}/recurrent_kernel"], 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


def show_attend_tell(net: Net, x: Arrays) -> Any:
    mean = x["regions"].mean(1)
    h, c, outs = net("h0", mean), net("c0", mean), []
    for word in net.weights["word/embeddings"][x["words"]].swapaxes(0, 1):
        energy = np.tanh(net("steps/keys", x["regions"]) + net("steps/query", h)[:, None])
        weights = softmax(net("steps/score", energy), 1)
        context = (weights * x["regions"]).sum(1)
        both = np.concatenate([word, context], -1)
        h, c = net.lstm("steps/cell", both, h, c)
        outs.append(h)
    return net("y", np.stack(outs, 1))


SHOW_ATTEND_TELL = """
inputs: {regions: {shape: [4, 3]}, words: {shape: [null], dtype: int64}}
blocks:
  step:
    inputs: [h, c, word, regions]
    layers:
      - {name: query, type: Dense, units: 2, inputs: h}
      - {name: keys, type: Dense, units: 2, inputs: regions}
      - {name: energy, type: Formula, value: "tanh(keys + expand_dims(query, axis=1))"}
      - {name: score, type: Dense, units: 1}
      - {name: both, type: Formula, value: "concatenate(word, sum(softmax(score, axis=1) * regions, axis=1), axis=-1)"}
      - {name: cell, type: LSTMCell, units: 2, inputs: [both, h, c]}
    outputs: [cell, "cell:1"]
layers:
  - {name: mean, type: GlobalAveragePooling1D, inputs: regions}
  - {name: h0, type: Dense, units: 2}
  - {name: c0, type: Dense, units: 2, inputs: mean}
  - {name: word, type: Embedding, input_dim: 5, output_dim: 2, inputs: words}
  - {name: steps, block: step, inputs: [h0, c0, word, regions], repeat: {over: word, carry: 2, shared: true, collect: 0}}
  - {name: y, type: Dense, units: 2}
"""


def sparsemax(x: Any) -> Any:
    z = -np.sort(-x, -1)
    k = np.arange(1, x.shape[-1] + 1)
    count = (1 + k * z > z.cumsum(-1)).sum(-1, keepdims=True)
    tau = (np.take_along_axis(z.cumsum(-1), count - 1, -1) - 1) / count
    return np.maximum(x - tau, 0)


def tabnet(net: Net, x: Arrays) -> Any:
    prior, total = np.ones_like(x["x"]), 0
    h = net("first", x["x"])
    for k in range(1, 4):
        mask = sparsemax(prior * net(f"steps_{k}/logit", h))
        prior = prior * (1.5 - mask)
        used = mask * x["x"]
        h = np.maximum(net(f"steps_{k}/h_", used), 0)
        total = total + h
    return net("y", total)


TABNET = """
inputs: {x: {shape: [4]}}
blocks:
  step:
    inputs: [prior, h, x]
    layers:
      - {name: logit, type: Dense, units: 4, inputs: h}
      - {name: mask, type: Formula, value: "sparsemax(prior * logit)"}
      - {name: prior_, type: Formula, value: "prior * (1.5 - mask)"}
      - {name: used, type: Formula, value: "mask * x"}
      - {name: h_, type: Dense, units: 3, activation: relu}
    outputs: [prior_, h_]
layers:
  - {name: first, type: Dense, units: 3}
  - {name: ones, type: ops.ones_like, inputs: x}
  - {name: steps, block: step, inputs: [ones, first, x], repeat: {times: 3, carry: 2, sum: 1}}
  - {name: y, type: Dense, units: 2, inputs: "steps:1"}
"""


def realnvp(net: Net, x: Arrays) -> Any:
    z, logdet = x["x"], np.zeros((ROWS, 1))
    for k in range(1, 4):
        half, other = z[:, :2], z[:, 2:]
        s = np.tanh(net(f"steps_{k}/s", half))
        z = np.concatenate([other * np.exp(s) + net(f"steps_{k}/t", half), half], -1)
        logdet = logdet + s.sum(-1, keepdims=True)
    return 0.5 * (z**2).sum(-1, keepdims=True) - logdet


REALNVP = """
inputs: {x: {shape: [4]}}
blocks:
  coupling:
    inputs: [z, logdet]
    layers:
      - {name: half, type: Formula, value: "z[:, 0:2]"}
      - {name: s, type: Dense, units: 2, activation: tanh}
      - {name: t, type: Dense, units: 2, inputs: half}
      - {name: z_, type: Formula, value: "concatenate(z[:, 2:4] * exp(s) + t, half, axis=-1)"}
      - {name: logdet_, type: Formula, value: "logdet + sum(s, axis=-1, keepdims=true)"}
    outputs: [z_, logdet_]
layers:
  - {name: zero, type: Formula, value: "0 * x[:, 0:1]"}
  - {name: steps, block: coupling, inputs: [x, zero], repeat: {times: 3, carry: 2}}
  - {name: y, type: Formula, value: "0.5 * sum(steps**2, axis=-1, keepdims=true) - `steps:1`"}
"""


def nhits(net: Net, x: Arrays) -> Any:
    rest, total = x["x"], 0
    for k, pool in enumerate((4, 2, 1), 1):
        pooled = rest.reshape(ROWS, -1, pool).max(-1)
        hidden = np.maximum(net(f"steps_{k}/hidden", pooled), 0)
        rest = rest - net(f"steps_{k}/back", hidden)
        total = total + net(f"steps_{k}/knots", hidden).repeat(pool, -1)
    return total


NHITS = """
inputs: {x: {shape: [8]}}
blocks:
  stack:
    params: {pool: 1}
    inputs: [x]
    layers:
      - {name: pooled, type: Formula, value: "max(reshape(x, newshape=[-1, ${8 // pool}, ${pool}]), axis=-1)"}
      - {name: hidden, type: Dense, units: 4, activation: relu}
      - {name: back, type: Dense, units: 8}
      - {name: knots, type: Dense, units: "${4 // pool}", inputs: hidden}
      - {name: rest, type: Formula, value: "x - back"}
      - {name: forecast, type: Formula, value: "repeat(knots, repeats=${pool}, axis=-1)"}
    outputs: [rest, forecast]
layers:
  - {name: steps, block: stack, params: {pool: "${k}"}, repeat: {k: [4, 2, 1], sum: 1}}
  - {name: y, type: Activation, activation: linear, inputs: "steps:1"}
"""


def rk4(net: Net, x: Arrays) -> Any:
    def f(z: Any) -> Any:
        return net("steps_1/k1/out", np.tanh(net("steps_1/k1/hidden", z)))

    z, path = x["x"], []
    for _ in range(4):
        k1 = f(z)
        k2 = f(z + 0.05 * k1)
        k3 = f(z + 0.05 * k2)
        k4 = f(z + 0.1 * k3)
        z = z + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        path.append(z)
    return np.stack(path, 1)


RK4 = """
inputs: {x: {shape: [2]}}
blocks:
  f:
    inputs: [z]
    layers:
      - {name: hidden, type: Dense, units: 3, activation: tanh}
      - {name: out, type: Dense, units: 2}
    outputs: [out]
  step:
    inputs: [z]
    layers:
      - {name: k1, block: f}
      - {name: z2, type: Formula, value: "z + 0.05 * k1"}
      - {name: k2, share: k1}
      - {name: z3, type: Formula, value: "z + 0.05 * k2"}
      - {name: k3, share: k1}
      - {name: z4, type: Formula, value: "z + 0.1 * k3"}
      - {name: k4, share: k1}
      - {name: z_, type: Formula, value: "z + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)"}
    outputs: [z_]
layers:
  - {name: steps, block: step, repeat: {times: 4, shared: true, collect: 0}}
  - {name: y, type: Activation, activation: linear}
"""


def mingru(net: Net, x: Arrays) -> Any:
    z, new = sigmoid(net("z", x["x"])), net("new", x["x"])
    h, outs = np.zeros((ROWS, 3)), []
    for t in range(x["x"].shape[1]):
        h = (1 - z[:, t]) * h + z[:, t] * new[:, t]
        outs.append(h)
    return net("y", np.stack(outs, 1))


MINGRU = """
inputs: {x: {shape: [5, 2]}}
layers:
  - {name: z, type: Dense, units: 3, activation: sigmoid, inputs: x}
  - {name: new, type: Dense, units: 3, inputs: x}
  - {name: h, type: Formula, value: "associative_scan(1 - z, z * new, axis=1)"}
  - {name: y, type: Dense, units: 1}
"""


def greedy_decoder(net: Net, x: Arrays) -> Any:
    h, c, token, outs = x["x"], 0 * x["x"], np.zeros(ROWS, np.int64), []
    for _ in range(4):
        word = net.weights["steps_1/word/embeddings"][token]
        h, c = net.lstm("steps_1/cell", word, h, c)
        logits = net("steps_1/logits", h)
        token = logits.argmax(-1)
        outs.append(logits)
    return np.stack(outs, 1)


GREEDY_DECODER = """
inputs: {x: {shape: [3]}}
blocks:
  step:
    inputs: [h, c, token]
    layers:
      - {name: word, type: Embedding, input_dim: 5, output_dim: 2, inputs: token}
      - {name: cell, type: LSTMCell, units: 3, inputs: [word, h, c]}
      - {name: logits, type: Dense, units: 5}
      - {name: next, type: ops.argmax, axis: -1}
    outputs: [cell, "cell:1", next, logits]
layers:
  - {name: zero, type: Formula, value: "0 * x"}
  - {name: begin, type: Formula, value: "cast(zero[:, 0], dtype=int64)"}
  - {name: steps, block: step, inputs: [x, zero, begin], repeat: {times: 4, carry: 3, shared: true, collect: 3}}
  - {name: y, type: Activation, activation: linear, inputs: "steps:3"}
"""

MODELS: dict[str, tuple[Callable[[Net, Arrays], Any], str]] = {
    "show, attend and tell": (show_attend_tell, SHOW_ATTEND_TELL),
    "TabNet": (tabnet, TABNET),
    "RealNVP": (realnvp, REALNVP),
    "N-HiTS": (nhits, NHITS),
    "neural ODE by RK4": (rk4, RK4),
    "minGRU": (mingru, MINGRU),
    "greedy decoder": (greedy_decoder, GREEDY_DECODER),
}


def model_of(text: str) -> Any:
    training = {"optimizer": {"type": "SGD", "learning_rate": 1.0}, "batch_size": ROWS, "seed": 1}
    head = {"y": {"loss": "mse", "metrics": []}}
    return gs.compile({"graphspec": 1, "name": "m", **yaml.safe_load(text), "outputs": head, "training": training})


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_those_of_float64(name: str, tmp_path: Path) -> None:
    reference, text = MODELS[name]
    model, draw, x = model_of(text), np.random.default_rng(5), Arrays()
    for key, given in yaml.safe_load(text)["inputs"].items():
        shape = (ROWS, *(4 if size is None else size for size in given["shape"]))
        x[key] = draw.integers(0, 5, shape) if "dtype" in given else draw.normal(size=shape).round(3)
    before = {key: array.astype(np.float64) for key, array in model.weights.items()}
    given = {key: array if array.dtype.kind == "i" else array.astype(np.float32) for key, array in x.items()}
    found, expected = model.predict(given), reference(Net(before), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    target = draw.normal(size=expected.shape).round(3)

    def loss(weights: Arrays) -> Any:
        return ((reference(Net(weights), x) - target) ** 2).mean()

    model.fit(given, {"y": target.astype(np.float32)}, epochs=1, verbose=0)
    for key, start in before.items():
        moved = start - model.weights[key].astype(np.float64)
        slopes = np.zeros_like(start)
        for place in np.ndindex(start.shape):
            ends = []
            for step in (1e-6, -1e-6):
                weights = {k: v.copy() for k, v in before.items()}
                weights[key][place] += step
                ends.append(loss(weights))
            slopes[place] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(moved, slopes, rtol=1e-4, atol=2e-6, err_msg=key)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))


def test_a_spec_is_about_as_long_as_the_code() -> None:
    ratios = []
    for reference, text in MODELS.values():
        code = inspect.getsource(reference).strip().splitlines()
        lines = [line for line in text.strip().splitlines() if not line.startswith(("inputs", "blocks", "layers"))]
        ratios.append(len(lines) / len([line for line in code if line][1:]))
    assert np.median(ratios) <= 1.6, ratios
    assert max(ratios) <= 1.9, ratios
