"""The golden cases of ConvLSTM1D, ConvLSTM2D and ConvLSTM3D."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, Case, graph, single

SIZES = {1: [5], 2: [4, 3], 3: [2, 3, 2]}
KEEP = np.array(GAPS) != 0


def masked_images(name: str, shape: list[int], **args: Any) -> Case:
    """Images of five steps, zero where GAPS is, through a Masking that sees each step as a vector."""
    size = int(np.prod(shape))
    x = np.random.default_rng(len(name)).normal(size=(*KEEP.shape, size)) * KEEP[..., None]
    return graph(
        name,
        {"x": [5, size]},
        {"name": "mask", "type": "Masking"},
        {"name": "images", "type": "TimeDistributed", "layer": {"type": "Reshape", "target_shape": shape}},
        {"name": "y", **args},
        values={"x": x},
        batch=5,
    )


def layer_cases() -> list[Case]:
    cases = []
    for rank, spatial in SIZES.items():
        cls = f"ConvLSTM{rank}D"
        shape: list[int | None] = [3, *spatial, 2]
        first: list[int | None] = [3, 2, *spatial]
        node = {"filters": 2, "kernel_size": 2}
        strides = [2, *[1] * (rank - 1)]
        cases += [
            single("valid", shape, cls, node),
            single("same_sequences", shape, cls, {**node, "padding": "same", "return_sequences": True}),
            single("strides", shape, cls, {**node, "strides": strides, "padding": "same", "return_sequences": True}),
            single("backwards", shape, cls, {**node, "go_backwards": True, "return_sequences": True}),
            single("channels_first", first, cls, {**node, "data_format": "channels_first", "return_sequences": True}),
            single("no_bias", shape, cls, {**node, "use_bias": False, "recurrent_activation": "hard_sigmoid"}),
            single("dropout_inference", shape, cls, {**node, "dropout": 0.5, "recurrent_dropout": 0.5}),
            masked_images(f"mask-{cls}", [*spatial, 1], type=cls, **node),
            masked_images(f"mask-{cls}-sequences", [*spatial, 1], type=cls, **node, return_sequences=True),
        ]
    shape = [3, 5, 4, 2]
    cases += [
        single("one_step", [1, 4, 4, 1], "ConvLSTM2D", {"filters": 2, "kernel_size": 3}),
        single("uneven", shape, "ConvLSTM2D", {"filters": 3, "kernel_size": [3, 1], "strides": [2, 1]}),
        single("dilation", [2, 5, 5, 1], "ConvLSTM2D", {"filters": 2, "kernel_size": 2, "dilation_rate": [2, 1]}),
        single("gelu", shape, "ConvLSTM2D", {"filters": 2, "kernel_size": 2, "activation": "gelu", "padding": "same"}),
        single("softmax", shape, "ConvLSTM2D", {"filters": 2, "kernel_size": 2, "recurrent_activation": "softmax"}),
        single(
            "softmax_channels_first",
            [2, 2, 3, 4],
            "ConvLSTM2D",
            {"filters": 2, "kernel_size": 2, "activation": "softmax", "data_format": "channels_first"},
        ),
        graph(
            "ConvLSTM2D-initial_state",
            {"x": [2, 3, 4, 1], "h": [3, 4, 2], "c": [3, 4, 2]},
            {
                "name": "r",
                "type": "ConvLSTM2D",
                "filters": 2,
                "kernel_size": 2,
                "padding": "same",
                "return_state": True,
                "inputs": "x",
                "initial_state": ["h", "c"],
            },
            outputs={f"s{k}": {"layer": f"r:{k}"} for k in range(3)},
        ),
        graph(
            "ConvLSTM1D-return_state_channels_first",
            {"x": [2, 3, 4], "h": [2, 3], "c": [2, 3]},
            {
                "name": "r",
                "type": "ConvLSTM1D",
                "filters": 2,
                "kernel_size": 2,
                "data_format": "channels_first",
                "return_state": True,
                "inputs": "x",
                "initial_state": ["h", "c"],
            },
            outputs={f"s{k}": {"layer": f"r:{k}"} for k in range(3)},
        ),
    ]
    for label, args in (
        ("backwards", {"go_backwards": True, "return_sequences": True}),
        ("zero", {"zero_output_for_mask": True, "return_sequences": True}),
        ("zero_last", {"zero_output_for_mask": True}),
    ):
        args = {**args, "filters": 2, "kernel_size": 2, "padding": "same"}
        cases.append(masked_images(f"mask-ConvLSTM2D-{label}", [3, 2, 1], type="ConvLSTM2D", **args))
    return cases
