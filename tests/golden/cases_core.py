"""The golden cases of basic layers and activations."""

from __future__ import annotations

import numpy as np
from cases import GAPS, Case, graph, masked, masking, single

ACTIVATIONS = [
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "elu",
    "selu",
    "gelu",
    "silu",
    "softplus",
    "softsign",
    "leaky_relu",
    "exponential",
    "hard_sigmoid",
]


def layer_cases() -> list[Case]:
    cases = [
        single("plain", [4], "Dense", {"units": 3}),
        single("relu", [4], "Dense", {"units": 3, "activation": "relu"}),
        single("no_bias", [4], "Dense", {"units": 3, "use_bias": False, "activation": "tanh"}),
        single("rank3", [5, 4], "Dense", {"units": 3, "activation": "softmax"}),
        single("rank4_time", [None, 2, 4], "Dense", {"units": 3}, time=3),
        single("flat", [3, 4], "Flatten", {}),
        single("rank4", [2, 3, 4], "Flatten", {}),
        single("channels_first", [4, 2, 3], "Flatten", {"data_format": "channels_first"}),
        single("to_image", [12], "Reshape", {"target_shape": [2, 3, 2]}),
        single("infer", [3, 4], "Reshape", {"target_shape": [-1, 2]}),
        single("infer_time", [None, 4], "Reshape", {"target_shape": [-1, 2]}),
        single("swap", [3, 4], "Permute", {"dims": [2, 1]}),
        single("rank4", [2, 3, 4], "Permute", {"dims": [3, 1, 2]}),
        single("three", [4], "RepeatVector", {"n": 3}),
        single("one", [2], "RepeatVector", {"n": 1}),
        single("inference", [4], "Dropout", {"rate": 0.5}),
        single("rate_0", [4], "Dropout", {"rate": 0.0}, training=True),
        single("default", [6], "ReLU", {}),
        single("max", [12], "ReLU", {"max_value": 0.8}),
        single("slope", [12], "ReLU", {"negative_slope": 0.25}),
        single("threshold", [12], "ReLU", {"threshold": 0.5}),
        single("all", [24], "ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3}),
        single("default", [6], "LeakyReLU", {}),
        single("slope", [2, 6], "LeakyReLU", {"negative_slope": 0.05}),
        single("default", [5], "Softmax", {}),
        single("axis_1", [3, 4], "Softmax", {"axis": 1}),
        single("two_axes", [3, 4], "Softmax", {"axis": [1, 2]}),
        single("rank2", [4], "Identity", {}),
        single("rank4", [2, 3, 4], "Identity", {}),
        single("scale", [3], "Rescaling", {"scale": 0.5}),
        single("offset", [2, 3], "Rescaling", {"scale": 2.0, "offset": -1.0}),
        single("per_channel", [2, 3], "Rescaling", {"scale": [1.0, 2.0, 0.5], "offset": [0.0, 1.0, -1.0]}),
    ]
    cases += [single(name, [7], "Activation", {"activation": name}) for name in ACTIVATIONS]
    cases += [single(f"{name}_rank3", [2, 4], "Activation", {"activation": name}) for name in ("softmax", "gelu")]
    ids = {"ids": {"shape": [3], "dtype": "int64"}}
    embed = {"name": "y", "type": "Embedding", "input_dim": 5, "output_dim": 2}
    pixels = np.arange(2 * 2 * 2 * 3).reshape(2, 2, 2, 3) * 10 % 256
    cases += [
        graph("Embedding-plain", ids, embed, values={"ids": [[1, 4, 1], [0, 2, 4]]}),
        graph(
            "Embedding-int32", {"ids": {"shape": [2, 2], "dtype": "int32"}}, embed, values={"ids": [[[1, 4], [3, 1]]]}
        ),
        graph("Embedding-scalar", {"ids": {"shape": [], "dtype": "int64"}}, embed, values={"ids": [1, 3, 3]}),
        *(
            graph(
                f"ReversibleEmbedding-{name}",
                ids,
                {"name": "e", "type": "ReversibleEmbedding", "input_dim": 5, "output_dim": 2, **more},
                {"name": "d", "type": "Dense", "units": 2, "activation": "tanh"},
                {"name": "y", "share": "e", "reverse": True},
                values={"ids": [[1, 4, 1], [0, 2, 4]]},
            )
            for name, more in {
                "tied": {"mask_zero": True, "logit_soft_cap": 0.5},
                "untied": {"tie_weights": False},
            }.items()
        ),
        masked("Embedding-mask_zero", GAPS, outputs={"y": {"layer": "embed"}}),
        masked("mask-Identity", GAPS, {"name": "y", "type": "Identity"}),
        masking("Masking-default", GAPS, outputs={"y": {"layer": "mask"}}),
        graph(
            "Masking-value",
            {"x": [2, 3, 2]},
            {"name": "y", "type": "Masking", "mask_value": -1.0},
            values={"x": [[[[-1, -1], [1, -1], [2, 3]], [[0, 0], [-1, -1], [-1, 2]]]] * 2},
        ),
        graph(
            "Rescaling-uint8",
            {"x": {"shape": [2, 2, 3], "dtype": "uint8"}},
            {"name": "y", "type": "Rescaling", "scale": 1 / 255},
            values={"x": pixels},
        ),
        graph(
            "share-dense",
            {"a": [3], "b": [3]},
            {"name": "p", "type": "Dense", "units": 2, "activation": "tanh", "inputs": "a"},
            {"name": "q", "share": "p", "inputs": "b"},
            {"name": "y", "type": "Concatenate", "inputs": ["p", "q", "p"]},
        ),
        graph(
            "trainable-false",
            {"x": [3]},
            {"name": "frozen", "type": "Dense", "units": 3, "trainable": False, "activation": "relu"},
            {"name": "norm", "type": "BatchNormalization", "trainable": False},
            {"name": "y", "type": "Dense", "units": 2},
            training=True,
        ),
    ]
    return cases
