"""The golden cases of Bidirectional and TimeDistributed, with the masks that reach them."""

from __future__ import annotations

from typing import Any

from cases import GAPS, PADDED, Case, graph, masked, single


def layer_cases() -> list[Case]:
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
    stack = [{"type": "LSTMCell", "units": 2}, {"type": "GRUCell", "units": 3, "activation": "gelu"}]
    for sequences in (False, True):
        for label, inner in (
            ("RNN", {"type": "RNN", "cell": {"type": "GRUCell", "units": 2}}),
            ("RNN_stack", {"type": "RNN", "cell": stack}),
            ("LSTM_silu", {"type": "LSTM", "units": 2, "activation": "silu"}),
        ):
            node = {"name": "y", "type": "Bidirectional", "layer": {**inner, "return_sequences": sequences}}
            label += "_sequences" if sequences else ""
            cases.append(graph(f"Bidirectional-{label}", {"x": [4, 2]}, node))
            cases.append(masked(f"mask-Bidirectional-{label}", GAPS, node, time=5))
        image = {"type": "ConvLSTM2D", "filters": 2, "kernel_size": 2, "return_sequences": sequences}
        label = "ConvLSTM2D" + ("_sequences" if sequences else "")
        cases.append(single(label, [3, 4, 3, 1], "Bidirectional", {"layer": image, "merge_mode": "concat"}))
        cases.append(single(f"{label}_sum", [3, 4, 3, 1], "Bidirectional", {"layer": image, "merge_mode": "sum"}))
    cases += [
        graph(
            "Bidirectional-RNN_return_state",
            {"x": [4, 2]},
            {
                "name": "r",
                "type": "Bidirectional",
                "layer": {"type": "RNN", "cell": stack, "return_state": True, "return_sequences": True},
            },
            outputs={f"s{k}": {"layer": f"r:{k}"} for k in range(7)},
        ),
        graph(
            "Bidirectional-ConvLSTM1D_return_state",
            {"x": [3, 4, 2], "h": [3, 2], "c": [3, 2], "i": [3, 2], "d": [3, 2]},
            {
                "name": "r",
                "type": "Bidirectional",
                "layer": {"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2, "return_state": True},
                "inputs": "x",
                "initial_state": ["h", "c", "i", "d"],
            },
            outputs={f"s{k}": {"layer": f"r:{k}"} for k in range(5)},
        ),
        single(
            "ConvLSTM1D",
            [2, 3, 4, 2],
            "TimeDistributed",
            {"layer": {"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2}},
        ),
        single("RNN", [2, 3, 2], "TimeDistributed", {"layer": {"type": "RNN", "cell": stack}}),
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
