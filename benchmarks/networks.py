"""The networks that are timed, as specs, with made-up rows of their shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

Layers = list[dict[str, Any]]
Rows = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

SPARSE = {"type": "sparse_categorical_crossentropy", "from_logits": True}
BINARY = {"type": "binary_crossentropy", "from_logits": True}


def dense(units: int, activation: str | None = None) -> dict[str, Any]:
    return {"type": "Dense", "units": units, "activation": activation}


def cbr(filters: int, size: int, name: str, source: str | None = None, strides: int = 1, relu: bool = True) -> Layers:
    """Convolution without bias, batch normalization, ReLU; the last node is called ``name``."""
    conv = {"type": "Conv2D", "filters": filters, "kernel_size": size, "strides": strides}
    conv |= {"padding": "same", "use_bias": False, "name": f"{name}.conv"} | ({"inputs": source} if source else {})
    norm: dict[str, Any] = {"type": "BatchNormalization", "name": f"{name}.norm" if relu else name}
    return [conv, norm, *([{"type": "ReLU", "name": name}] if relu else [])]


def inception(name: str, source: str, a: int, b: tuple[int, int], c: tuple[int, int], d: int) -> Layers:
    pool = {"type": "MaxPooling2D", "pool_size": 3, "strides": 1, "padding": "same", "inputs": source}
    return [
        *cbr(a, 1, f"{name}.a", source),
        *cbr(b[0], 1, f"{name}.b1", source),
        *cbr(b[1], 3, f"{name}.b"),
        *cbr(c[0], 1, f"{name}.c1", source),
        *cbr(c[1], 5, f"{name}.c"),
        pool | {"name": f"{name}.pool"},
        *cbr(d, 1, f"{name}.d"),
        {"type": "Concatenate", "name": name, "inputs": [f"{name}.{k}" for k in "abcd"]},
    ]


def residual(name: str, source: str, filters: int, strides: int) -> Layers:
    body = [*cbr(filters, 3, f"{name}.one", source, strides), *cbr(filters, 3, f"{name}.two", relu=False)]
    shortcut = [] if strides == 1 else cbr(filters, 1, f"{name}.short", source, strides, relu=False)
    other = f"{name}.short" if shortcut else source
    add = {"type": "Add", "name": f"{name}.sum", "inputs": [f"{name}.two", other]}
    return [*body, *shortcut, add, {"type": "ReLU", "name": name}]


CNN: Layers = [
    {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
    {"type": "Flatten"},
    dense(64, "relu"),
    dense(10),
]
POOLED: Layers = [{"type": "GlobalAveragePooling2D"}, dense(10)]
W8: Layers = [
    *cbr(16, 3, "stem"),
    *inception("first", "stem", 16, (16, 24), (8, 8), 8),
    {"type": "MaxPooling2D", "name": "pool"},
    *inception("second", "pool", 32, (24, 48), (8, 16), 16),
    *POOLED,
]
W9: Layers = [
    *cbr(16, 3, "stem"),
    *residual("r1", "stem", 16, 1),
    *residual("r2", "r1", 32, 2),
    *residual("r3", "r2", 64, 2),
    *POOLED,
]


def ids(rows: int, time: int) -> np.ndarray[Any, Any]:
    """Word ids from a log-uniform distribution over 10,000."""
    return np.exp(np.random.default_rng(0).random((rows, time)) * np.log(10000)).astype(np.int64)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def classes(rows: int, count: int = 10) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, count, rows)


def multi_hot() -> np.ndarray[Any, Any]:
    hot = np.zeros((512, 10000), bool)
    hot[np.arange(512)[:, None], ids(512, 230)] = True
    return hot


# name: (input, layers, loss, optimizer, rows)
NETWORKS: dict[str, tuple[dict[str, Any], Layers, Any, Any, Any]] = {
    "W1": (
        {"shape": [784]},
        [dense(32, "relu"), dense(10)],
        SPARSE,
        "rmsprop",
        lambda: (normal(128, 784), classes(128)),
    ),
    "W2": (
        {"shape": [784]},
        [dense(512, "relu"), dense(512, "relu"), dense(10)],
        SPARSE,
        "adam",
        lambda: (normal(128, 784), classes(128)),
    ),
    "W3": (
        {"shape": [10000]},
        [dense(16, "relu"), dense(16, "relu"), dense(1)],
        BINARY,
        "rmsprop",
        lambda: (multi_hot(), classes(512, 2)),
    ),
    "W4": (
        {"shape": [13]},
        [dense(64, "relu"), dense(64, "relu"), dense(1)],
        "mean_squared_error",
        "rmsprop",
        lambda: (normal(16, 13), normal(16, 1)),
    ),
    "W5": ({"shape": [28, 28, 1]}, CNN, SPARSE, "rmsprop", lambda: (normal(64, 28, 28, 1), classes(64))),
    "W6": (
        {"shape": [200], "dtype": "int64"},
        [{"type": "Embedding", "input_dim": 10000, "output_dim": 32}, {"type": "LSTM", "units": 32}, dense(1)],
        BINARY,
        "rmsprop",
        lambda: (ids(128, 200), classes(128, 2)),
    ),
    "W7": (
        {"shape": [50, 64]},
        [{"type": "LSTM", "units": 128}, dense(10)],
        SPARSE,
        "adam",
        lambda: (normal(64, 50, 64), classes(64)),
    ),
    "W8": ({"shape": [32, 32, 3]}, W8, SPARSE, "adam", lambda: (normal(32, 32, 32, 3), classes(32))),
    "W9": (
        {"shape": [32, 32, 3]},
        W9,
        SPARSE,
        {"type": "SGD", "learning_rate": 0.01, "momentum": 0.9},
        lambda: (normal(64, 32, 32, 3), classes(64)),
    ),
}


def network(name: str) -> tuple[dict[str, Any], Rows]:
    """A spec and one batch of rows for it."""
    source, layers, loss, optimizer, rows = NETWORKS[name]
    *body, last = layers
    spec = {
        "graphspec": 1,
        "name": name,
        "inputs": {"x": source},
        "layers": [*body, last | {"name": "y"}],
        "outputs": {"y": {"loss": loss}},
        "training": {"optimizer": optimizer},
    }
    return spec, rows()
