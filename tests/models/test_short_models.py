"""Networks that people write, as short specs: the loss and its gradients are those of NumPy in float64.

Each reference has a statement for each of PyTorch's; weights are read by their names in the spec.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_models import Arrays, assert_equal_to_float64, compiled, spec_lines, statements

ROWS = 5
Of = tuple[int, ...] | tuple[tuple[int, ...], int]  # a shape of numbers, or of ids with their count


# What PyTorch has as functions.


def dense(w: Arrays, name: str, x: Any) -> Any:
    return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def gelu(x: Any) -> Any:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def softmax(x: Any, axis: int = -1) -> Any:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def norm(w: Arrays, name: str, x: Any) -> Any:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


def conv(w: Arrays, name: str, x: Any) -> Any:
    kernel = w[f"{name}/kernel"]
    padded = np.pad(x, ((0, 0), *[(size // 2, size // 2) for size in kernel.shape[:2]], (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nabcij,ijcd->nabd", windows, kernel) + w[f"{name}/bias"]


def pool(x: Any) -> Any:
    n, a, b, c = x.shape
    return x.reshape(n, a // 2, 2, b // 2, 2, c).max((2, 4))


def lgamma(x: Any) -> Any:
    return np.vectorize(math.lgamma)(x)


# The networks.

SIREN = """
inputs: {x: {shape: [2]}, y: {shape: [1]}}
layers:
  - {name: first, type: Dense, units: 6, inputs: x}
  - {name: a, type: Formula, value: "sin(30 * first)"}
  - {name: second, type: Dense, units: 6}
  - {name: b, type: Formula, value: "sin(second)"}
  - {name: out, type: Dense, units: 1}
  - {name: cost, type: Formula, value: "(out - y)**2"}
outputs: {out: {}, cost: {loss: value}}
"""


def siren(w: Arrays, x: Arrays) -> Any:
    a = np.sin(30 * dense(w, "first", x["x"]))
    b = np.sin(dense(w, "second", a))
    out = dense(w, "out", b)
    return ((out - x["y"]) ** 2).mean()


UNET_PLUS_PLUS = """
inputs: {image: {shape: [8, 8, 1]}, mask: {shape: [8, 8, 1]}}
blocks:
  conv:
    params: {filters: 2}
    inputs: [i]
    layers: [{name: o, type: Conv2D, filters: "${filters}", kernel_size: 3, padding: same, activation: relu}]
    outputs: [o]
  join:
    inputs: [below, beside]
    layers:
      - {name: up, type: UpSampling2D, inputs: below}
      - {name: both, type: Concatenate, inputs: [beside, up]}
      - {name: o, block: conv}
    outputs: [o]
layers:
  - {name: x00, block: conv, inputs: image}
  - {type: MaxPooling2D}
  - {name: x10, block: conv, params: {filters: 3}}
  - {type: MaxPooling2D}
  - {name: x20, block: conv, params: {filters: 4}}
  - {name: x01, block: join, inputs: [x10, x00]}
  - {name: x11, block: join, inputs: [x20, x10]}
  - {name: row, type: Concatenate, inputs: [x00, x01]}
  - {name: x02, block: join, inputs: [x11, row]}
  - {name: out1, type: Conv2D, filters: 1, kernel_size: 1, inputs: x01}
  - {name: out2, type: Conv2D, filters: 1, kernel_size: 1, inputs: x02}
  - {name: out, type: Formula, value: "(sigmoid(out1) + sigmoid(out2)) / 2"}
  - {name: shared, type: Formula, value: "2 * sum(out * mask, axis=[1, 2, 3])"}
  - {name: cost, type: Formula, value: "1 - shared / sum(out**2 + mask**2, axis=[1, 2, 3])"}
