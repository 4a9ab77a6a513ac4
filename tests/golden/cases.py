"""The layers' golden cases: small specs of graphspec, read by `make_keras.py`.

A case is a dict: `id`, `spec`, `training` (false), `batch` (2), `time` (length of a null axis, 5), `values` (of inputs,
where random ones will not do).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Case = dict[str, Any]

# Row by row: nothing masked, padded, leading and trailing padding, gaps, all masked.
GAPS = [[1, 2, 3, 4, 5], [3, 1, 2, 0, 0], [0, 0, 2, 4, 0], [1, 0, 3, 0, 2], [0, 0, 0, 0, 0]]
PADDED = [[1, 2, 3, 4, 5], [3, 1, 2, 0, 0], [4, 0, 0, 0, 0]]
GAPS2 = [[1, 0, 3, 4, 0], [3, 1, 2, 0, 0], [0, 1, 0, 4, 0], [1, 0, 3, 0, 2], [0, 0, 0, 1, 0]]


def spec(name: str, inputs: dict[str, Any], layers: list[dict[str, Any]], outputs: dict[str, Any]) -> dict[str, Any]:
    """A mini spec; an input is its shape or a mapping."""
    inputs = {key: value if isinstance(value, dict) else {"shape": value} for key, value in inputs.items()}
    return {"graphspec": 1, "name": name, "inputs": inputs, "layers": layers, "outputs": outputs}


def single(label: str, shape: list[int | None], cls: str, args: dict[str, Any], **extra: Any) -> Case:
    """One float input `x`, one node `y`."""
    name = f"{cls}-{label}"
    return {"id": name, "spec": spec(name, {"x": shape}, [{"name": "y", "type": cls, **args}], {"y": {}}), **extra}


def graph(
    name: str,
    inputs: dict[str, Any],
    *layers: dict[str, Any],
    outputs: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    **extra: Any,
) -> Case:
    """Several nodes; the head is `y` unless `outputs` says otherwise."""
    made = spec(name, inputs, list(layers), outputs or {"y": {}})
    return {"id": name, "spec": made, "values": values or {}, **extra}


def masked(name: str, ids: list[list[int]], *layers: dict[str, Any], dim: int = 3, **extra: Any) -> Case:
    """Ids through an Embedding with mask_zero into the layers."""
    embed = {"name": "embed", "type": "Embedding", "input_dim": 6, "output_dim": dim, "mask_zero": True}
    inputs = {"ids": {"shape": [None], "dtype": "int64"}}
    return graph(name, inputs, embed, *layers, values={"ids": np.array(ids)}, batch=len(ids), **extra)


def masking(name: str, ids: list[list[int]], *layers: dict[str, Any], dim: int = 3, **extra: Any) -> Case:
    """A float sequence, zero where `ids` is, through Masking into the layers."""
    keep = np.array(ids) != 0
    x = np.random.default_rng(len(name)).normal(size=(*keep.shape, dim)) * keep[..., None]
    first = {"name": "mask", "type": "Masking"}
    return graph(name, {"x": [None, dim]}, first, *layers, values={"x": x}, batch=len(ids), **extra)


CONV = {"Conv1D": [6, 3], "Conv2D": [6, 5, 3]}
CHANNELS_FIRST = {"Conv1D": [4, 6], "Conv2D": [4, 6, 5]}
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


def core() -> list[Case]:
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


def convolution() -> list[Case]:
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


def pooling() -> list[Case]:
    cases = []
    for cls in ("MaxPooling1D", "AveragePooling1D", "MaxPooling2D", "AveragePooling2D"):
        two = cls.endswith("2D")
        shape, first = ([7, 6, 2], [2, 6, 5]) if two else ([7, 2], [2, 6])
        cases += [
            single("pool_2", shape, cls, {"pool_size": 2}),
            single("same", shape, cls, {"pool_size": 2, "padding": "same"}),
            single("overlap", shape, cls, {"pool_size": 3, "strides": 1}),
            single("overlap_same", shape, cls, {"pool_size": 3, "strides": 1, "padding": "same"}),
            single("strides_same", shape, cls, {"pool_size": 3, "strides": 2, "padding": "same"}),
            single("gaps", shape, cls, {"pool_size": 2, "strides": 3, "padding": "same"}),
            single("channels_first", first, cls, {"pool_size": 2, "data_format": "channels_first"}),
            single(
                "channels_first_same",
                first,
                cls,
                {"pool_size": 3, "strides": 2, "padding": "same", "data_format": "channels_first"},
            ),
        ]
        if cls.startswith("Max"):
            cases.append(single("default", shape, cls, {}))
        if two:
            cases.append(single("rectangle", shape, cls, {"pool_size": [3, 2], "strides": [1, 2], "padding": "same"}))
        else:
            cases.append(single("time", [None, 2], cls, {"pool_size": 2}))
    for cls in ("GlobalMaxPooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"):
        shape = [3, 4, 2] if cls.endswith("2D") else [4, 3]
        cases += [
            single("default", shape, cls, {}),
            single("keepdims", shape, cls, {"keepdims": True}),
            single("channels_first", shape, cls, {"data_format": "channels_first"}),
            single("time", [None, *shape[1:]], cls, {}),
        ]
    average = {"name": "y", "type": "GlobalAveragePooling1D"}
    cases += [
        masking("mask-GlobalAveragePooling1D", GAPS[:4], average),
        masked("mask-GlobalAveragePooling1D-keepdims", PADDED, {**average, "keepdims": True}),
    ]
    return cases


def normalization() -> list[Case]:
    cases = []
    for training in (False, True):
        mode = "training" if training else "inference"
        for label, shape, args in (
            ("rank2", [4], {}),
            ("rank3", [3, 4], {"momentum": 0.8, "epsilon": 0.01}),
            ("rank4", [3, 2, 4], {}),
            ("axis_1", [3, 2, 4], {"axis": 1, "momentum": 0.5}),
            ("no_scale", [4], {"scale": False}),
            ("no_center", [4], {"center": False}),
            ("neither", [2, 4], {"center": False, "scale": False}),
        ):
            cases.append(single(f"{label}_{mode}", shape, "BatchNormalization", args, training=training, batch=3))
        cases.append(
            masked(
                f"mask-BatchNormalization_{mode}", GAPS, {"name": "y", "type": "BatchNormalization"}, training=training
            )
        )
    for label, shape, args in (
        ("rank2", [4], {}),
        ("rank3", [3, 4], {"epsilon": 0.01}),
        ("axis_1", [3, 4], {"axis": 1}),
        ("axes", [3, 4], {"axis": [1, 2]}),
        ("axes_rank4", [2, 3, 4], {"axis": [-2, -1]}),
        ("no_scale", [4], {"scale": False}),
        ("no_center", [4], {"center": False}),
        ("neither", [2, 4], {"center": False, "scale": False}),
        ("time", [None, 4], {}),
    ):
        cases.append(single(label, shape, "LayerNormalization", args))
    return cases


def merging() -> list[Case]:
    cases = []

    def merge(label: str, cls: str, *shapes: list[int | None], **args: Any) -> None:
        names = ["a", "b", "c"][: len(shapes)]
        node = {"name": "y", "type": cls, **args, "inputs": names}
        cases.append(graph(f"{cls}-{label}", dict(zip(names, shapes, strict=True)), node))

    for cls in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        merge("two", cls, [3, 4], [3, 4])
        if cls != "Subtract":
            merge("three", cls, [4], [4], [4])
        merge("broadcast", cls, [3, 1], [1, 4])
        merge("ranks", cls, [3, 4], [4])
    merge("three_ranks", "Add", [2, 3, 4], [4], [3, 4])
    merge("default", "Concatenate", [3], [2], [4])
    merge("axis_1", "Concatenate", [3, 2], [1, 2], axis=1)
    merge("axis_2", "Concatenate", [2, 3, 2], [2, 1, 2], axis=2)
    merge("axis_minus_2", "Concatenate", [2, 3, 2], [2, 1, 2], axis=-2)
    merge("time", "Concatenate", [None, 2], [None, 3])
    for normalize in (False, True):
        label = "_normalize" if normalize else ""
        merge("vectors" + label, "Dot", [4], [4], axes=1, normalize=normalize)
        merge("matrices" + label, "Dot", [3, 4], [4, 2], axes=[2, 1], normalize=normalize)
    merge("axes_1", "Dot", [3, 4], [3, 2], axes=1)
    merge("axes_minus_1", "Dot", [3, 4], [2, 4], axes=-1)
    merge("matrix_vector", "Dot", [3, 4], [4], axes=[2, 1])
    merge("time", "Dot", [None, 4], [None, 4], axes=2)
    merge("rank4", "Dot", [2, 3, 4], [4, 2], axes=[3, 1])

    two = {"a": {"shape": [None], "dtype": "int64"}, "b": {"shape": [None], "dtype": "int64"}}
    embed = {"type": "Embedding", "input_dim": 6, "output_dim": 2}
    for label, node, masks in (
        ("Add", {"type": "Add"}, (True, True)),
        ("Multiply_one", {"type": "Multiply"}, (True, False)),
        ("Concatenate", {"type": "Concatenate"}, (True, True)),
        ("Concatenate_one", {"type": "Concatenate"}, (True, False)),
        ("Concatenate_time", {"type": "Concatenate", "axis": 1}, (True, True)),
        ("Concatenate_time_one", {"type": "Concatenate", "axis": 1}, (False, True)),
    ):
        cases.append(
            graph(
                f"mask-{label}",
                two,
                {"name": "ea", **embed, "inputs": "a", "mask_zero": masks[0]},
                {"name": "eb", **embed, "inputs": "b", "mask_zero": masks[1]},
                {"name": "merged", **node, "inputs": ["ea", "eb"]},
                {"name": "y", "type": "LSTM", "units": 2},
                outputs={"y": {}, "merged": {}},
                values={"a": np.array(GAPS), "b": np.array(GAPS2)},
                batch=5,
            )
        )
    return cases
