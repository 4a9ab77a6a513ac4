"""Layers: output shapes and weights. `test_golden.py` compares the values with Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering import IMAGE, SEQUENCE, TIME, Dims, cell, lower, weights
from paths import TESTS

from graphspec.vocabulary.layers import LAYERS

SHAPES: list[tuple[str, dict[str, Any], list[Dims], Dims | list[Dims]]] = [
    ("Dense", {"units": 4}, [("N", 3)], ("N", 4)),
    ("Dense", {"units": 4, "activation": "relu"}, [TIME], ("N", "time", 4)),
    ("Dense", {"units": 4, "use_bias": False}, [("N", "time", 2, 3)], ("N", "time", 2, 4)),
    ("Activation", {"activation": "gelu"}, [TIME], TIME),
    ("Activation", {"activation": {"type": "glu", "axis": 1}}, [IMAGE], ("N", 4, 6, 3)),
    ("ReLU", {"max_value": 6.0, "negative_slope": 0.1, "threshold": 1.0}, [IMAGE], IMAGE),
    ("LeakyReLU", {}, [IMAGE], IMAGE),
    ("ELU", {"alpha": 0.5}, [TIME], TIME),
    ("PReLU", {"shared_axes": [1, 2]}, [IMAGE], IMAGE),
    ("PReLU", {"shared_axes": 1}, [TIME], TIME),
    ("Softmax", {}, [TIME], TIME),
    ("Softmax", {"axis": [1, 2]}, [TIME], TIME),
    ("Rescaling", {"scale": [1, 2.5, 3], "offset": -1}, [IMAGE], IMAGE),
    ("Masking", {}, [TIME], TIME),
    ("Dropout", {"rate": 0.5}, [TIME], TIME),
    ("Dropout", {"rate": 0.5, "noise_shape": [None, 1, 3], "seed": 7}, [TIME], TIME),
    ("Flatten", {}, [("N",)], ("N", 1)),
    ("Flatten", {}, [("N", 3)], ("N", 3)),
    ("Flatten", {}, [IMAGE], ("N", 144)),
    ("Flatten", {"data_format": "channels_first"}, [("N", 3, 8, 6)], ("N", 144)),
    ("Flatten", {}, [TIME], ("N", "time*3")),
    ("Reshape", {"target_shape": [4, -1]}, [IMAGE], ("N", 4, 36)),
    ("Reshape", {"target_shape": [12, 12]}, [IMAGE], ("N", 12, 12)),
    ("Reshape", {"target_shape": [-1]}, [TIME], ("N", "time*3")),
    ("Permute", {"dims": [3, 1, 2]}, [IMAGE], ("N", 3, 8, 6)),
    ("Permute", {"dims": [2, 1]}, [TIME], ("N", 3, "time")),
    ("RepeatVector", {"n": 4}, [("N", 3)], ("N", 4, 3)),
    ("ZeroPadding2D", {"padding": 2}, [IMAGE], ("N", 12, 10, 3)),
    ("ZeroPadding2D", {"padding": [1, 2]}, [IMAGE], ("N", 10, 10, 3)),
    (
        "ZeroPadding2D",
        {"padding": [[1, 0], [0, 2]], "data_format": "channels_first"},
        [("N", 3, 8, "w")],
        ("N", 3, 9, "w+2"),
    ),
    ("UpSampling2D", {"size": [2, 3]}, [IMAGE], ("N", 16, 18, 3)),
    (
        "UpSampling2D",
        {"interpolation": "bilinear", "data_format": "channels_first"},
        [("N", 3, 8, 6)],
        ("N", 3, 16, 12),
    ),
    ("Conv1D", {"filters": 4, "kernel_size": 3}, [SEQUENCE], ("N", 5, 4)),
    ("Conv1D", {"filters": 4, "kernel_size": [3], "padding": "same", "strides": 2}, [SEQUENCE], ("N", 4, 4)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, [TIME], ("N", "time", 4)),
    ("Conv1D", {"filters": 4, "kernel_size": 3}, [TIME], ("N", "time-2", 4)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "same"}, [TIME], ("N", "time", 4)),
    ("Conv2D", {"filters": 4, "kernel_size": 3}, [IMAGE], ("N", 6, 4, 4)),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 1], "strides": 2, "padding": "same"}, [IMAGE], ("N", 4, 3, 4)),
    ("Conv2D", {"filters": 6, "kernel_size": 2, "groups": 3, "dilation_rate": 2}, [IMAGE], ("N", 6, 4, 6)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}, [("N", 3, 8, 6)], ("N", 4, 6, 4)),
    ("MaxPooling1D", {}, [SEQUENCE], ("N", 3, 3)),
    ("MaxPooling1D", {"padding": "same"}, [SEQUENCE], ("N", 4, 3)),
    ("AveragePooling1D", {"pool_size": 3, "strides": 1, "padding": "same"}, [TIME], TIME),
    ("MaxPooling2D", {}, [IMAGE], ("N", 4, 3, 3)),
    ("MaxPooling2D", {"data_format": "channels_first"}, [("N", 3, 8, 6)], ("N", 3, 4, 3)),
    ("AveragePooling2D", {"pool_size": 3, "padding": "same"}, [IMAGE], ("N", 3, 2, 3)),
    ("GlobalMaxPooling1D", {}, [TIME], ("N", 3)),
    ("Sampling", {}, [TIME, TIME, TIME], TIME),
    ("RandomNormal", {"stddev": 2.0}, [TIME], TIME),
    ("RandomUniform", {"minval": -1.0}, [TIME], TIME),
    ("GumbelSoftmax", {"axis": 1, "hard": True}, [SEQUENCE], SEQUENCE),
    ("StopGradient", {}, [TIME], TIME),
    ("GlobalMaxPooling2D", {"keepdims": True}, [IMAGE], ("N", 1, 1, 3)),
    ("GlobalAveragePooling1D", {"keepdims": True}, [TIME], ("N", 1, 3)),
    ("GlobalAveragePooling2D", {"data_format": "channels_first", "keepdims": True}, [("N", 3, 8, 6)], ("N", 3, 1, 1)),
    ("GlobalAveragePooling2D", {}, [("N", "h", "w", 3)], ("N", 3)),
    ("BatchNormalization", {}, [("N", 3)], ("N", 3)),
    ("BatchNormalization", {"axis": 1, "scale": False, "center": False}, [IMAGE], IMAGE),
    ("LayerNormalization", {"axis": [1, 2]}, [IMAGE], IMAGE),
    ("Add", {}, [TIME, TIME, ("N", 3)], TIME),
    ("Subtract", {}, [SEQUENCE, ("N", 1, 3)], SEQUENCE),
    ("Multiply", {}, [SEQUENCE, SEQUENCE], SEQUENCE),
    ("Average", {}, [SEQUENCE, SEQUENCE], SEQUENCE),
    ("Maximum", {}, [SEQUENCE, SEQUENCE, SEQUENCE], SEQUENCE),
    ("Minimum", {}, [SEQUENCE, SEQUENCE], SEQUENCE),
    ("Concatenate", {}, [TIME, ("N", "time", 2)], ("N", "time", 5)),
    ("Concatenate", {"axis": 1}, [TIME, ("N", 4, 3)], ("N", "time+4", 3)),
    ("Dot", {"axes": 1}, [("N", 4), ("N", 4)], ("N", 1)),
    ("Dot", {"axes": [2, 1], "normalize": True}, [("N", "time", 4), ("N", 4, 2)], ("N", "time", 2)),
    ("Dot", {"axes": -1}, [("N", 2, 3, 4), ("N", "time", 4)], ("N", 2, 3, "time")),
    ("Embedding", {"input_dim": 9, "output_dim": 4}, [("N", "time")], ("N", "time", 4)),
    ("Embedding", {"input_dim": 9, "output_dim": 4}, [("N",)], ("N", 4)),
    ("PositionEmbedding", {"sequence_length": 9}, [SEQUENCE], SEQUENCE),
    ("PositionEmbedding", {"sequence_length": 9}, [TIME], TIME),
    ("LSTM", {"units": 5}, [TIME], ("N", 5)),
    ("LSTM", {"units": 5, "return_sequences": True, "go_backwards": True, "dropout": 0.5}, [TIME], ("N", "time", 5)),
    ("LSTM", {"units": 5, "return_state": True}, [TIME], [("N", 5)] * 3),
    ("GRU", {"units": 5, "return_state": True, "return_sequences": True}, [TIME], [("N", "time", 5), ("N", 5)]),
    ("SimpleRNN", {"units": 5, "use_bias": False}, [SEQUENCE], ("N", 5)),
    ("RNN", {"cell": cell("LSTMCell")}, [TIME], ("N", 5)),
    ("RNN", {"cell": [cell("GRUCell"), cell("LSTMCell")], "return_state": True}, [TIME], [("N", 5)] * 4),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 3}, [("N", 4, 7, 3)], ("N", 5, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 3, "return_sequences": True}, [("N", 4, 7, 6, 3)], ("N", 4, 5, 4, 2)),
    (
        "ConvLSTM3D",
        {"filters": 2, "kernel_size": 2, "return_state": True},
        [("N", 2, 3, 4, 5, 1)],
        [("N", 2, 3, 4, 2)] * 3,
    ),
    ("Bidirectional", {"layer": cell("LSTM")}, [TIME], ("N", 10)),
    ("Bidirectional", {"layer": cell("GRU", return_sequences=True), "merge_mode": "sum"}, [TIME], ("N", "time", 5)),
    ("Bidirectional", {"layer": cell("GRU"), "merge_mode": None}, [TIME], [("N", 5), ("N", 5)]),
    ("Bidirectional", {"layer": cell("LSTM", return_state=True)}, [TIME], [("N", 10), *[("N", 5)] * 4]),
    (
        "Bidirectional",
        {"layer": cell("LSTM"), "backward_layer": {"type": "GRU", "units": 2, "go_backwards": True}},
        [TIME],
        ("N", 7),
    ),
    ("TimeDistributed", {"layer": {"type": "Dense", "units": 4}}, [TIME], ("N", "time", 4)),
    ("TimeDistributed", {"layer": "Flatten"}, [("N", "time", 2, 3)], ("N", "time", 6)),
    (
        "TimeDistributed",
        {"layer": {"type": "Conv2D", "filters": 4, "kernel_size": 3}},
        [("N", "time", 8, 6, 3)],
        ("N", "time", 6, 4, 4),
    ),
    ("TimeDistributed", {"layer": cell("LSTM")}, [("N", 2, "time", 3)], ("N", 2, 5)),
    ("TimeDistributed", {"layer": "BatchNormalization"}, [SEQUENCE], SEQUENCE),
]


@pytest.mark.parametrize(("kind", "args", "inputs", "expected"), SHAPES, ids=[case[0] for case in SHAPES])
def test_shape(kind: str, args: dict[str, Any], inputs: list[Dims], expected: Any) -> None:
    dtype = "int64" if kind == "Embedding" else "float32"
    _, outputs = lower({"type": kind, **args}, *inputs, dtype=dtype)
    assert [v.shape for v in outputs] == (expected if isinstance(expected, list) else [expected])
    assert all(v.dtype == "float32" for v in outputs)


ELSEWHERE = (
    dict.fromkeys(
        (
            *("ActivityRegularization", "AlphaDropout", "CategoryEncoding", "Discretization", "GaussianDropout"),
            *("GaussianNoise", "GroupNormalization", "Identity", "Normalization", "RMSNormalization"),
            *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "SpectralNormalization", "UnitNormalization"),
        ),
        "vocabulary/layers/test_normalization.py",
    )
    | dict.fromkeys(
        (
            *(
                "AdaptiveAveragePooling1D",
                "AdaptiveAveragePooling2D",
                "AdaptiveAveragePooling3D",
                "AdaptiveMaxPooling1D",
            ),
            *("AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "AveragePooling3D", "Conv1DTranspose", "Conv2DTranspose"),
            *("Conv3D", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "GlobalAveragePooling3D"),
            *("GlobalMaxPooling3D", "MaxPooling3D", "SeparableConv1D", "SeparableConv2D"),
        ),
        "vocabulary/layers/test_convolution.py",
    )
    | dict.fromkeys(
        (
            *(
                "CenterCrop",
                "Cropping1D",
                "Cropping2D",
                "Cropping3D",
                "RandomBrightness",
                "RandomContrast",
                "RandomCrop",
            ),
            *("RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "Resizing", "UpSampling1D"),
            *("UpSampling3D", "ZeroPadding1D", "ZeroPadding3D"),
        ),
        "vocabulary/layers/test_image.py",
    )
    | dict.fromkeys(("MelSpectrogram", "STFTSpectrogram"), "vocabulary/layers/test_sound.py")
    | {"DateParts": "vocabulary/layers/test_dates.py", "Impute": "vocabulary/layers/test_missing.py"}
    | dict.fromkeys(("Log1p", "MinMaxScaling", "WindowScaling"), "vocabulary/layers/test_scaling.py")
    | {"FlipMean": "vocabulary/layers/test_flip_mean.py"}
    | {"ArcFace": "vocabulary/layers/test_arcface.py", "CRF": "vocabulary/layers/test_crf.py"}
    | dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell"), "vocabulary/layers/test_cells.py")
    | dict.fromkeys(("CutMix", "MixUp"), "vocabulary/layers/test_mixing.py")
    | {"Whitening": "vocabulary/layers/test_whitening.py"}
    | {"QuantileSteps": "vocabulary/layers/test_quantile_steps.py"}
    | dict.fromkeys(
        ("PiecewiseLinear", "RobustScaling", "SmoothClip"),
        "vocabulary/layers/test_embedded_numbers.py",
    )
    | dict.fromkeys(
        ("AdditiveAttention", "Attention", "EinsumDense", "GroupQueryAttention", "MultiHeadAttention"),
        "vocabulary/layers/test_attention.py",
    )
    | dict.fromkeys(("Hashing", "HashedCrossing"), "vocabulary/layers/test_hashing.py")
    | dict.fromkeys(("IntegerLookup", "StringLookup"), "vocabulary/layers/test_lookup.py")
    | {"TextVectorization": "vocabulary/layers/test_text.py"}
    | dict.fromkeys(("Parameter", "Constant"), "vocabulary/layers/test_tensors.py")
    | dict.fromkeys(
        (
            *("ClassToken", "RelativePositionBias", "ReversibleEmbedding", "RotaryEmbedding", "SinePositionEncoding"),
            "TokenAndPositionEmbedding",
        ),
        "vocabulary/layers/test_positions.py",
    )
    | dict.fromkeys(("DotInteraction",), "vocabulary/layers/test_einsum.py")
    | dict.fromkeys(("MemberDense", "Members"), "vocabulary/layers/test_members.py")
    | dict.fromkeys(("Formula",), "language/test_formulas.py")
    | dict.fromkeys(("GetItem",), "vocabulary/operations/test_get_item.py")
    | dict.fromkeys(("Onnx",), "vocabulary/onnx_files/test_layer.py")
    | dict.fromkeys(
        ("GatherNodes", "SegmentMax", "SegmentMean", "SegmentSoftmax", "SegmentSum"),
        "vocabulary/layers/test_merging.py",
    )
    | dict.fromkeys(("DepthToSpace", "Patches", "SpaceToDepth"), "vocabulary/layers/test_reshaping.py")
    | dict.fromkeys(("LayerScale", "StochasticDepth"), "vocabulary/layers/test_regularization.py")
)
"""Layers with shape tests in another file."""


def test_every_layer_has_a_shape_case() -> None:
    assert {case[0] for case in SHAPES} | ELSEWHERE.keys() == {name for name in LAYERS.primary() if "." not in name}
    for kind, file in ELSEWHERE.items():
        assert f'"{kind}"' in (TESTS / file).read_text()


WEIGHTS: list[tuple[dict[str, Any], Dims, dict[str, Dims]]] = [
    ({"type": "PReLU"}, IMAGE, {"alpha": (8, 6, 3)}),
    ({"type": "PReLU", "shared_axes": [1, 2]}, IMAGE, {"alpha": (1, 1, 3)}),
    ({"type": "Dense", "units": 4}, ("N", 3), {"kernel": (3, 4), "bias": (4,)}),
    ({"type": "Conv1D", "filters": 4, "kernel_size": 5}, TIME, {"kernel": (5, 3, 4), "bias": (4,)}),
    (
        {"type": "Conv2D", "filters": 6, "kernel_size": [2, 3], "groups": 3},
        IMAGE,
        {"kernel": (2, 3, 1, 6), "bias": (6,)},
    ),
    (cell("LSTM"), TIME, {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}),
    (cell("GRU"), TIME, {"kernel": (3, 15), "recurrent_kernel": (5, 15), "bias": (2, 15)}),
    (cell("GRU", reset_after=False), TIME, {"kernel": (3, 15), "recurrent_kernel": (5, 15), "bias": (15,)}),
    (cell("SimpleRNN"), TIME, {"kernel": (3, 5), "recurrent_kernel": (5, 5), "bias": (5,)}),
    (
        {"type": "RNN", "cell": cell("GRUCell", use_bias=False)},
        TIME,
        {"kernel": (3, 15), "recurrent_kernel": (5, 15)},
    ),
    (
        {"type": "RNN", "cell": [cell("SimpleRNNCell", use_bias=False), cell("LSTMCell", use_bias=False)]},
        TIME,
        {
            "0/kernel": (3, 5),
            "0/recurrent_kernel": (5, 5),
            "1/kernel": (5, 20),
            "1/recurrent_kernel": (5, 20),
        },
    ),
    (
        {"type": "ConvLSTM2D", "filters": 2, "kernel_size": [3, 2]},
        ("N", 4, 7, 6, 3),
        {"kernel": (3, 2, 3, 8), "recurrent_kernel": (3, 2, 2, 8), "bias": (8,)},
    ),
    (
        {"type": "Bidirectional", "layer": cell("SimpleRNN", use_bias=False)},
        TIME,
        {
            "forward/kernel": (3, 5),
            "forward/recurrent_kernel": (5, 5),
            "backward/kernel": (3, 5),
            "backward/recurrent_kernel": (5, 5),
        },
    ),
    (
        {"type": "TimeDistributed", "layer": {"type": "Dense", "units": 4}},
        TIME,
        {"kernel": (3, 4), "bias": (4,)},
    ),
    (
        {"type": "BatchNormalization"},
        IMAGE,
        {"gamma": (3,), "beta": (3,), "moving_mean": (3,), "moving_variance": (3,)},
    ),
    ({"type": "LayerNormalization", "axis": [1, 3]}, IMAGE, {"gamma": (8, 3), "beta": (8, 3)}),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), WEIGHTS, ids=[case[0]["type"] for case in WEIGHTS])
def test_weights(layer: dict[str, Any], shape: Dims, expected: dict[str, Dims]) -> None:
    graph, _ = lower(layer, shape)
    assert weights(graph) == expected
    for name, param in graph.params.items():
        assert param.state == ("moving" in name)
        logical = np.arange(param.size, dtype=np.float32).reshape(param.shape)
        stored = param.layout.pack(logical)
        assert stored.shape == param.stored_shape == graph.values[name].shape
        np.testing.assert_array_equal(param.layout.unpack(stored, param.shape), logical)


def test_layouts_are_onnx() -> None:
    graph, _ = lower(cell("LSTM"), TIME)
    kernel = graph.params["y/kernel"]
    logical = np.arange(60.0).reshape(3, 20)
    i, f, c, o = np.split(logical, 4, axis=1)
    np.testing.assert_array_equal(kernel.layout.pack(logical), np.concatenate([i, o, f, c], axis=1).T[None])
    graph, _ = lower({"type": "Conv2D", "filters": 4, "kernel_size": 2}, IMAGE)
    logical = np.arange(48.0).reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(graph.params["y/kernel"].layout.pack(logical), np.moveaxis(logical, (3, 2), (0, 1)))


def test_forget_bias_starts_at_one() -> None:
    random = np.random.default_rng(0)
    for flag, expected in ((True, [0.0] * 5 + [1.0] * 5 + [0.0] * 10), (False, [0.0] * 20)):
        graph, _ = lower(cell("LSTM", unit_forget_bias=flag), TIME)
        bias = graph.params["y/bias"]
        assert bias.initializer(bias.shape, random).tolist() == expected


def test_regularizers_and_trainable_reach_the_weights() -> None:
    layer = cell("LSTM", kernel_regularizer="L1", recurrent_regularizer={"type": "L2", "l2": 0.5})
    graph, _ = lower(layer, TIME, trainable=False)
    kinds = {n: type(p.regularizer).__name__ for n, p in graph.params.items()}
    assert kinds == {"y/kernel": "L1", "y/recurrent_kernel": "L2", "y/bias": "NoneType"}
    assert not any(p.trainable for p in graph.params.values())


def test_frozen_batch_normalization_uses_moving_statistics() -> None:
    for trainable in (True, False):
        graph, _ = lower("BatchNormalization", ("N", 3), trainable=trainable)
        assert graph.nodes[-1].attrs["training_mode"] == int(trainable)


def test_arguments_without_effect_are_accepted() -> None:
    LAYERS.parse(cell("LSTM", unroll=True, use_cudnn=False, stateful=False, dtype="float32"))
    LAYERS.parse({"type": "BatchNormalization", "synchronized": True, "renorm_momentum": 0.9})
    LAYERS.parse({"type": "Bidirectional", "layer": cell("GRU", unroll=True, dtype="float16")})


@pytest.mark.parametrize("name", LAYERS.names())
def test_aliases_are_keras_names(name: str) -> None:
    assert LAYERS.get(name) is not None
    module, _, last = name.rpartition(".")
    assert module.split(".")[0] in ("ops", "onnx") or (not module and last[0].isupper())