outputs: {out: {}, cost: {loss: value}}
"""


def unet_plus_plus(w: Arrays, x: Arrays) -> Any:
    def join(name: str, below: Any, *beside: Any) -> Any:
        up = below.repeat(2, 1).repeat(2, 2)
        return relu(conv(w, f"{name}/o/o", np.concatenate([*beside, up], -1)))

    x00 = relu(conv(w, "x00/o", x["image"]))
    x10 = relu(conv(w, "x10/o", pool(x00)))
    x20 = relu(conv(w, "x20/o", pool(x10)))
    x01 = join("x01", x10, x00)
    x11 = join("x11", x20, x10)
    x02 = join("x02", x11, x00, x01)
    out = (sigmoid(conv(w, "out1", x01)) + sigmoid(conv(w, "out2", x02))) / 2
    shared = (out * x["mask"]).sum((1, 2, 3))
    return (1 - 2 * shared / (out**2 + x["mask"] ** 2).sum((1, 2, 3))).mean()


TRANSFORMER_XL = """
inputs: {x: {shape: [4, 6]}, memory: {shape: [3, 6]}, y: {shape: [4, 6]}}
layers:
  - {name: both, type: Concatenate, axis: 1, inputs: [memory, x]}
  - {name: places, type: Parameter, shape: [7, 6]}
  - {name: u, type: Parameter, shape: [2, 3]}
  - {name: v, type: Parameter, shape: [2, 3]}
  - {name: q, type: EinsumDense, equation: "nti,ihd->nthd", output_shape: [4, 2, 3], inputs: x}
  - {name: k, type: EinsumDense, equation: "nti,ihd->nthd", output_shape: [7, 2, 3], inputs: both}
  - {name: values, type: EinsumDense, equation: "nti,ihd->nthd", output_shape: [7, 2, 3], inputs: both}
  - {name: r, type: Dense, units: 6, use_bias: false, inputs: places}
  - {name: by_place, type: Formula, value: "einsum(q + v, reshape(r, newshape=[7, 2, 3]), subscripts='nihd,jhd->nhij')"}
  - {name: padded, type: Formula, value: "concatenate(0 * by_place[..., 0:1], by_place, axis=-1)"}
  - {name: moved, type: Formula, value: "reshape(padded, newshape=[-1, 2, 8, 4])[:, :, 1:]"}
  - {name: shifted, type: Reshape, target_shape: [2, 4, 7]}
  - {name: scores, type: Formula, value: "(einsum(q + u, k, subscripts='nihd,njhd->nhij') + shifted) / 3**0.5"}
  - {name: p, type: Formula, value: "softmax(where(tril(ones_like(scores), k=3) > 0, scores, -1e9), axis=-1)"}
  - {name: found, type: Formula, value: "reshape(einsum(p, values, subscripts='nhij,njhd->nihd'), newshape=[-1, 4, 6])"}
  - {name: o, type: Dense, units: 6, use_bias: false, inputs: found}
  - {name: sum, type: Add, inputs: [x, o]}
  - {name: out, type: LayerNormalization}
  - {name: cost, type: Formula, value: "(out - y)**2"}
outputs: {out: {}, cost: {loss: value}}
"""


def transformer_xl(w: Arrays, x: Arrays) -> Any:
    both = np.concatenate([x["memory"], x["x"]], 1)
    q = np.einsum("nti,ihd->nthd", x["x"], w["q/kernel"])
    k = np.einsum("nti,ihd->nthd", both, w["k/kernel"])
    v = np.einsum("nti,ihd->nthd", both, w["values/kernel"])
    r = dense(w, "r", w["places/value"]).reshape(7, 2, 3)
    by_content = np.einsum("nihd,njhd->nhij", q + w["u/value"], k)
    by_place = np.einsum("nihd,jhd->nhij", q + w["v/value"], r)
    padded = np.pad(by_place, ((0, 0), (0, 0), (0, 0), (1, 0)))
    shifted = padded.reshape(-1, 2, 8, 4)[:, :, 1:].reshape(-1, 2, 4, 7)
    scores = (by_content + shifted) / math.sqrt(3)
    scores = np.where(np.tri(4, 7, 3) > 0, scores, -1e9)
    found = np.einsum("nhij,njhd->nihd", softmax(scores), v).reshape(-1, 4, 6)
    out = norm(w, "out", x["x"] + dense(w, "o", found))
    return ((out - x["y"]) ** 2).mean()


PATCH_TST = """
inputs: {series: {shape: [16, 2]}, future: {shape: [3, 2]}}
layers:
  - {name: mean, type: Formula, value: "mean(series, axis=1, keepdims=true)"}
  - {name: scale, type: Formula, value: "sqrt(var(series, axis=1, keepdims=true) + 1e-5)"}
  - {name: channels, type: Formula, value: "transpose((series - mean) / scale, axes=[0, 2, 1])"}
  - {name: patches, type: Reshape, target_shape: [2, 4, 4]}
  - {name: embedded, type: Dense, units: 6}
  - {name: places, type: Parameter, shape: [4, 6]}
  - {name: x, type: Formula, value: "embedded + places"}
  - {name: q, type: Dense, units: 6, inputs: x}
  - {name: k, type: Dense, units: 6, inputs: x}
  - {name: v, type: Dense, units: 6, inputs: x}
  - {name: a, type: Formula, value: "x + softmax(q @ transpose(k, axes=[0, 1, 3, 2]) / 6**0.5, axis=-1) @ v"}
  - {name: normed, type: LayerNormalization}
  - {name: wide, type: Dense, units: 8, activation: gelu}
  - {name: narrow, type: Dense, units: 6}
  - {name: b, type: Formula, value: "reshape(normed + narrow, newshape=[-1, 2, 24])"}
  - {name: steps, type: Dense, units: 3}
  - {name: out, type: Formula, value: "transpose(steps, axes=[0, 2, 1]) * scale + mean"}
