"""The golden cases of recurrent layers, with the masks that reach them."""

from __future__ import annotations

import numpy as np
from cases import GAPS, PADDED, Case, graph, masked, masking, single


def layer_cases() -> list[Case]:
    cases = []
    for cls in ("LSTM", "GRU", "SimpleRNN"):
        gated = cls != "SimpleRNN"
        states = 2 if cls == "LSTM" else 1
        node = {"name": "y", "type": cls, "units": 3}
        cases += [
            single("last", [4, 2], cls, {"units": 3}),
            single("sequences", [4, 2], cls, {"units": 3, "return_sequences": True}),
            single("time", [None, 2], cls, {"units": 3, "return_sequences": True}),
            single("one_step", [1, 2], cls, {"units": 2}),
            single("backwards", [4, 2], cls, {"units": 3, "go_backwards": True}),
            single("backwards_sequences", [4, 2], cls, {"units": 3, "go_backwards": True, "return_sequences": True}),
            single("no_bias", [4, 2], cls, {"units": 3, "use_bias": False}),
            single("relu", [3, 2], cls, {"units": 2, "activation": "relu"}),
            single("softsign", [3, 2], cls, {"units": 2, "activation": "softsign", "return_sequences": True}),
            single("dropout_inference", [3, 2], cls, {"units": 2, "dropout": 0.5, "recurrent_dropout": 0.5}),
        ]
        if gated:
            cases += [
                single("hard_sigmoid", [3, 2], cls, {"units": 2, "recurrent_activation": "hard_sigmoid"}),
                single(
                    "both_activations",
                    [3, 2],
                    cls,
                    {"units": 2, "activation": "sigmoid", "recurrent_activation": "tanh", "return_sequences": True},
                ),
                single("linear", [3, 2], cls, {"units": 2, "activation": None}),
            ]
        if cls == "GRU":
            cases += [
                single("reset_before", [4, 2], cls, {"units": 3, "reset_after": False}),
                single(
                    "reset_before_sequences",
                    [4, 2],
                    cls,
                    {"units": 3, "reset_after": False, "return_sequences": True, "go_backwards": True},
                ),
                single("reset_before_no_bias", [4, 2], cls, {"units": 3, "reset_after": False, "use_bias": False}),
                masked("mask-GRU-reset_before", GAPS, {**node, "reset_after": False, "return_sequences": True}),
            ]
        heads = {f"s{k}": {"layer": f"r:{k}"} for k in range(states + 1)}
        for sequences in (False, True):
            label = "_sequences" if sequences else ""
            state = {"type": cls, "units": 3, "return_state": True, "return_sequences": sequences}
            cases.append(graph(f"{cls}-return_state{label}", {"x": [4, 2]}, {"name": "r", **state}, outputs=heads))
            cases.append(masked(f"mask-{cls}-return_state{label}", GAPS, {"name": "r", **state}, outputs=heads))
        start = {"x": [4, 2], "h": [3], "c": [3]} if states == 2 else {"x": [4, 2], "h": [3]}
        names = ["h", "c"][:states]
        cases += [
            graph(f"{cls}-initial_state", start, {**node, "inputs": "x", "initial_state": names}),
            graph(
                f"{cls}-initial_state_backwards",
                start,
                {**node, "inputs": "x", "initial_state": names, "go_backwards": True, "return_sequences": True},
            ),
            graph(
                f"mask-{cls}-initial_state",
                {**start, "x": [5, 2]},
                {"name": "mask", "type": "Masking", "inputs": "x"},
                {**node, "inputs": "mask", "initial_state": names, "return_sequences": True},
                values={"x": np.random.default_rng(3).normal(size=(5, 5, 2)) * (np.array(GAPS) != 0)[..., None]},
                batch=5,
            ),
            graph(
                f"{cls}-encoder_decoder",
                {"x": [4, 2], "z": [3, 2]},
                {"name": "encode", "type": cls, "units": 2, "return_state": True, "inputs": "x"},
                {
                    "name": "y",
                    "type": cls,
                    "units": 2,
                    "return_sequences": True,
                    "inputs": "z",
                    "initial_state": [f"encode:{k + 1}" for k in range(states)],
                },
            ),
        ]
        for label, args in (
            ("last", {}),
            ("sequences", {"return_sequences": True}),
            ("backwards", {"go_backwards": True}),
            ("backwards_sequences", {"go_backwards": True, "return_sequences": True}),
            ("zero_output", {"return_sequences": True, "zero_output_for_mask": True}),
            ("zero_output_last", {"zero_output_for_mask": True}),
        ):
            cases.append(masked(f"mask-{cls}-{label}", GAPS, {**node, **args}))
        cases += [
            masked(f"mask-{cls}-padded", PADDED, node),
            masked(f"mask-{cls}-padded_sequences", PADDED, {**node, "return_sequences": True}),
            masking(f"mask-{cls}-Masking", GAPS, node),
            masked(
                f"mask-{cls}-stack",
                GAPS,
                {"name": "one", "type": cls, "units": 3, "return_sequences": True},
                {"name": "y", "type": cls, "units": 2},
            ),
            masked(
                f"mask-{cls}-through",
                GAPS,
                {"name": "d", "type": "Dense", "units": 2, "activation": "tanh"},
                {"name": "n", "type": "LayerNormalization"},
                {"name": "o", "type": "Dropout", "rate": 0.5},
                node,
            ),
        ]
    cases.append(
        graph(
            "mask-Masking-value",
            {"x": [4, 2]},
            {"name": "y", "type": "Masking", "mask_value": -1.0},
            {"name": "r", "type": "LSTM", "units": 2},
            outputs={"y": {}, "r": {}},
            values={
                "x": [
                    [[0.5, 1.0], [-1.0, -1.0], [-1.0, 2.0], [0.0, 0.0]],
                    [[-1.0, -1.0], [0.3, 0.2], [-1.0, -1.0], [-1.0, -1.0]],
                ]
            },
        )
    )
    return cases
