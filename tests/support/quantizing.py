"""Small networks of each kind that is quantized in its own way, with rows to train and to judge them on."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = dict[str, np.ndarray[Any, Any]]
Case = tuple[dict[str, Any], Rows, Rows]
TRAINING = {"optimizer": {"type": "Adam", "learning_rate": 0.01}, "epochs": 6, "batch_size": 16, "seed": 3}
WORDS = ["good", "fine", "great", "lovely", "superb", "bad", "awful", "poor", "dull", "grim"]
WORDS += ["a", "the", "film", "story", "plot", "actor", "of", "and"]


def network(name: str, inputs: Any, layers: Any, outputs: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": name,
        "inputs": inputs,
        "layers": layers,
        "outputs": outputs,
        "training": TRAINING,
    }


def dense() -> Case:
    """Four numbers, of which the last one is always 0; a target in its own unit beside the classes."""
    random = np.random.default_rng(1)
    kind = random.integers(0, 3, 240)
    x = random.normal(size=(240, 4)) + 2 * np.eye(3, 4)[kind]
    x[:, 3] = 0
    layers = [
        {"name": "hidden", "type": "Dense", "units": 320, "activation": "relu"},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
        {"name": "price", "type": "Dense", "units": 1, "inputs": "hidden"},
    ]
    outputs = {
        "kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "labels": ["a", "b", "c"]},
        "price": {"loss": "mean_squared_error", "scale": "standard", "metrics": ["mae"]},
    }
    y = {"kind": kind, "price": (250_000 + 40_000 * x[:, :1]).astype(np.float32)}
    return network("dense", {"x": {"shape": [4]}}, layers, outputs), {"x": x.astype(np.float32)}, y


def convolution() -> Case:
    """Pictures whose classes are their brightest channels, normalized by batches."""
    random = np.random.default_rng(2)
    kind = random.integers(0, 3, 160)
    image = random.normal(size=(160, 10, 10, 3)) + 1.5 * np.eye(3)[kind][:, None, None]
    layers = [
        {"name": "first", "type": "Conv2D", "filters": 8, "kernel_size": 3, "use_bias": False},
        {"name": "even", "type": "BatchNormalization"},
        {"name": "act", "type": "ReLU"},
        {"name": "smaller", "type": "MaxPooling2D"},
        {"name": "second", "type": "SeparableConv2D", "filters": 8, "kernel_size": 3, "padding": "same"},
        {"name": "plus", "type": "Add", "inputs": ["second", "smaller"]},
        {"name": "pooled", "type": "GlobalAveragePooling2D"},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    outputs = {"kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}}
    spec = network("convolution", {"image": {"shape": [10, 10, 3]}}, layers, outputs)
    return spec, {"image": image.astype(np.float32)}, {"kind": kind}


def recurrent() -> Case:
    """Ids of words in order, embedded, read forwards and backwards, with padding."""
    random = np.random.default_rng(3)
    ids = random.integers(1, 40, (200, 9))
    ids[np.arange(9) >= random.integers(4, 10, 200)[:, None]] = 0
    layers = [
        {"name": "look", "type": "Embedding", "input_dim": 40, "output_dim": 32, "mask_zero": True},
        {"name": "read", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 12}},
        {"name": "high", "type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
    outputs = {"high": {"loss": "binary_crossentropy", "metrics": ["accuracy", "auc"]}}
    y = {"high": (ids[:, :4].sum(1) > 80).astype(np.int64)}
    return network("recurrent", {"ids": {"shape": [9], "dtype": "int64"}}, layers, outputs), {"ids": ids}, y


def text() -> Case:
    """Texts as they are: the file has their words."""
    random = np.random.default_rng(4)
    good = random.integers(0, 2, 160)
    lines = [
        " ".join([*random.choice(WORDS[:5] if g else WORDS[5:10], 2), *random.choice(WORDS[10:], 5)]) for g in good
    ]
    layers = [
        {"name": "words", "type": "TextVectorization", "max_tokens": 20, "output_mode": "multi_hot"},
        {"name": "hidden", "type": "Dense", "units": 64, "activation": "relu"},
        {"name": "good", "type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
    outputs = {"good": {"loss": "binary_crossentropy", "metrics": ["accuracy"], "labels": ["no", "yes"]}}
    x = np.array(lines, object)[:, None]
    return network("text", {"line": {"dtype": "string"}}, layers, outputs), {"line": x}, {"good": good}


def attention() -> Case:
    """A block of a transformer on sequences of numbers."""
    random = np.random.default_rng(5)
    x = random.normal(size=(160, 6, 32)).astype(np.float32)
    layers = [
        {"name": "look", "type": "MultiHeadAttention", "num_heads": 4, "key_dim": 8, "inputs": ["x", "x"]},
        {"name": "sum", "type": "Add", "inputs": ["look", "x"]},
        {"name": "norm", "type": "LayerNormalization"},
        {"name": "mixed", "type": "Dense", "units": 48, "activation": "gelu"},
        {"name": "mean", "type": "GlobalAveragePooling1D"},
        {"name": "far", "type": "Dense", "units": 1},
    ]
    outputs = {"far": {"loss": "mean_squared_error", "metrics": ["mae"]}}
    y = {"far": (x[:, :, 0].sum(1, keepdims=True) / 2 + 3).astype(np.float32)}
    return network("attention", {"x": {"shape": [6, 32]}}, layers, outputs), {"x": x}, y


CASES = (dense, convolution, recurrent, text, attention)