outputs: {out: {loss: mean_squared_error, target: future}}
"""


def patch_tst(w: Arrays, x: Arrays) -> Any:
    mean = x["series"].mean(1, keepdims=True)
    scale = np.sqrt(x["series"].var(1, keepdims=True) + 1e-5)
    patches = ((x["series"] - mean) / scale).transpose(0, 2, 1).reshape(-1, 2, 4, 4)
    h = dense(w, "embedded", patches) + w["places/value"]
    q = dense(w, "q", h)
    k = dense(w, "k", h)
    v = dense(w, "v", h)
    p = softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(6))
    a = norm(w, "normed", h + p @ v)
    b = a + dense(w, "narrow", gelu(dense(w, "wide", a)))
    steps = dense(w, "steps", b.reshape(-1, 2, 24))
    out = steps.transpose(0, 2, 1) * scale + mean
    return ((out - x["future"]) ** 2).mean()


DIN = """
inputs: {history: {shape: [4], dtype: int64}, candidate: {shape: [1], dtype: int64}, click: {shape: [1]}}
layers:
  - {name: h, type: Embedding, input_dim: 9, output_dim: 3, inputs: history}
  - {name: c, share: h, inputs: candidate}
  - {name: facts, type: Formula, value: "concatenate(h, c + 0 * h, h - c, h * c, axis=-1)"}
  - {name: hidden, type: Dense, units: 5, activation: sigmoid}
  - {name: weight, type: Dense, units: 1}
  - {name: interest, type: Formula, value: "sum(weight * h * (expand_dims(history, axis=-1) > 0), axis=1)"}
  - {name: all, type: Formula, value: "concatenate(interest, c[:, 0], axis=-1)"}
  - {name: deep, type: Dense, units: 4, activation: relu}
  - {name: out, type: Dense, units: 1, activation: sigmoid}
outputs: {out: {loss: binary_crossentropy, target: click}}
"""


def din(w: Arrays, x: Arrays) -> Any:
    h = w["h/embeddings"][x["history"]]
    c = w["h/embeddings"][x["candidate"]] + 0 * h
    facts = np.concatenate([h, c, h - c, h * c], -1)
    weight = dense(w, "weight", sigmoid(dense(w, "hidden", facts)))
    interest = (weight * h * (x["history"] > 0)[:, :, None]).sum(1)
    deep = relu(dense(w, "deep", np.concatenate([interest, c[:, 0]], -1)))
    out = sigmoid(dense(w, "out", deep))
    return -np.where(x["click"] == 1, np.log(out), np.log(1 - out)).mean()


GCN = """
inputs: {nodes: {shape: [4, 3]}, edges: {shape: [4, 4]}, kind: {shape: [4, 2]}, known: {shape: [4]}}
layers:
  - {name: linked, type: Formula, value: "where(edges + transpose(edges, axes=[0, 2, 1]) > 1, 1.0, 0.0) + eye"}
  - {name: eye, type: Constant, value: [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]]}
  - {name: degree, type: Formula, value: "rsqrt(sum(linked, axis=-1, keepdims=true))"}
  - {name: a, type: Formula, value: "linked * degree * transpose(degree, axes=[0, 2, 1])"}
  - {name: first, type: Dense, units: 5, use_bias: false, inputs: nodes}
  - {name: h, type: Formula, value: "relu(a @ first)"}
  - {name: second, type: Dense, units: 2, use_bias: false}
  - {name: out, type: Formula, value: "softmax(a @ second, axis=-1)"}
  - {name: cost, type: Formula, value: "-sum(sum(kind * log(out), axis=-1) * known) / sum(known)"}
outputs: {out: {}, cost: {loss: value}}
"""


def gcn(w: Arrays, x: Arrays) -> Any:
    linked = np.where(x["edges"] + x["edges"].transpose(0, 2, 1) > 1, 1.0, 0.0) + np.eye(4)
    degree = 1 / np.sqrt(linked.sum(-1, keepdims=True))
    a = linked * degree * degree.transpose(0, 2, 1)
    h = relu(a @ dense(w, "first", x["nodes"]))
    out = softmax(a @ dense(w, "second", h))
    each = (x["kind"] * np.log(out)).sum(-1)
    return -(each * x["known"]).sum() / x["known"].sum()


HYPERNETWORK = """
inputs: {task: {shape: [3]}, x: {shape: [4]}, y: {shape: [2]}}
layers:
  - {name: z, type: Dense, units: 5, activation: tanh, inputs: task}
  - {name: kernel, type: Dense, units: 8}
  - {name: bias, type: Dense, units: 2, inputs: z}
  - {name: out, type: Formula, value: "einsum(x, reshape(kernel, newshape=[-1, 4, 2]), subscripts='ni,nij->nj') + bias"}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def hypernetwork(w: Arrays, x: Arrays) -> Any:
    z = np.tanh(dense(w, "z", x["task"]))
    kernel = dense(w, "kernel", z).reshape(-1, 4, 2)
    out = np.einsum("ni,nij->nj", x["x"], kernel) + dense(w, "bias", z)
    return ((out - x["y"]) ** 2).mean()


