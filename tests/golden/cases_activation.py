"""The golden cases of activations and of the layers that are nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case, graph, single

ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "linear": [],
    "relu": [
        {"negative_slope": 0.1},
        {"max_value": 0.8},
        {"threshold": 0.5},
        {"negative_slope": 0.2, "max_value": 1.5, "threshold": 0.3},
        {"max_value": 6.0},
    ],
    "sigmoid": [],
    "softmax": [{"axis": 1}, {"axis": -2}, {"axis": [1, 2]}],
    "tanh": [],
    "elu": [{"alpha": 0.4}],
    "exponential": [],
    "gelu": [{"approximate": True}],
    "hard_sigmoid": [],
    "leaky_relu": [{"negative_slope": 0.05}],
    "log_softmax": [{"axis": 1}, {"axis": [1, 2]}],
    "mish": [],
    "relu6": [],
    "selu": [],
    "silu": [],
    "softplus": [],
    "softsign": [],
    "celu": [{"alpha": 0.6}],
    "glu": [{"axis": 1}],
    "hard_shrink": [{"threshold": 0.2}],
    "hard_silu": [],
    "hard_tanh": [],
    "log_sigmoid": [],
    "soft_shrink": [{"threshold": 0.2}],
    "sparse_plus": [],
    "sparse_sigmoid": [],
    "sparsemax": [{"axis": 1}],
    "squareplus": [{"b": 0.5}],
    "tanh_shrink": [],
    "threshold": [{"threshold": 0.2, "default_value": -0.7}, {"threshold": -0.4, "default_value": 0.0}],
}
"""Keras's 30, each with arguments other than the defaults, where it has any."""
BENDS = [-6, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 6]
FAR = [-90, -20, 20, 90]


def layer_cases() -> list[Case]:
    cases = []
    for name, options in ARGUMENTS.items():
        plain = [] if name == "threshold" else [{}]
        for k, arguments in enumerate([*plain, *options]):
            activation: Any = {"type": name, **arguments} if arguments else name
            label = f"{name}_{k}" if arguments else name
            made: dict[str, Any] = {"activation": activation}
            spread = np.random.default_rng(k + len(name)).normal(0, 2, (2, 4, 6))
            cases.append(single(f"{label}_rank3", [4, 6], "Activation", made, values={"x": spread}))
            if "axis" in arguments:
                continue
            row = BENDS + [x for x in FAR if name != "exponential"]
            row += [0.25] * (len(row) % 2)
            cases.append(single(f"{label}_bends", [len(row)], "Activation", made, values={"x": [row]}, batch=1))
    cases += [
        single("default", [5], "ELU", {}),
        single("alpha", [3, 4], "ELU", {"alpha": 0.3}),
        single("default", [5], "PReLU", {}),
        single("rank3", [3, 4], "PReLU", {"alpha_regularizer": {"type": "L2", "l2": 0.1}}),
        single("shared", [3, 4, 2], "PReLU", {"shared_axes": [1, 2], "alpha_initializer": "ones"}),
        single("shared_time", [None, 4], "PReLU", {"shared_axes": [1]}),
        single("shared_last", [3, 4], "PReLU", {"shared_axes": [2]}),
        single("zero", [4], "PReLU", {}, values={"x": [[0.0, -1.0, 1.0, -0.0]]}, batch=1),
        graph(
            "PReLU-twice",
            {"a": [2, 3], "b": [2, 3]},
            {"name": "p", "type": "PReLU", "shared_axes": [1], "inputs": "a"},
            {"name": "q", "share": "p", "inputs": "b"},
            {"name": "y", "type": "Multiply", "inputs": ["p", "q"]},
        ),
        single("softmax_axes", [3, 4], "Dense", {"units": 5, "activation": {"type": "softmax", "axis": [1, 2]}}),
        single(
            "softmax_axes",
            [5, 6, 2],
            "Conv2D",
            {"filters": 3, "kernel_size": 2, "activation": {"type": "softmax", "axis": [2, 1]}},
        ),
        single(
            "log_softmax_axes",
            [3, 4, None, 2],
            "Activation",
            {"activation": {"type": "log_softmax", "axis": [1, 3]}},
        ),
        single("leaky", [4, 3], "LSTM", {"units": 2, "activation": {"type": "leaky_relu", "negative_slope": 0.1}}),
        single("relu_max", [4, 3], "GRU", {"units": 2, "activation": {"type": "relu", "max_value": 0.2}}),
        single("elu", [4, 3], "SimpleRNN", {"units": 2, "activation": {"type": "elu", "alpha": 0.4}}),
        single("softmax", [4, 3], "SimpleRNN", {"units": 3, "activation": {"type": "softmax", "axis": 1}}),
        single("glu", [4], "Dense", {"units": 6, "activation": "glu"}),
        single("sparsemax", [3, 4], "Dense", {"units": 5, "activation": "sparsemax"}),
    ]
    return cases
