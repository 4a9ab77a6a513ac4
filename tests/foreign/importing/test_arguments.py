"""Arguments as a person writes them: without defaults, in their shortest form."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.foreign.importing.steps import default, shorten_layer, shorten_object
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.vocabulary.losses import LOSSES

GLOROT = {"type": "GlorotUniform", "seed": None}
HE: dict[str, Any] = {"type": "HeNormal"}
HE_7 = HE | {"seed": 7}
KERAS_CONV = {
    "filters": 3,
    "kernel_size": [3, 3],
    "strides": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "groups": 1,
    "activation": "linear",
    "use_bias": True,
    "kernel_initializer": GLOROT,
    "bias_initializer": {"type": "Zeros"},
    "kernel_regularizer": None,
    "dtype": "float32",
}
LSTM = {"type": "LSTM", "units": 4, "activation": "tanh", "kernel_initializer": GLOROT, "unroll": False, "dropout": 0.0}


@pytest.mark.parametrize(
    ("kind", "given", "short"),
    [
        ("Conv2D", KERAS_CONV, {"filters": 3, "kernel_size": 3, "padding": "same"}),
        ("Conv2D", KERAS_CONV | {"kernel_size": [1, 7]}, {"filters": 3, "kernel_size": [1, 7], "padding": "same"}),
        ("Dense", {"units": 2, "kernel_initializer": HE | {"seed": None}}, {"units": 2, "kernel_initializer": "he_normal"}),
        ("Dense", {"units": 2, "kernel_initializer": HE_7}, {"units": 2, "kernel_initializer": HE_7}),
        ("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}, {}),
        ("MaxPooling2D", {"pool_size": [3, 3], "strides": [2, 2]}, {"pool_size": 3, "strides": 2}),
        ("MaxPooling2D", {"pool_size": [3, 3], "strides": [3, 3]}, {"pool_size": 3}),
        ("ZeroPadding2D", {"padding": [[3, 3], [3, 3]]}, {"padding": 3}),
        ("ZeroPadding2D", {"padding": [[0, 1], [0, 1]]}, {"padding": [[0, 1], [0, 1]]}),
        ("Bidirectional", {"layer": LSTM, "merge_mode": "concat"}, {"layer": {"type": "LSTM", "units": 4}}),
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4, "value_dim": 4}, {"num_heads": 2, "key_dim": 4}),
        ("Dropout", {"rate": 0.07500000000000001, "seed": None, "noise_shape": None}, {"rate": 0.075}),
        ("ReLU", {"max_value": 6.0, "negative_slope": 0.0}, {"max_value": 6.0}),
        ("ops.sum", {"axis": -1, "keepdims": False}, {"axis": -1}),
        ("Dense", {"units": "many", "activation": "linear"}, {"units": "many", "activation": "linear"}),
    ],
)  # fmt: skip
def test_arguments_of_layers(kind: str, given: dict[str, Any], short: dict[str, Any]) -> None:
    assert shorten_layer(kind, given, {}) == short


def test_defaults_are_plain_values() -> None:
    assert default("Conv2D", "strides") == 1
    assert default("Conv2D", "activation") is None
    assert default("Conv2D", "filters") is ...


def test_losses_and_optimizers() -> None:
    plain = {"type": "SparseCategoricalCrossentropy", "from_logits": False}
    assert shorten_object(LOSSES, plain) == "sparse_categorical_crossentropy"
    assert shorten_object(LOSSES, plain | {"from_logits": True}) == plain | {"from_logits": True}
    assert shorten_object(OPTIMIZERS, {"type": "RMSprop", "rho": 0.9}) == "rmsprop"