DEEP_FM = """
inputs: {ids: {shape: [3], dtype: int64}, click: {shape: [1]}}
layers:
  - {name: linear, type: Embedding, input_dim: 9, output_dim: 1, inputs: ids}
  - {name: v, type: Embedding, input_dim: 9, output_dim: 4, inputs: ids}
  - {name: pairs, type: Formula, value: "sum(sum(v, axis=1)**2 - sum(v**2, axis=1), axis=-1, keepdims=true) / 2"}
  - {name: flat, type: Flatten, inputs: v}
  - {name: hidden, type: Dense, units: 5, activation: relu}
  - {name: deep, type: Dense, units: 1}
  - {name: out, type: Formula, value: "sigmoid(sum(linear, axis=1) + pairs + deep)"}
outputs: {out: {loss: binary_crossentropy, target: click}}
"""


def deep_fm(w: Arrays, x: Arrays) -> Any:
    linear = w["linear/embeddings"][x["ids"]].sum(1)
    v = w["v/embeddings"][x["ids"]]
    pairs = (v.sum(1) ** 2 - (v**2).sum(1)).sum(-1, keepdims=True) / 2
    deep = dense(w, "deep", relu(dense(w, "hidden", v.reshape(len(v), -1))))
    out = sigmoid(linear + pairs + deep)
    return -np.where(x["click"] == 1, np.log(out), np.log(1 - out)).mean()


CROSS = """
inputs: {x: {shape: [4]}, y: {shape: [1]}}
blocks:
  cross:
    inputs: [h, x0]
    layers:
      - {name: dense, type: Dense, units: 4, inputs: h}
      - {name: o, type: Formula, value: "x0 * dense + h"}
    outputs: [o]
layers:
  - {name: crossed, block: cross, inputs: [x, x], repeat: 3}
  - {name: hidden, type: Dense, units: 5, activation: relu, inputs: x}
  - {name: deep, type: Dense, units: 5, activation: relu}
  - {name: both, type: Concatenate, inputs: [crossed, deep]}
  - {name: out, type: Dense, units: 1}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def cross(w: Arrays, x: Arrays) -> Any:
    h = x["x"]
    for k in range(3):
        h = x["x"] * dense(w, f"crossed_{k + 1}/dense", h) + h
    deep = relu(dense(w, "hidden", x["x"]))
    deep = relu(dense(w, "deep", deep))
    out = dense(w, "out", np.concatenate([h, deep], -1))
    return ((out - x["y"]) ** 2).mean()


MIXTURE_DENSITY = """
inputs: {x: {shape: [4]}, y: {shape: [1]}}
layers:
  - {name: h, type: Dense, units: 5, activation: tanh, inputs: x}
  - {name: share, type: Dense, units: 3, activation: softmax}
  - {name: mean, type: Dense, units: 3, inputs: h}
  - {name: log_width, type: Dense, units: 3, inputs: h}
  - {name: each, type: Formula, value: "log(share) - log_width - ((y - mean) / exp(log_width))**2 / 2 - 0.9189385"}
  - {name: cost, type: Formula, value: "-logsumexp(each, axis=-1)"}
outputs: {share: {}, mean: {}, cost: {loss: value}}
"""


def mixture_density(w: Arrays, x: Arrays) -> Any:
    h = np.tanh(dense(w, "h", x["x"]))
    share = softmax(dense(w, "share", h))
    mean = dense(w, "mean", h)
    log_width = dense(w, "log_width", h)
    each = np.log(share) - log_width - ((x["y"] - mean) / np.exp(log_width)) ** 2 / 2 - math.log(2 * math.pi) / 2
    return -np.log(np.exp(each).sum(-1)).mean()


EVIDENTIAL = """
inputs: {x: {shape: [4]}, y: {shape: [1]}}
layers:
  - {name: out, type: Dense, units: 4, inputs: x}
  - {name: mean, type: Formula, value: "out[:, 0:1]"}
  - {name: v, type: Formula, value: "softplus(out[:, 1:2])"}
  - {name: a, type: Formula, value: "softplus(out[:, 2:3]) + 1"}
  - {name: b, type: Formula, value: "softplus(out[:, 3:4])"}
  - {name: o, type: Formula, value: "2 * b * (1 + v)"}
  - {name: fit, type: Formula, value: "log(3.1415927 / v) / 2 - a * log(o) + (a + 0.5) * log((y - mean)**2 * v + o)"}
  - {name: cost, type: Formula, value: "fit + lgamma(a) - lgamma(a + 0.5) + 0.1 * abs(y - mean) * (2 * v + a)"}
