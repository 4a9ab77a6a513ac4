"""Networks whose weights come from PyTorch: layers, and names in the file. ``make_torch_weights.py`` has the modules."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Case(NamedTuple):
    """A network with one input ``x`` and one head ``y``.

    Attributes:
        shape: of the input, channels last.
        layers: of the spec.
        map: our names to PyTorch's.
        channels: where PyTorch has the channels of input and output: first (of images) or last.
    """

    shape: list[int | None]
    layers: list[dict[str, Any]]
    map: Mapping[str, str] = MappingProxyType({})
    channels: str = "last"
    dtype: str = "float32"
    blocks: Mapping[str, Any] = MappingProxyType({})


CASES: dict[str, Case] = {
    "linear": Case(
        [5],
        [
            {"name": "features", "type": "Dense", "units": 4, "activation": "relu"},
            {"name": "act", "type": "PReLU"},
            {"name": "y", "type": "Dense", "units": 3, "use_bias": False},
        ],
        {"features": "0", "act": "2", "y/*": "3.*"},
    ),
    "images": Case(
        [6, 5, 4],
        [
            {"name": "a", "type": "Conv2D", "filters": 6, "kernel_size": [3, 2], "groups": 2},
            {"name": "norm", "type": "BatchNormalization", "epsilon": 1e-5},
            {"name": "deep", "type": "DepthwiseConv2D", "kernel_size": 2, "depth_multiplier": 2},
            {"name": "group", "type": "GroupNormalization", "groups": 3, "epsilon": 1e-5},
            {"name": "up", "type": "Conv2DTranspose", "filters": 4, "kernel_size": 3, "strides": 2},
            {"name": "apart", "type": "SeparableConv2D", "filters": 3, "kernel_size": 2},
            {"name": "y", "type": "Conv2D", "filters": 2, "kernel_size": 1},
        ],
        {
            "apart/depthwise_kernel": "net.5.weight",
            "apart/pointwise_kernel": "net.6.weight",
            "apart/bias": "net.6.bias",
            "a/*": "net.0.*",
            "norm": "net.1",
            "deep": "net.2",
            "group": "net.3",
            "up": "net.4",
            "y": "net.7",
        },
        channels="first",
    ),
    "lines": Case(
        [7, 3],
        [
            {"name": "a", "type": "Conv1D", "filters": 4, "kernel_size": 3, "dilation_rate": 2},
            {"name": "norm", "type": "LayerNormalization", "epsilon": 1e-5},
            {"name": "y", "type": "Conv1DTranspose", "filters": 2, "kernel_size": 3},
        ],
        channels="first",
    ),
    "volumes": Case(
        [3, 4, 3, 2],
        [
            {"name": "a", "type": "Conv3D", "filters": 3, "kernel_size": 2},
            {"name": "y", "type": "Conv3DTranspose", "filters": 2, "kernel_size": 2},
        ],
        channels="first",
    ),
    "lstm": Case(
        [4, 3],
        [
            {
                "name": "low",
                "type": "Bidirectional",
                "layer": {"type": "LSTM", "units": 2, "return_sequences": True},
            },
            {
                "name": "high",
                "type": "Bidirectional",
                "layer": {"type": "LSTM", "units": 2, "return_sequences": True},
            },
            {"name": "y", "type": "TimeDistributed", "layer": {"type": "Dense", "units": 2}},
        ],
        {"low": "rnn", "high/*": "rnn:1", "y": "fc"},
    ),
    "gru": Case(
        [4, 3],
        [
            {"name": "gru", "type": "GRU", "units": 3, "return_sequences": True},
            {"name": "rnn", "type": "SimpleRNN", "units": 2, "return_sequences": True},
            {
                "name": "y",
                "type": "RNN",
                "cell": [{"type": "LSTMCell", "units": 2}, {"type": "LSTMCell", "units": 2}],
                "return_sequences": True,
            },
        ],
        {"y": "stack"},
    ),
    "text": Case(
        [5],
        [
            {"name": "words", "type": "Embedding", "input_dim": 9, "output_dim": 6},
            {"name": "place", "type": "PositionEmbedding", "sequence_length": 5, "inputs": "words"},
            {"name": "both", "type": "Add", "inputs": ["words", "place"]},
            {"name": "layer", "block": "encoder", "repeat": 2},
            {
                "name": "attend",
                "type": "MultiHeadAttention",
                "num_heads": 3,
                "key_dim": 2,
                "inputs": ["layer", "layer"],
            },
            {"name": "y", "type": "Dense", "units": 2},
        ],
        {
            "words": "bert.embeddings.word_embeddings",
            "place": "bert.embeddings.position",
            "layer_1/attend/attention_output/*": "bert.encoder.0.output.*",
            "layer_1/attend/*": "bert.encoder.0.self.*",
            "layer_1/*": "bert.encoder.0.*",
            "layer_2/attend/attention_output/*": "bert.encoder.1.output.*",
            "layer_2/attend/*": "bert.encoder.1.self.*",
            "layer_2/*": "bert.encoder.1.*",
            "*": "head.*",
        },
        dtype="int64",
        blocks={
            "encoder": {
                "inputs": ["x"],
                "layers": [
                    {
                        "name": "attend",
                        "type": "MultiHeadAttention",
                        "num_heads": 2,
                        "key_dim": 3,
                        "inputs": ["x", "x"],
                    },
                    {"name": "sum", "type": "Add", "inputs": ["x", "attend"]},
                    {"name": "norm", "type": "LayerNormalization", "epsilon": 1e-12},
                ],
                "outputs": ["norm"],
            }
        },
    ),
    "across": Case(
        [4, 6],
        [
            {"name": "narrow", "type": "Dense", "units": 4, "use_bias": False, "inputs": "x"},
            {
                "name": "y",
                "type": "MultiHeadAttention",
                "num_heads": 2,
                "key_dim": 3,
                "inputs": ["x", "narrow", "narrow"],
            },
        ],
    ),
}
