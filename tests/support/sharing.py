"""Networks and rows for several workers: what is easily computed differently when others have some of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]


def spec_of(inputs: Any, layers: Any, outputs: Any, **training: Any) -> dict[str, Any]:
    training = {"optimizer": {"type": "SGD", "learning_rate": 0.1}, "epochs": 2, "batch_size": 8, "seed": 4} | training
    return {"graphspec": 1, "name": "w", "inputs": inputs, "layers": layers, "outputs": outputs, "training": training}


def images() -> tuple[dict[str, Any], Rows]:
    """Return a case with BatchNormalization, dropout, a penalty, class weights, a last batch of one row, a global norm."""
    layers = [
        {"type": "Conv2D", "filters": 4, "kernel_size": 3, "use_bias": False},
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
        {"type": "Flatten"},
        {"type": "Dropout", "rate": 0.3},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax", "kernel_regularizer": "l2"},
    ]
    head = {"loss": "sparse_categorical_crossentropy", "class_weight": {1: 3.0}}
    head["metrics"] = ["accuracy", "sparse_top_k_categorical_accuracy"]
    optimizer = {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "global_clipnorm": 1.0}
    spec = spec_of({"x": {"shape": [5, 5, 2]}}, layers, {"kind": head}, optimizer=optimizer)
    random = np.random.default_rng(0)
    return spec, ({"x": random.standard_normal((33, 5, 5, 2))}, {"kind": random.integers(0, 3, 33)}, None)


def sentences() -> tuple[dict[str, Any], Rows]:
    """Return a case with masks, sample weights of time steps, two heads, recurrent dropout, frozen weights."""
    layers = [
        {"name": "embed", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True},
        {"name": "frozen", "type": "Dense", "units": 5, "trainable": False},
        {"name": "read", "type": "GRU", "units": 6, "return_sequences": True, "dropout": 0.2},
        {"name": "tag", "type": "Dense", "units": 3, "activation": "softmax"},
        {"name": "last", "type": "LSTM", "units": 4, "inputs": "read"},
        {"name": "score", "type": "Dense", "units": 1},
    ]
    outputs = {
        "tag": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "score": {"loss": "mse", "metrics": ["mae", "r2_score"], "weight": 0.5},
    }
    spec = spec_of({"ids": {"shape": [None], "dtype": "int64"}}, layers, outputs, optimizer="adam")
    random = np.random.default_rng(1)
    ids = random.integers(1, 9, (21, 6)) * (np.arange(6) < random.integers(1, 7, (21, 1)))
    targets = {"tag": random.integers(0, 3, (21, 6)), "score": random.standard_normal(21)}
    weights = {"tag": random.random((21, 6)), "score": random.random(21)}
    return spec, ({"ids": ids}, targets, weights)


def speech() -> tuple[dict[str, Any], Rows]:
    """Return a case with CTC, lengths, and a metric of label sequences."""
    layers = [
        {"type": "SimpleRNN", "units": 5, "return_sequences": True},
        {"name": "text", "type": "Dense", "units": 4},
    ]
    outputs = {"text": {"loss": "ctc", "metrics": ["edit_distance"]}}
    spec = spec_of({"x": {"shape": [9, 3]}}, layers, outputs, optimizer={"type": "Lamb", "learning_rate": 0.01})
    random = np.random.default_rng(2)
    labels = random.integers(1, 4, (13, 3)) * (np.arange(3) < random.integers(1, 4, (13, 1)))
    return spec, ({"x": random.standard_normal((13, 9, 3))}, {"text": labels}, None)


def records() -> tuple[dict[str, Any], Rows]:
    """Return a case whose layers and head learn from raw records: the workers get prepared rows."""
    columns = {"town": {"type": "category", "embed": 2}, "spent": "number", "remark": "text"}
    layers = [{"name": "mood", "type": "Dense", "units": 3, "activation": "softmax"}]
    outputs = {"mood": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}}
    spec = spec_of({"visit": {"columns": columns}}, layers, outputs, optimizer="adam")
    random = np.random.default_rng(4)
    spent = np.where(random.random(23) < 0.2, np.nan, random.normal(50, 20, 23)).astype(np.float32)
    texts = {"town": ["Rome", "Oslo", "", "Bonn"], "remark": ["good", "bad coffee", "", "good coffee"]}
    x = {name: random.choice(np.array(values, object), 23) for name, values in texts.items()}
    return spec, ({**x, "spent": spent}, {"mood": np.array(["sad", "happy", "calm"] * 8, object)[:23]}, None)


def pairs_of_rows() -> tuple[dict[str, Any], Rows]:
    """Return a case whose rows are compared with rows of other workers, with spectral normalization, and one odd row."""
    layers = [
        {"type": "SpectralNormalization", "layer": {"type": "Dense", "units": 6, "activation": "tanh"}},
        {"name": "place", "type": "UnitNormalization"},
    ]
    outputs = {"place": {"loss": "circle"}}
    spec = spec_of({"x": {"shape": [5]}}, layers, outputs, optimizer={"type": "Adafactor", "learning_rate": 0.01})
    random = np.random.default_rng(5)
    return spec, ({"x": random.standard_normal((25, 5))}, {"place": random.integers(0, 3, 25)}, None)


def averaged() -> tuple[dict[str, Any], Rows]:
    """Return a case whose callbacks exchange weights and averages, restore the best weights, and lower the rate."""
    layers = [
        {"type": "Dense", "units": 7, "activation": "relu", "kernel_constraint": {"type": "MaxNorm", "max_value": 1.0}},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    callbacks = [
        {"type": "SwapEMAWeights"},
        {"type": "ReduceLROnPlateau", "patience": 1, "min_delta": 10.0},
        {"type": "EarlyStopping", "patience": 1, "restore_best_weights": True, "start_from_epoch": 2},
    ]
    optimizer = {"type": "AdamW", "use_ema": True, "ema_momentum": 0.8, "weight_decay": 0.01, "clipnorm": 0.5}
    optimizer |= {"gradient_accumulation_steps": 2}
    training = {"optimizer": optimizer, "callbacks": callbacks, "epochs": 4}
    spec = spec_of({"x": {"shape": [4]}}, layers, {"y": {"loss": "mse", "metrics": ["mae"]}}, **training)
    random = np.random.default_rng(6)
    return spec, ({"x": random.standard_normal((29, 4))}, {"y": random.standard_normal(29)}, None)


def catalogue() -> tuple[dict[str, Any], Rows]:
    """Return a case with gradients that are kept by rows: of a long weight, and of a sparse one that is looked up twice."""
    layers = [
        {"name": "user", "type": "Embedding", "input_dim": 8200, "output_dim": 64, "inputs": "user_id"},
        {"name": "item", "type": "Embedding", "input_dim": 40, "output_dim": 3, "sparse": True, "inputs": "item_id"},
        {"name": "other", "share": "item", "inputs": "other_id"},
        {"type": "Concatenate", "inputs": ["user", "item", "other"]},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    inputs = {name: {"shape": [], "dtype": "int64"} for name in ("user_id", "item_id", "other_id")}
    spec = spec_of(inputs, layers, {"y": {"loss": "mse", "metrics": ["mae"]}}, optimizer="adam")
    random = np.random.default_rng(8)
    ids = {"user_id": random.choice(8200, 9), "item_id": np.arange(40), "other_id": np.arange(40)}
    x = {name: random.choice(values, 33) for name, values in ids.items()}
    return spec, (x, {"y": random.standard_normal(33)}, None)


CASES = {case.__name__: case for case in (images, sentences, speech, records, pairs_of_rows, averaged, catalogue)}


def with_optimizer(name: str) -> tuple[dict[str, Any], Rows]:
    """Return a small case with another optimizer, for two steps."""
    spec, rows = images()
    spec["training"] |= {"optimizer": {"type": name, "learning_rate": 0.01, "weight_decay": 0.01}, "epochs": 1}
    return spec, tuple(None if part is None else {k: a[:16] for k, a in part.items()} for part in rows)  # type: ignore[return-value]