outputs: {out: {}, cost: {loss: value}}
"""


def evidential(w: Arrays, x: Arrays) -> Any:
    out = dense(w, "out", x["x"])
    mean = out[:, 0:1]
    v = softplus(out[:, 1:2])
    a = softplus(out[:, 2:3]) + 1
    b = softplus(out[:, 3:4])
    o = 2 * b * (1 + v)
    fit = np.log(math.pi / v) / 2 - a * np.log(o) + (a + 0.5) * np.log((x["y"] - mean) ** 2 * v + o)
    fit += lgamma(a) - lgamma(a + 0.5)
    return (fit + 0.1 * abs(x["y"] - mean) * (2 * v + a)).mean()


DEEP_O_NET = """
inputs: {u: {shape: [6]}, place: {shape: [2]}, y: {shape: [1]}}
layers:
  - {name: branch, type: Dense, units: 5, activation: tanh, inputs: u}
  - {name: b, type: Dense, units: 4}
  - {name: trunk, type: Dense, units: 5, activation: tanh, inputs: place}
  - {name: t, type: Dense, units: 4, activation: tanh}
  - {name: bias, type: Parameter, shape: [1]}
  - {name: out, type: Formula, value: "sum(b * t, axis=-1, keepdims=true) + bias"}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def deep_o_net(w: Arrays, x: Arrays) -> Any:
    b = dense(w, "b", np.tanh(dense(w, "branch", x["u"])))
    t = np.tanh(dense(w, "t", np.tanh(dense(w, "trunk", x["place"]))))
    out = (b * t).sum(-1, keepdims=True) + w["bias/value"]
    return ((out - x["y"]) ** 2).mean()


MEMORY = """
inputs: {facts: {shape: [5, 4]}, question: {shape: [4]}, answer: {shape: [3]}}
blocks:
  hop:
    inputs: [u, keys, values]
    layers:
      - {name: p, type: Formula, value: "softmax(einsum(keys, u, subscripts='ntd,nd->nt'), axis=-1)"}
      - {name: o, type: Formula, value: "u + einsum(p, values, subscripts='nt,ntd->nd')"}
    outputs: [o]
layers:
  - {name: u, type: Dense, units: 3, inputs: question}
  - {name: keys, type: Dense, units: 3, inputs: facts}
  - {name: values, type: Dense, units: 3, inputs: facts}
  - {name: hops, block: hop, inputs: [u, keys, values], repeat: 3}
  - {name: out, type: Dense, units: 3, activation: softmax}
outputs: {out: {loss: categorical_crossentropy, target: answer}}
"""


def memory(w: Arrays, x: Arrays) -> Any:
    u = dense(w, "u", x["question"])
    keys = dense(w, "keys", x["facts"])
    values = dense(w, "values", x["facts"])
    for _ in range(3):
        p = softmax(np.einsum("ntd,nd->nt", keys, u))
        u = u + np.einsum("nt,ntd->nd", p, values)
    out = softmax(dense(w, "out", u))
    return -(x["answer"] * np.log(out)).sum(-1).mean()


LINEAR_ATTENTION = """
inputs: {x: {shape: [5, 4]}, y: {shape: [5, 3]}}
layers:
  - {name: q, type: Dense, units: 3, inputs: x}
  - {name: k, type: Dense, units: 3, inputs: x}
  - {name: v, type: Dense, units: 3, inputs: x}
  - {name: a, type: Formula, value: "elu(q) + 1"}
  - {name: b, type: Formula, value: "elu(k) + 1"}
  - {name: state, type: Formula, value: "cumsum(einsum(b, v, subscripts='nti,ntj->ntij'), axis=1)"}
  - {name: weight, type: Formula, value: "sum(a * cumsum(b, axis=1), axis=-1, keepdims=true)"}
  - {name: out, type: Formula, value: "einsum(a, state, subscripts='nti,ntij->ntj') / weight"}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def linear_attention(w: Arrays, x: Arrays) -> Any:
    def phi(name: str) -> Any:
        return np.where((h := dense(w, name, x["x"])) > 0, h + 1, np.exp(np.minimum(h, 0)))

    a, b = phi("q"), phi("k")
    v = dense(w, "v", x["x"])
    state = np.einsum("nti,ntj->ntij", b, v).cumsum(1)
    weight = (a * b.cumsum(1)).sum(-1, keepdims=True)
    out = np.einsum("nti,ntij->ntj", a, state) / weight
    return ((out - x["y"]) ** 2).mean()


ALIBI = """
inputs: {x: {shape: [4, 6]}, y: {shape: [4, 6]}}
layers:
  - {name: q, type: EinsumDense, equation: "nti,ihd->nhtd", output_shape: [2, 4, 3], inputs: x}
  - {name: k, type: EinsumDense, equation: "nti,ihd->nhtd", output_shape: [2, 4, 3], inputs: x}
  - {name: v, type: EinsumDense, equation: "nti,ihd->nhtd", output_shape: [2, 4, 3], inputs: x}
  - {name: slopes, type: Constant, value: [[[0.0625]], [[0.00390625]]]}
  - {name: t, type: Constant, value: [0.0, 1, 2, 3]}
  - {name: scores, type: Formula, value: "q @ transpose(k, axes=[0, 1, 3, 2]) / 3**0.5 + slopes * t"}
  - {name: p, type: Formula, value: "softmax(where(tril(ones_like(scores)) > 0, scores, -1e9), axis=-1)"}
  - {name: heads, type: Formula, value: "transpose(p @ v, axes=[0, 2, 1, 3])"}
  - {name: flat, type: Reshape, target_shape: [4, 6]}
  - {name: out, type: Dense, units: 6}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def alibi(w: Arrays, x: Arrays) -> Any:
    q = np.einsum("nti,ihd->nhtd", x["x"], w["q/kernel"])
    k = np.einsum("nti,ihd->nhtd", x["x"], w["k/kernel"])
    v = np.einsum("nti,ihd->nhtd", x["x"], w["v/kernel"])
    slopes = 2.0 ** -np.array([4, 8])[:, None, None]
    scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(3) + slopes * np.arange(4)
    scores = np.where(np.tri(4) > 0, scores, -1e9)
    heads = (softmax(scores) @ v).transpose(0, 2, 1, 3)
    out = dense(w, "out", heads.reshape(-1, 4, 6))
    return ((out - x["y"]) ** 2).mean()


