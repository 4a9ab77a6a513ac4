"""The golden cases of recurrent layers and their wrappers, with the masks that reach them."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, PADDED, Case, graph, masked, masking, single


def recurrent() -> list[Case]:
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


def wrappers() -> list[Case]:
    cases = []

    def both(label: str, inner: dict[str, Any], ids: list[list[int]] | None = None, **args: Any) -> None:
        node = {"name": "y", "type": "Bidirectional", "layer": inner, **args}
        name = f"{'mask-' if ids else ''}Bidirectional-{label}"
        cases.append(masked(name, ids, node) if ids else graph(name, {"x": [4, 2]}, node))

    for mode in ("concat", "sum", "ave", "mul"):
        for sequences in (False, True):
            inner = {"type": "LSTM", "units": 2, "return_sequences": sequences}
            label = mode + ("_sequences" if sequences else "")
            both(label, inner, merge_mode=mode)
            both(label, inner, GAPS, merge_mode=mode)
    for cls in ("GRU", "SimpleRNN"):
        for sequences in (False, True):
            inner = {"type": cls, "units": 3, "return_sequences": sequences}
            label = cls + ("_sequences" if sequences else "")
            both(label, inner)
            both(label, inner, GAPS)
            both(label + "_padded", inner, PADDED)
    both("reset_before", {"type": "GRU", "units": 2, "reset_after": False, "return_sequences": True})
    both("hard_sigmoid", {"type": "LSTM", "units": 2, "recurrent_activation": "hard_sigmoid", "use_bias": False})
    both("padded", {"type": "LSTM", "units": 2}, PADDED)
    both("padded_sequences", {"type": "LSTM", "units": 2, "return_sequences": True}, PADDED)
    both(
        "backward_layer",
        {"type": "LSTM", "units": 2},
        backward_layer={"type": "LSTM", "units": 3, "go_backwards": True, "activation": "relu"},
    )
    heads = {f"s{k}": {"layer": f"r:{k}"} for k in range(5)}
    inner = {"type": "LSTM", "units": 2, "return_state": True, "return_sequences": True}
    cases += [
        graph(
            "Bidirectional-return_state",
            {"x": [4, 2]},
            {"name": "r", "type": "Bidirectional", "layer": inner},
            outputs=heads,
        ),
        masked(
            "mask-Bidirectional-return_state",
            GAPS,
            {"name": "r", "type": "Bidirectional", "layer": inner},
            outputs=heads,
        ),
        graph(
            "Bidirectional-merge_none",
            {"x": [4, 2]},
            {
                "name": "r",
                "type": "Bidirectional",
                "layer": {"type": "GRU", "units": 2, "return_sequences": True},
                "merge_mode": None,
            },
            outputs={"s0": {"layer": "r:0"}, "s1": {"layer": "r:1"}},
        ),
        graph(
            "Bidirectional-initial_state",
            {"x": [4, 2], "h": [2], "c": [2], "i": [2], "d": [2]},
            {
                "name": "y",
                "type": "Bidirectional",
                "layer": {"type": "LSTM", "units": 2},
                "inputs": "x",
                "initial_state": ["h", "c", "i", "d"],
            },
        ),
        masked(
            "mask-Bidirectional-stack",
            GAPS,
            {"name": "one", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, "return_sequences": True}},
            {"name": "y", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 2}},
        ),
    ]
    for label, shape, inner in (
        ("Dense", [3, 4], {"type": "Dense", "units": 2, "activation": "relu"}),
        ("Dense_time", [None, 4], {"type": "Dense", "units": 2}),
        (
            "Conv2D",
            [3, 4, 4, 2],
            {"type": "Conv2D", "filters": 2, "kernel_size": 3, "padding": "same", "activation": "relu"},
        ),
        ("Conv2D_strides", [2, 5, 4, 2], {"type": "Conv2D", "filters": 2, "kernel_size": 2, "strides": 2}),
        ("MaxPooling2D", [2, 4, 4, 1], {"type": "MaxPooling2D"}),
        ("Flatten", [3, 2, 2], {"type": "Flatten"}),
        ("Flatten_time", [None, 2, 2], {"type": "Flatten"}),
        ("LSTM", [3, 4, 2], {"type": "LSTM", "units": 2}),
        ("LayerNormalization", [3, 4], {"type": "LayerNormalization"}),
    ):
        cases.append(single(label, shape, "TimeDistributed", {"layer": inner}))
    for training in (False, True):
        mode = "training" if training else "inference"
        cases.append(
            single(
                f"BatchNormalization_{mode}",
                [3, 4],
                "TimeDistributed",
                {"layer": {"type": "BatchNormalization"}},
                training=training,
            )
        )
    cases += [
        masked(
            "mask-TimeDistributed",
            GAPS,
            {"name": "d", "type": "TimeDistributed", "layer": {"type": "Dense", "units": 2}},
            {"name": "y", "type": "GRU", "units": 2},
        ),
    ]
    return cases
