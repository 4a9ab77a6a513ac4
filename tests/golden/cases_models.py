"""The golden cases of whole models with heads; data only."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, PADDED, Case, spec

Args = dict[str, Any]


def model_cases() -> list[Case]:
    """Whole models: losses of every head, regularizers, masks, weights; see `make_keras.models` for what is stored."""
    cases: list[Case] = []

    def add(name: str, inputs: Args, layers: list[Args], outputs: Args, combine: str = "mean", **extra: Any) -> None:
        made = spec(name, inputs, layers, outputs)
        made["training"] = {"combine": combine}
        cases.append({"id": name, "spec": made, "training": True, "batch": 4, **extra})

    hidden = {"name": "hidden", "type": "Dense", "units": 3, "activation": "tanh"}
    for activation, loss, units in (
        ("sigmoid", "binary_crossentropy", 1),
        ("sigmoid", "binary_crossentropy", 3),
        ("softmax", "categorical_crossentropy", 3),
        ("softmax", "sparse_categorical_crossentropy", 3),
        (None, "mean_squared_error", 2),
        ("relu", "mae", 2),
        (None, "huber", 1),
    ):
        y = {"name": "y", "type": "Dense", "units": units, "activation": activation}
        for weight in (None, "sample"):
            label = f"{loss}-{units}" + ("-weighted" if weight else "")
            add(label, {"x": [4]}, [hidden, y], {"y": {"loss": loss}}, weight=weight)
    softmax = {"name": "y", "type": "Dense", "units": 3, "activation": "softmax"}
    sparse = {"y": {"loss": "sparse_categorical_crossentropy"}}
    for label, node in (
        (
            "Activation",
            [{"name": "z", "type": "Dense", "units": 3}, {"name": "y", "type": "Activation", "activation": "softmax"}],
        ),
        ("Softmax", [{"name": "z", "type": "Dense", "units": 3}, {"name": "y", "type": "Softmax"}]),
    ):
        add(f"logits-{label}", {"x": [4]}, node, sparse)
    saturated = {"x": np.array([[30.0], [-30.0], [1.0], [-60.0]])}
    linear = [{"name": "y", "type": "Activation", "activation": "linear"}]
    logits = {"y": {"loss": {"type": "BinaryCrossentropy", "from_logits": True}}}
    add("from_logits-saturated", {"x": [1]}, linear, logits, values=saturated)

    l1, l2, both = {"type": "L1", "l1": 0.02}, {"type": "L2", "l2": 0.03}, {"type": "L1L2", "l1": 0.01, "l2": 0.02}
    mse = {"y": {"loss": "mse"}}
    line = {"name": "y", "type": "Dense", "units": 2}
    for label, layers, inputs in (
        ("kernel_l2", [{**line, "kernel_regularizer": l2}], {"x": [4]}),
        ("by_name", [{**line, "kernel_regularizer": "l1", "bias_regularizer": "L2"}], {"x": [4]}),
        ("all", [{**line, "kernel_regularizer": l1, "bias_regularizer": both, "activity_regularizer": l2}], {"x": [4]}),
        ("activity_relu", [{**hidden, "activation": "relu", "activity_regularizer": both}, line], {"x": [4]}),
        ("activity_steps", [{**hidden, "activity_regularizer": l1}, line], {"x": [3, 4]}),
        (
            "conv",
            [
                {
                    "name": "c",
                    "type": "Conv2D",
                    "filters": 2,
                    "kernel_size": 2,
                    "kernel_regularizer": l2,
                    "activity_regularizer": l1,
                },
                {"name": "f", "type": "Flatten"},
                line,
            ],
            {"x": [3, 3, 2]},
        ),
        (
            "lstm",
            [
                {
                    "name": "r",
                    "type": "LSTM",
                    "units": 2,
                    "kernel_regularizer": l2,
                    "recurrent_regularizer": l1,
                    "bias_regularizer": both,
                    "activity_regularizer": l2,
                },
                line,
            ],
            {"x": [3, 2]},
        ),
        (
            "bidirectional",
            [
                {"name": "r", "type": "Bidirectional", "layer": {"type": "GRU", "units": 2, "kernel_regularizer": l2}},
                line,
            ],
            {"x": [3, 2]},
        ),
        (
            "batch_normalization",
            [{"name": "n", "type": "BatchNormalization", "gamma_regularizer": l2, "beta_regularizer": l1}, line],
            {"x": [4]},
        ),
        ("frozen", [{**hidden, "trainable": False, "kernel_regularizer": l2}, line], {"x": [4]}),
        (
            "shared_activity",
            [
                {**hidden, "units": 4, "activity_regularizer": l2, "kernel_regularizer": l2},
                {"name": "again", "share": "hidden"},
                line,
            ],
            {"x": [4]},
        ),
        ("frozen_activity", [{**hidden, "trainable": False, "activity_regularizer": l2}, line], {"x": [4]}),
        (
            "activity_states",
            [
                {"name": "r", "type": "LSTM", "units": 2, "return_state": True, "activity_regularizer": l2},
                {**line, "inputs": "r"},
            ],
            {"x": [3, 2]},
        ),
        (
            "bidirectional_activity",
            [
                {
                    "name": "r",
                    "type": "Bidirectional",
                    "merge_mode": "mul",
                    "layer": {"type": "GRU", "units": 2, "return_state": True, "activity_regularizer": both},
                },
                {**line, "inputs": "r"},
            ],
            {"x": [3, 2]},
        ),
        (
            "time_distributed",
            [
                {
                    "name": "t",
                    "type": "TimeDistributed",
                    "layer": {
                        "type": "Dense",
                        "units": 3,
                        "kernel_regularizer": l2,
                        "activity_regularizer": l1,
                    },
                },
                line,
            ],
            {"x": [3, 4]},
        ),
        (
            "attention_gate",
            [
                {
                    "name": "a",
                    "type": "MultiHeadAttention",
                    "num_heads": 2,
                    "key_dim": 2,
                    "use_gate": True,
                    "kernel_regularizer": l1,
                    "activity_regularizer": l2,
                    "inputs": ["x", "x"],
                },
                line,
            ],
            {"x": [3, 4]},
        ),
    ):
        add(f"regularizer-{label}", inputs, layers, mse)
    ids = {"ids": {"shape": [None], "dtype": "int64"}}
    embed = {"name": "embed", "type": "Embedding", "input_dim": 6, "output_dim": 3}
    add(
        "regularizer-embeddings",
        {"ids": {"shape": [3], "dtype": "int64"}},
        [{**embed, "embeddings_regularizer": l2}, {"name": "f", "type": "Flatten"}, line],
        mse,
    )

    gaps = {"values": {"ids": np.array(GAPS)}, "batch": 5}
    padded = {"values": {"ids": np.array(PADDED)}, "batch": 3}
    embed = {**embed, "mask_zero": True}
    read = {"name": "read", "type": "LSTM", "units": 3, "return_sequences": True}
    steps = [embed, read, softmax]
    add("mask-sparse", ids, steps, sparse, **gaps)
    add("mask-sparse-weighted", ids, steps, sparse, weight="element", **gaps)
    add("mask-padded", ids, steps, sparse, **padded)
    add("mask-no_recurrent", ids, [embed, softmax], sparse, **gaps)
    add("mask-everything", ids, [embed, softmax], sparse, values={"ids": np.zeros((2, 3), int)}, batch=2)
    add("mask-mse", ids, [embed, read, line], mse, **gaps)
    add(
        "mask-binary",
        ids,
        [embed, read, {**line, "units": 1, "activation": "sigmoid"}],
        {"y": {"loss": "binary_crossentropy"}},
        **gaps,
    )
    add(
        "mask-categorical",
        ids,
        [
            embed,
            {"name": "read", "type": "Bidirectional", "layer": {"type": "GRU", "units": 2, "return_sequences": True}},
            softmax,
        ],
        {"y": {"loss": "categorical_crossentropy"}},
        **gaps,
    )
    add("mask-last", ids, [embed, {**read, "return_sequences": False}, softmax], sparse, **gaps)
    add("mask-activity", ids, [embed, {**read, "activity_regularizer": l2}, softmax], sparse, **gaps)
    add("mask-sum", ids, steps, {"y": {"loss": {"type": "SparseCategoricalCrossentropy", "reduction": "sum"}}}, **gaps)

    two = [
        {**hidden, "inputs": "x"},
        {"name": "class", "type": "Dense", "units": 3, "activation": "softmax", "inputs": "hidden"},
        {"name": "value", "type": "Dense", "units": 1, "inputs": "hidden", "kernel_regularizer": l2},
    ]
    for combine in ("mean", "sum"):
        heads = {
            "class": {"loss": "sparse_categorical_crossentropy", "weight": 2.0},
            "value": {"loss": "mse", "weight": 0.25},
        }
        add(f"heads-{combine}", {"x": [4]}, two, heads, combine)
        add(f"heads-{combine}-weighted", {"x": [4]}, two, heads, combine, weight="sample")
        heads = {"class": {"loss": "sparse_categorical_crossentropy"}, "value": {"loss": "mae"}}
        add(f"heads-{combine}-default", {"x": [4]}, two, heads, combine)
    add(
        "heads-one_loss",
        {"x": [4]},
        two,
        {"class": {"loss": "sparse_categorical_crossentropy", "weight": 3.0}, "value": {}},
    )
    classes = {"loss": "sparse_categorical_crossentropy", "class_weight": {0: 0.5, 1: 2.0, 2: 3.0}}
    add("class_weight", {"x": [4]}, [hidden, softmax], {"y": classes}, batch=6)
    add("class_weight-missing", {"x": [4]}, [hidden, softmax], {"y": {**classes, "class_weight": {1: 4.0}}}, batch=6)
    add(
        "class_weight-onehot",
        {"x": [4]},
        [hidden, softmax],
        {"y": {**classes, "loss": "categorical_crossentropy"}},
        batch=6,
    )
    unit = {"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"}
    add(
        "class_weight-binary",
        {"x": [4]},
        [hidden, unit],
        {"y": {"loss": "binary_crossentropy", "class_weight": {0: 0.5, 1: 2.0}}},
        batch=6,
    )
    add("BatchNormalization-trained", {"x": [4]}, [{"name": "n", "type": "BatchNormalization"}, softmax], sparse)
    return cases