CLIP = """
inputs: {image: {shape: [5]}, text: {shape: [4]}}
layers:
  - {name: a, type: Dense, units: 3, inputs: image}
  - {name: b, type: Dense, units: 3, inputs: text}
  - {name: left, type: UnitNormalization, inputs: a}
  - {name: right, type: UnitNormalization, inputs: b}
  - {name: log_scale, type: Parameter, shape: []}
  - {name: logits, type: Formula, value: "exp(log_scale) * left @ transpose(right)"}
  - {name: both, type: Formula, value: "logsumexp(logits, axis=-1) + logsumexp(transpose(logits), axis=-1)"}
  - {name: cost, type: Formula, value: "both / 2 - exp(log_scale) * sum(left * right, axis=-1)"}
outputs: {left: {}, right: {}, cost: {loss: value}}
"""


def clip(w: Arrays, x: Arrays) -> Any:
    a = dense(w, "a", x["image"])
    b = dense(w, "b", x["text"])
    a = a / np.sqrt((a**2).sum(-1, keepdims=True))
    b = b / np.sqrt((b**2).sum(-1, keepdims=True))
    logits = np.exp(w["log_scale/value"]) * a @ b.T
    both = np.log(softmax(logits, 0)) + np.log(softmax(logits, 1))
    return -np.diagonal(both).mean() / 2


VICREG = """
inputs: {one: {shape: [4]}, two: {shape: [4]}}
blocks:
  spread:
    inputs: [z]
    layers:
      - {name: centred, type: Formula, value: "z - mean(z, axis=0)"}
      - {name: var, type: Formula, value: "sum(centred**2, axis=0) / 4"}
      - {name: cov, type: Formula, value: "transpose(centred) @ centred / 4"}
      - {name: o, type: Formula, value: "25 * mean(relu(1 - sqrt(var + 1e-4))) + (sum(cov**2) - sum(var**2)) / 3"}
    outputs: [o]
layers:
  - {name: a, type: Dense, units: 3, inputs: one}
  - {name: b, share: a, inputs: two}
  - {name: spread_a, block: spread, inputs: a}
  - {name: spread_b, block: spread, inputs: b}
  - {name: cost, type: Formula, value: "25 * mean((a - b)**2) + spread_a + spread_b"}
outputs: {a: {}, cost: {loss: value}}
"""


def vicreg(w: Arrays, x: Arrays) -> Any:
    def spread(z: Any) -> Any:
        centred = z - z.mean(0)
        var = (centred**2).sum(0) / 4
        cov = centred.T @ centred / 4
        return 25 * relu(1 - np.sqrt(var + 1e-4)).mean() + ((cov**2).sum() - (var**2).sum()) / 3

    a = dense(w, "a", x["one"])
    b = dense(w, "a", x["two"])
    return 25 * ((a - b) ** 2).mean() + spread(a) + spread(b)


UNCERTAINTY = """
inputs: {x: {shape: [4]}, price: {shape: [1]}, sold: {shape: [1]}}
layers:
  - {name: h, type: Dense, units: 5, activation: relu, inputs: x}
  - {name: a, type: Dense, units: 1}
  - {name: b, type: Dense, units: 1, inputs: h}
  - {name: s, type: Parameter, shape: [2]}
  - {name: chance, type: Formula, value: "sum(softplus(b) - sold * b)"}
  - {name: cost, type: Formula, value: "sum(exp(-s) * stack(sum((a - price)**2) / 5, chance / 5) + s)"}
outputs: {a: {}, b: {}, cost: {loss: value}}
"""


def uncertainty(w: Arrays, x: Arrays) -> Any:
    h = relu(dense(w, "h", x["x"]))
    a = dense(w, "a", h)
    b = dense(w, "b", h)
    error = ((a - x["price"]) ** 2).mean()
    chance = (softplus(b) - x["sold"] * b).mean()
    return (np.exp(-w["s/value"]) * np.stack([error, chance]) + w["s/value"]).sum()


SOFT_TREE = """
inputs: {x: {shape: [4]}, y: {shape: [3]}}
layers:
  - {name: g, type: Dense, units: 3, activation: sigmoid, inputs: x}
  - {name: leaves, type: Parameter, shape: [4, 3]}
  - {name: left, type: Formula, value: "g[:, 0:1] * concatenate(g[:, 1:2], 1 - g[:, 1:2], axis=-1)"}
  - {name: right, type: Formula, value: "(1 - g[:, 0:1]) * concatenate(g[:, 2:3], 1 - g[:, 2:3], axis=-1)"}
  - {name: out, type: Formula, value: "concatenate(left, right, axis=-1) @ softmax(leaves, axis=-1)"}
outputs: {out: {loss: categorical_crossentropy, target: y}}
"""


