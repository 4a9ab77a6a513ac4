"""The golden cases of RNN over cells, and of recurrences that are written out step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, PADDED, Case, graph, masked, single

MIXED: list[dict[str, Any]] = [
    {"type": "LSTMCell", "units": 3},
    {"type": "GRUCell", "units": 2, "activation": "gelu"},
    {"type": "SimpleRNNCell", "units": 4},
]
OPERATORS: list[dict[str, Any]] = [
    {"type": "GRUCell", "units": 2},
    {"type": "LSTMCell", "units": 3, "activation": "softsign", "use_bias": False},
]
KINDS: dict[str, dict[str, Any]] = {
    "SimpleRNN": {"type": "SimpleRNNCell", "units": 3},
    "GRU": {"type": "GRUCell", "units": 3},
    "GRU_before": {"type": "GRUCell", "units": 2, "reset_after": False, "use_bias": False},
    "LSTM": {"type": "LSTMCell", "units": 3, "recurrent_activation": "hard_sigmoid"},
    "SimpleRNN_gelu": {"type": "SimpleRNNCell", "units": 3, "activation": "gelu"},
    "GRU_relu6": {"type": "GRUCell", "units": 3, "activation": "relu6"},
    "GRU_before_silu": {"type": "GRUCell", "units": 3, "activation": "silu", "reset_after": False},
    "LSTM_softmax": {"type": "LSTMCell", "units": 3, "recurrent_activation": "softmax", "unit_forget_bias": False},
    "stack": {"type": "StackedRNNCells", "cells": MIXED},
    "stack_operators": {"type": "StackedRNNCells", "cells": OPERATORS},
}


def layer_cases() -> list[Case]:
    cases = []
    for label, cell in KINDS.items():
        cases += [
            single(f"{label}", [4, 2], "RNN", {"cell": cell}),
            single(f"{label}_sequences", [4, 2], "RNN", {"cell": cell, "return_sequences": True, "unroll": True}),
            single(f"{label}_backwards", [3, 2], "RNN", {"cell": cell, "return_sequences": True, "go_backwards": True}),
        ]
        for name, args in (
            ("", {}),
            ("_sequences", {"return_sequences": True}),
            ("_backwards", {"return_sequences": True, "go_backwards": True}),
            ("_zero", {"return_sequences": True, "zero_output_for_mask": True}),
            ("_zero_last", {"zero_output_for_mask": True, "go_backwards": True}),
        ):
            cases.append(
                masked(f"mask-RNN-{label}{name}", GAPS, {"name": "y", "type": "RNN", "cell": cell, **args}, time=5)
            )
    for label, cell in (("list", MIXED), ("list_operators", OPERATORS)):
        states = sum(2 if c["type"] == "LSTMCell" else 1 for c in cell)
        heads = {f"s{k}": {"layer": f"r:{k}"} for k in range(states + 1)}
        node = {"name": "r", "type": "RNN", "cell": cell, "return_state": True, "return_sequences": True}
        sizes = {
            f"i{k}": [n] for k, n in enumerate(n for c in cell for n in [c["units"]] * (1 + (c["type"] == "LSTMCell")))
        }
        start = {**node, "inputs": "x", "initial_state": list(sizes)}
        cases += [
            graph(f"RNN-{label}_return_state", {"x": [4, 2]}, node, outputs=heads),
            masked(f"mask-RNN-{label}_return_state", GAPS, node, outputs=heads, time=5),
            masked(
                f"mask-RNN-{label}_return_state_backwards", GAPS, {**node, "go_backwards": True}, outputs=heads, time=5
            ),
            graph(f"RNN-{label}_initial_state", {"x": [3, 2], **sizes}, start, outputs=heads),
        ]
    cases += [
        single("time", [None, 2], "RNN", {"cell": OPERATORS, "return_sequences": True}),
        single(
            "dropout_inference",
            [3, 2],
            "RNN",
            {"cell": {"type": "LSTMCell", "units": 2, "dropout": 0.5, "recurrent_dropout": 0.5}},
        ),
        graph(
            "RNN-share",
            {"x": [3, 2], "z": [3, 2]},
            {"name": "a", "type": "RNN", "cell": MIXED[:2], "inputs": "x"},
            {"name": "b", "share": "a", "inputs": "z"},
            {"name": "y", "type": "Concatenate", "inputs": ["a", "b"]},
        ),
        graph(
            "RNN-encoder_decoder",
            {"x": [4, 2], "z": [3, 2]},
            {"name": "encode", "type": "RNN", "cell": MIXED[:2], "return_state": True, "inputs": "x"},
            {
                "name": "y",
                "type": "RNN",
                "cell": MIXED[:2],
                "return_sequences": True,
                "inputs": "z",
                "initial_state": ["encode:1", "encode:2", "encode:3"],
            },
        ),
        graph(
            "RNN-TimeDistributed",
            {"x": [2, 3, 2]},
            {"name": "y", "type": "TimeDistributed", "layer": {"type": "RNN", "cell": KINDS["GRU_relu6"]}},
        ),
    ]
    for cls, args in (
        ("SimpleRNN", {"activation": "silu"}),
        ("GRU", {"activation": "hard_silu"}),
        ("LSTM", {"activation": "leaky_relu", "recurrent_activation": "hard_silu"}),
        ("GRU", {"activation": "gelu", "recurrent_activation": "relu6"}),
        ("GRU", {"activation": "selu", "reset_after": False}),
        ("LSTM", {"activation": "gelu", "recurrent_activation": "relu6"}),
        ("LSTM", {"activation": "exponential", "use_bias": False}),
    ):
        label = f"{cls}-{args['activation']}"
        node = {"name": "y", "type": cls, "units": 3, **args}
        cases += [
            graph(label, {"x": [4, 2]}, node),
            masked(f"mask-{label}", PADDED, {**node, "return_sequences": True}, time=5),
            masked(f"mask-{label}_backwards", GAPS, {**node, "go_backwards": True, "return_sequences": True}, time=5),
        ]
    h = np.random.default_rng(5).normal(size=(5, 3))
    cases.append(
        graph(
            "mask-LSTM-gelu_initial_state",
            {"x": [5, 2], "h": [3], "c": [3]},
            {"name": "mask", "type": "Masking", "inputs": "x"},
            {
                "name": "y",
                "type": "LSTM",
                "units": 3,
                "activation": "gelu",
                "inputs": "mask",
                "initial_state": ["h", "c"],
                "return_sequences": True,
            },
            values={"h": h, "x": np.random.default_rng(6).normal(size=(5, 5, 2)) * (np.array(GAPS) != 0)[..., None]},
            batch=5,
        )
    )
    return cases
