"""Files in the form of Keras 2: a configuration and weights in one `.h5`, written here by hand as Keras 2.15 wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Layers = list[dict[str, Any]]


def initializer(name: str) -> dict[str, Any]:
    return {"class_name": name, "config": {} if name in ("Zeros", "Ones") else {"seed": None}}


def layer(kind: str, name: str, source: str | None = None, **config: Any) -> dict[str, Any]:
    """A layer of a configuration; `source` is the layer that it reads, in a functional model."""
    found = {"class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **config}}
    if source is None:
        return found
    return {**found, "name": name, "inbound_nodes": [[[source, 0, 0, {}]]] if source else []}


KERNEL = {
    "use_bias": True,
    "kernel_initializer": initializer("GlorotUniform"),
    "bias_initializer": initializer("Zeros"),
    "kernel_regularizer": None,
    "bias_regularizer": None,
    "activity_regularizer": None,
    "kernel_constraint": None,
    "bias_constraint": None,
}
CONVOLUTION = {
    "strides": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "groups": 1,
}
NORMAL = {
    "axis": [3],
    "momentum": 0.99,
    "epsilon": 0.001,
    "center": True,
    "scale": True,
    "beta_initializer": initializer("Zeros"),
    "gamma_initializer": initializer("Ones"),
    "moving_mean_initializer": initializer("Zeros"),
    "moving_variance_initializer": initializer("Ones"),
    "beta_regularizer": None,
    "gamma_regularizer": None,
    "beta_constraint": None,
    "gamma_constraint": None,
}
POOL = {"pool_size": [2, 2], "padding": "valid", "strides": [2, 2], "data_format": "channels_last"}
RECURRENT = {
    "return_sequences": False,
    "return_state": False,
    "go_backwards": False,
    "stateful": False,
    "unroll": False,
    "time_major": False,
    "units": 3,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "kernel_initializer": initializer("GlorotUniform"),
    "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
    "bias_initializer": initializer("Zeros"),
    **dict.fromkeys(("kernel", "recurrent", "bias", "activity"), None),
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "implementation": 2,
}
RECURRENT = {
    **{key: value for key, value in RECURRENT.items() if value is not None},
    **{f"{part}_regularizer": None for part in ("kernel", "recurrent", "bias", "activity")},
    **{f"{part}_constraint": None for part in ("kernel", "recurrent", "bias")},
}


def pictures() -> tuple[dict[str, Any], dict[str, list[tuple[str, tuple[int, ...]]]], dict[str, Any]]:
    """A functional model with a Sequential within: its configuration, the weights of each layer, its training."""
    inner = [
        layer("InputLayer", "conv2d_1_input", batch_input_shape=[None, 6, 6, 4], sparse=False, ragged=False),
        layer("Conv2D", "conv2d_1", filters=3, kernel_size=[3, 3], activation="relu", **CONVOLUTION, **KERNEL),
        layer("GlobalAveragePooling2D", "global_average_pooling2d", data_format="channels_last", keepdims=False),
    ]
    layers = [
        layer("InputLayer", "image", "", batch_input_shape=[None, 12, 12, 1], sparse=False, ragged=False),
        layer("Conv2D", "conv2d", "image", filters=4, kernel_size=[3, 3], activation="linear", **CONVOLUTION, **KERNEL),
        layer("BatchNormalization", "batch_normalization", "conv2d", **NORMAL),
        layer("LeakyReLU", "leaky_re_lu", "batch_normalization", alpha=0.10000000149011612),
        layer("MaxPooling2D", "max_pooling2d", "leaky_re_lu", **POOL),
        {
            "class_name": "Sequential",
            "config": {"name": "tail", "layers": inner},
            "name": "tail",
            "inbound_nodes": [[["max_pooling2d", 0, 0, {}]]],
        },
        layer("Dense", "digit", "tail", units=5, activation="softmax", **KERNEL),
    ]
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [["digit", 0, 0]]}
    config = {"class_name": "Functional", "config": {"name": "pictures", "trainable": True, "layers": layers, **ends}}
    normal = [(f"batch_normalization/{part}", (4,)) for part in ("gamma", "beta", "moving_mean", "moving_variance")]
    weights = {
        "conv2d": [("conv2d/kernel", (3, 3, 1, 4)), ("conv2d/bias", (4,))],
        "batch_normalization": normal,
        "tail": [("conv2d_1/kernel", (3, 3, 4, 3)), ("conv2d_1/bias", (3,))],
        "digit": [("digit/kernel", (3, 5)), ("digit/bias", (5,))],
    }
    adam = {"name": "Adam", "learning_rate": 0.0010000000474974513, "decay": 0.0, "beta_1": 0.9, "beta_2": 0.999}
    accuracy = {"name": "accuracy", "dtype": "float32", "fn": "sparse_categorical_accuracy"}
    training = {
        "loss": "sparse_categorical_crossentropy",
        "metrics": [[{"class_name": "MeanMetricWrapper", "config": accuracy}]],
        "weighted_metrics": None,
        "loss_weights": None,
        "optimizer_config": {"class_name": "Adam", "config": {**adam, "epsilon": 1e-3, "amsgrad": False}},
    }
    return config, weights, training


def words() -> tuple[dict[str, Any], dict[str, list[tuple[str, tuple[int, ...]]]], dict[str, Any]]:
    """A Sequential model with a mask and a wrapper."""
    embedding = {"input_dim": 11, "output_dim": 4, "mask_zero": True, "input_length": 7}
    uniform = {"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05, "seed": None}}
    none = dict.fromkeys(("embeddings_regularizer", "activity_regularizer", "embeddings_constraint"))
    lstm = layer("LSTM", "lstm", **RECURRENT, unit_forget_bias=True)
    layers = [
        layer("InputLayer", "embedding_input", batch_input_shape=[None, 7], sparse=False, ragged=False),
        layer("Embedding", "embedding", **embedding, embeddings_initializer=uniform, **none),
        layer("Bidirectional", "bidirectional", layer=lstm, merge_mode="concat"),
        layer("Dropout", "dropout", rate=0.0, noise_shape=None, seed=None),
        layer("Dense", "dense", units=1, activation="sigmoid", **KERNEL),
    ]
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}
    read = [
        (f"bidirectional/{way}_lstm/lstm_cell/{role}", shape)
        for way in ("forward", "backward")
        for role, shape in (("kernel", (4, 12)), ("recurrent_kernel", (3, 12)), ("bias", (12,)))
    ]
    weights = {
        "embedding": [("embedding/embeddings", (11, 4))],
        "bidirectional": read,
        "dropout": [],
        "dense": [("dense/kernel", (6, 1)), ("dense/bias", (1,))],
    }
    sgd = {"name": "SGD", "learning_rate": 0.1, "decay": 0.0, "momentum": 0.0, "nesterov": False}
    training = {
        "loss": "binary_crossentropy",
        "metrics": ["accuracy"],
        "weighted_metrics": None,
        "loss_weights": None,
        "optimizer_config": {"class_name": "SGD", "config": sgd},
    }
    return config, weights, training


LEGACY = {"keras2_pictures": pictures, "keras2_words": words}


def write(path: Path, name: str, arrays: dict[str, np.ndarray], *, for_keras_3: bool) -> None:
    """The file of a model with these weights, by their names; of a wrapped layer Keras 3 cannot read this form."""
    config, weights, training = LEGACY[name]()
    if for_keras_3:
        for item in config["config"]["layers"]:
            if "layer" in item["config"]:
                item["config"]["layer"] |= {"module": "keras.layers", "registered_name": None}
                del item["config"]["layer"]["config"]["time_major"]
    with h5py.File(path, "w", track_order=False) as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.15.0", b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        group.attrs["keras_version"], group.attrs["backend"] = b"2.15.0", b"tensorflow"
        group.attrs["layer_names"] = [layer.encode() for layer in weights]
        for layer, parts in weights.items():
            own = group.create_group(layer)
            own.attrs["weight_names"] = [f"{part}:0".encode() for part, _ in parts]
            for part, _ in parts:
                own.create_dataset(f"{part}:0", data=arrays[part])


def rows(name: str, rng: np.random.Generator) -> tuple[Any, Any]:
    if name == "keras2_pictures":
        return rng.normal(size=(4, 12, 12, 1)), rng.integers(0, 5, 4)
    found = rng.integers(1, 11, (4, 7))
    found[1, 5:] = found[3, 2:] = 0
    return found.astype("int32"), rng.integers(0, 2, (4, 1))