def soft_tree(w: Arrays, x: Arrays) -> Any:
    g = sigmoid(dense(w, "g", x["x"]))
    left = g[:, 0:1] * np.concatenate([g[:, 1:2], 1 - g[:, 1:2]], -1)
    right = (1 - g[:, 0:1]) * np.concatenate([g[:, 2:3], 1 - g[:, 2:3]], -1)
    out = np.concatenate([left, right], -1) @ softmax(w["leaves/value"])
    return -(x["y"] * np.log(out)).sum(-1).mean()


FILM = """
inputs: {image: {shape: [4, 4, 2]}, question: {shape: [3]}, y: {shape: [2]}}
layers:
  - {name: seen, type: Conv2D, filters: 3, kernel_size: 3, padding: same, inputs: image}
  - {name: film, type: Dense, units: 6, inputs: question}
  - {name: parts, type: Reshape, target_shape: [2, 1, 1, 3]}
  - {name: shown, type: Formula, value: "relu(parts[:, 0] * seen + parts[:, 1])"}
  - {name: pooled, type: GlobalAveragePooling2D}
  - {name: out, type: Dense, units: 2}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def film(w: Arrays, x: Arrays) -> Any:
    seen = conv(w, "seen", x["image"])
    parts = dense(w, "film", x["question"]).reshape(-1, 2, 1, 1, 3)
    shown = relu(parts[:, 0] * seen + parts[:, 1])
    out = dense(w, "out", shown.mean((1, 2)))
    return ((out - x["y"]) ** 2).mean()


GATED_MLP = """
inputs: {x: {shape: [4, 3]}, y: {shape: [4, 3]}}
layers:
  - {name: first, type: LayerNormalization, inputs: x}
  - {name: z, type: Dense, units: 6, activation: gelu}
  - {name: halves, type: ops.split, indices_or_sections: 2, axis: -1}
  - {name: second, type: LayerNormalization, inputs: "halves:1"}
  - {name: gate, type: EinsumDense, equation: "nti,ts->nsi", output_shape: [4, 3], bias_axes: s}
  - {name: both, type: Formula, value: "halves:0 * gate"}
  - {name: narrow, type: Dense, units: 3}
  - {name: out, type: Add, inputs: [x, narrow]}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def gated_mlp(w: Arrays, x: Arrays) -> Any:
    z = gelu(dense(w, "z", norm(w, "first", x["x"])))
    left, right = np.split(z, 2, -1)
    gate = np.einsum("nti,ts->nsi", norm(w, "second", right), w["gate/kernel"]) + w["gate/bias"].reshape(-1, 1)
    out = x["x"] + dense(w, "narrow", left * gate)
    return ((out - x["y"]) ** 2).mean()


DUELING = """
inputs: {state: {shape: [4]}, action: {shape: [3]}, goal: {shape: [1]}}
layers:
  - {name: h, type: Dense, units: 5, activation: relu, inputs: state}
  - {name: v, type: Dense, units: 1}
  - {name: a, type: Dense, units: 3, inputs: h}
  - {name: q, type: Formula, value: "v + a - mean(a, axis=-1, keepdims=true)"}
  - {name: chosen, type: Formula, value: "sum(q * action, axis=-1, keepdims=true)"}
outputs: {q: {}, chosen: {loss: huber, target: goal}}
"""


def dueling(w: Arrays, x: Arrays) -> Any:
    h = relu(dense(w, "h", x["state"]))
    v = dense(w, "v", h)
    a = dense(w, "a", h)
    q = v + a - a.mean(-1, keepdims=True)
    e = abs((q * x["action"]).sum(-1, keepdims=True) - x["goal"])
    return np.where(e <= 1, e**2 / 2, e - 0.5).mean()


BPR = """
inputs: {user: {shape: [1], dtype: int64}, liked: {shape: [1], dtype: int64}, other: {shape: [1], dtype: int64}}
layers:
  - {name: u, type: Embedding, input_dim: 9, output_dim: 3, inputs: user}
  - {name: i, type: Embedding, input_dim: 9, output_dim: 3, inputs: liked}
  - {name: j, share: i, inputs: other}
  - {name: score, type: Formula, value: "sum(u * i, axis=-1)"}
  - {name: size, type: Formula, value: "sum(u**2 + i**2 + j**2, axis=-1)"}
  - {name: cost, type: Formula, value: "softplus(sum(u * j, axis=-1) - score) + 0.01 * size"}
outputs: {score: {}, cost: {loss: value}}
"""


