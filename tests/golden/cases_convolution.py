"""The golden cases of convolutions, and of layers that move pixels."""

from __future__ import annotations

from cases import Case, single

CONV = {"Conv1D": [6, 3], "Conv2D": [6, 5, 3]}
CHANNELS_FIRST = {"Conv1D": [4, 6], "Conv2D": [4, 6, 5]}


def layer_cases() -> list[Case]:
    cases = []
    for cls, shape in CONV.items():
        rank = len(shape) - 1
        cases += [
            single("valid", shape, cls, {"filters": 4, "kernel_size": 3}),
            single("same", shape, cls, {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}),
            single("same_even", shape, cls, {"filters": 2, "kernel_size": 2, "padding": "same"}),
            single("strides", shape, cls, {"filters": 2, "kernel_size": 3, "strides": 2}),
            single("same_strides", shape, cls, {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}),
            single("same_strides_3", shape, cls, {"filters": 2, "kernel_size": 2, "strides": 3, "padding": "same"}),
            single("dilation", shape, cls, {"filters": 2, "kernel_size": 2, "dilation_rate": 2}),
            single(
                "same_dilation", shape, cls, {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}
            ),
            single("kernel_1", shape, cls, {"filters": 2, "kernel_size": 1, "use_bias": False, "activation": "tanh"}),
            single("groups", [*shape[:-1], 4], cls, {"filters": 6, "kernel_size": 3, "groups": 2}),
            single("time", [None, *shape[1:]], cls, {"filters": 2, "kernel_size": 3, "padding": "same"}, time=4),
            single(
                "channels_first",
                CHANNELS_FIRST[cls],
                cls,
                {"filters": 2, "kernel_size": 3, "data_format": "channels_first", "padding": "same", "strides": 2},
            ),
            single(
                "channels_first_softmax",
                CHANNELS_FIRST[cls],
                cls,
                {"filters": 3, "kernel_size": 2, "data_format": "channels_first", "activation": "softmax"},
            ),
            single(
                "channels_first_groups",
                CHANNELS_FIRST[cls],
                cls,
                {"filters": 4, "kernel_size": [2] * rank, "data_format": "channels_first", "groups": 4},
            ),
        ]
    cases += [
        single("causal", [5, 3], "Conv1D", {"filters": 2, "kernel_size": 3, "padding": "causal", "activation": "gelu"}),
        single(
            "causal_dilation",
            [6, 2],
            "Conv1D",
            {"filters": 2, "kernel_size": 2, "padding": "causal", "dilation_rate": 2},
        ),
        single("causal_strides", [6, 2], "Conv1D", {"filters": 2, "kernel_size": 3, "padding": "causal", "strides": 2}),
        single("causal_time", [None, 2], "Conv1D", {"filters": 3, "kernel_size": 2, "padding": "causal"}),
        single("rectangle", [6, 5, 2], "Conv2D", {"filters": 3, "kernel_size": [1, 3], "strides": [2, 1]}),
        single(
            "rectangle_same",
            [5, 6, 2],
            "Conv2D",
            {"filters": 2, "kernel_size": [3, 2], "strides": [1, 2], "padding": "same"},
        ),
        single("dilation_rectangle", [6, 6, 2], "Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": [1, 3]}),
    ]
    cases += [
        single("default", [2, 3, 2], "ZeroPadding2D", {}),
        single("pair", [2, 3, 2], "ZeroPadding2D", {"padding": [1, 2]}),
        single("uneven", [2, 3, 2], "ZeroPadding2D", {"padding": [[1, 0], [2, 3]]}),
        single(
            "channels_first", [2, 2, 3], "ZeroPadding2D", {"padding": [[0, 1], [1, 2]], "data_format": "channels_first"}
        ),
        single("nearest", [2, 3, 2], "UpSampling2D", {"size": [2, 3]}),
        single("default", [2, 2, 1], "UpSampling2D", {}),
        single("bilinear", [3, 2, 2], "UpSampling2D", {"size": 2, "interpolation": "bilinear"}),
        single("bilinear_3", [2, 3, 1], "UpSampling2D", {"size": [3, 2], "interpolation": "bilinear"}),
        single("channels_first", [2, 2, 3], "UpSampling2D", {"size": 2, "data_format": "channels_first"}),
        single(
            "bilinear_channels_first",
            [2, 2, 3],
            "UpSampling2D",
            {"interpolation": "bilinear", "data_format": "channels_first"},
        ),
    ]
    return cases