def bpr(w: Arrays, x: Arrays) -> Any:
    u = w["u/embeddings"][x["user"]]
    i = w["i/embeddings"][x["liked"]]
    j = w["i/embeddings"][x["other"]]
    fit = softplus((u * j).sum(-1) - (u * i).sum(-1))
    return (fit + 0.01 * (u**2 + i**2 + j**2).sum(-1)).mean()


DEEP_SETS = """
inputs: {items: {shape: [5, 3]}, there: {shape: [5, 1]}, y: {shape: [1]}}
layers:
  - {name: each, type: Dense, units: 4, activation: tanh, inputs: items}
  - {name: phi, type: Dense, units: 4}
  - {name: pooled, type: Formula, value: "sum(phi * there, axis=1)"}
  - {name: rho, type: Dense, units: 4, activation: tanh}
  - {name: out, type: Dense, units: 1}
outputs: {out: {loss: mean_squared_error, target: y}}
"""


def deep_sets(w: Arrays, x: Arrays) -> Any:
    phi = dense(w, "phi", np.tanh(dense(w, "each", x["items"])))
    pooled = (phi * x["there"]).sum(1)
    out = dense(w, "out", np.tanh(dense(w, "rho", pooled)))
    return ((out - x["y"]) ** 2).mean()


MODELS: dict[str, tuple[str, Callable[[Arrays, Arrays], Any], dict[str, Of]]] = {
    "SIREN": (SIREN, siren, {"x": (2,), "y": (1,)}),
    "U-Net++": (UNET_PLUS_PLUS, unet_plus_plus, {"image": (8, 8, 1), "mask": ((8, 8, 1), 2)}),
    "Transformer-XL": (TRANSFORMER_XL, transformer_xl, {"x": (4, 6), "memory": (3, 6), "y": (4, 6)}),
    "PatchTST": (PATCH_TST, patch_tst, {"series": (16, 2), "future": (3, 2)}),
    "DIN": (DIN, din, {"history": ((4,), 9), "candidate": ((1,), 9), "click": ((1,), 2)}),
    "GCN": (GCN, gcn, {"nodes": (4, 3), "edges": (4, 4), "kind": ((4, 2), 2), "known": ((4,), 2)}),
    "hypernetwork": (HYPERNETWORK, hypernetwork, {"task": (3,), "x": (4,), "y": (2,)}),
    "DeepFM": (DEEP_FM, deep_fm, {"ids": ((3,), 9), "click": ((1,), 2)}),
    "DCN-v2": (CROSS, cross, {"x": (4,), "y": (1,)}),
    "mixture density": (MIXTURE_DENSITY, mixture_density, {"x": (4,), "y": (1,)}),
    "evidential regression": (EVIDENTIAL, evidential, {"x": (4,), "y": (1,)}),
    "DeepONet": (DEEP_O_NET, deep_o_net, {"u": (6,), "place": (2,), "y": (1,)}),
    "memory network": (MEMORY, memory, {"facts": (5, 4), "question": (4,), "answer": ((3,), 2)}),
    "linear attention": (LINEAR_ATTENTION, linear_attention, {"x": (5, 4), "y": (5, 3)}),
    "ALiBi": (ALIBI, alibi, {"x": (4, 6), "y": (4, 6)}),
    "CLIP": (CLIP, clip, {"image": (5,), "text": (4,)}),
    "VICReg": (VICREG, vicreg, {"one": (4,), "two": (4,)}),
    "uncertainty weighting": (UNCERTAINTY, uncertainty, {"x": (4,), "price": (1,), "sold": ((1,), 2)}),
    "soft decision tree": (SOFT_TREE, soft_tree, {"x": (4,), "y": ((3,), 2)}),
    "FiLM": (FILM, film, {"image": (4, 4, 2), "question": (3,), "y": (2,)}),
    "gMLP": (GATED_MLP, gated_mlp, {"x": (4, 3), "y": (4, 3)}),
    "dueling DQN": (DUELING, dueling, {"state": (4,), "action": ((3,), 2), "goal": (1,)}),
    "BPR": (BPR, bpr, {"user": ((1,), 9), "liked": ((1,), 9), "other": ((1,), 9)}),
    "deep sets": (DEEP_SETS, deep_sets, {"items": (5, 3), "there": ((5, 1), 2), "y": (1,)}),
}


def inputs_of(spec: str, shapes: dict[str, Of]) -> Arrays:
    draw, made = np.random.default_rng(3), Arrays()
    for key, of in shapes.items():
        if of and isinstance(of[0], tuple):
            ids = draw.integers(0, of[1], (ROWS, *of[0]))
            made[key] = ids if "int64" in spec.partition(f"{key}: ")[2].partition("}")[0] else ids.astype(np.float64)
        else:
            made[key] = draw.normal(size=(ROWS, *of)).round(3)
    return made


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_float64(name: str, tmp_path: Path) -> None:
    spec, reference, shapes = MODELS[name]
    assert_equal_to_float64(compiled(spec, tmp_path, ROWS), reference, inputs_of(spec, shapes), tmp_path)


LENGTHS = {name: (spec_lines(spec), statements(reference)) for name, (spec, reference, _) in MODELS.items()}
