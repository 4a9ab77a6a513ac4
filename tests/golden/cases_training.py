"""Golden cases of losses, metrics, optimizers, initializers, and of whole models with heads; data only."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import GAPS, PADDED, Case, spec

Args = dict[str, Any]

# Kinds of y_true and y_pred: binary (0/1 and probabilities), logits_*, onehot, soft, ids (class numbers), real.
LOSSES: list[tuple[str, Args, str, tuple[int, ...], Args]] = []  # id, loss, kind, shape of y_pred, what else


def _losses() -> None:
    def add(label: str, loss: Args, kind: str, shape: tuple[int, ...], **extra: Any) -> None:
        LOSSES.append((f"{loss['type']}-{label}", loss, kind, shape, extra))

    for logits in (False, True):
        suffix = "_logits" if logits else ""
        binary = {"type": "BinaryCrossentropy", "from_logits": logits}
        for label, shape in (("1d", (5,)), ("unit", (5, 1)), ("multi_label", (4, 3)), ("3d", (2, 3, 2))):
            add(label + suffix, binary, "binary" + suffix, shape)
        add("weighted" + suffix, binary, "binary" + suffix, (4, 3), weight="sample")
        add("masked" + suffix, binary, "binary" + suffix, (3, 4, 1), mask=True)
        add("smoothing" + suffix, {**binary, "label_smoothing": 0.2}, "binary" + suffix, (4, 3))
        categorical = {"type": "CategoricalCrossentropy", "from_logits": logits}
        for label, shape in (("2d", (4, 3)), ("3d", (2, 3, 4)), ("4d", (2, 2, 2, 3))):
            add(label + suffix, categorical, "onehot" + suffix, shape)
        add("soft" + suffix, categorical, "soft" + suffix, (4, 3))
        add("smoothing" + suffix, {**categorical, "label_smoothing": 0.1}, "onehot" + suffix, (4, 3))
        add("axis_1" + suffix, {**categorical, "axis": 1}, "onehot" + suffix, (2, 3, 4), axis=1)
        add("weighted" + suffix, categorical, "onehot" + suffix, (4, 3), weight="sample")
        add("masked" + suffix, categorical, "onehot" + suffix, (3, 4, 2), mask=True)
        sparse = {"type": "SparseCategoricalCrossentropy", "from_logits": logits}
        for label, shape in (("2d", (4, 3)), ("3d", (2, 3, 4)), ("4d", (2, 2, 2, 3))):
            add(label + suffix, sparse, "ids" + suffix, shape)
        add("column" + suffix, sparse, "ids" + suffix, (4, 3), column=True)
        add("ignore_class" + suffix, {**sparse, "ignore_class": 0}, "ids" + suffix, (3, 4, 3))
        add("ignore_minus_1" + suffix, {**sparse, "ignore_class": -1}, "ids" + suffix, (5, 3), ignored=-1)
        add("axis_1" + suffix, {**sparse, "axis": 1}, "ids" + suffix, (2, 3, 4), axis=1)
        add("weighted" + suffix, sparse, "ids" + suffix, (4, 3), weight="sample")
        add("weighted_steps" + suffix, sparse, "ids" + suffix, (3, 4, 3), weight="element")
        add("masked" + suffix, sparse, "ids" + suffix, (3, 4, 3), mask=True)
        add("masked_weighted" + suffix, sparse, "ids" + suffix, (3, 4, 3), mask=True, weight="element")
        add("masked_sum" + suffix, {**sparse, "reduction": "sum"}, "ids" + suffix, (3, 4, 3), mask=True)
        add("masked_ignore" + suffix, {**sparse, "ignore_class": 1}, "ids" + suffix, (3, 4, 3), mask=True)
    for cls, args in (
        ("MeanSquaredError", {}),
        ("MeanAbsoluteError", {}),
        ("Huber", {}),
        ("Huber", {"delta": 0.3}),
    ):
        loss = {"type": cls, **args}
        name = "delta_" if args else ""
        for label, shape in (("1d", (5,)), ("unit", (5, 1)), ("2d", (4, 3)), ("3d", (2, 3, 2))):
            add(name + label, loss, "real", shape)
        add(name + "weighted", loss, "real", (4, 3), weight="sample")
        add(name + "weighted_steps", loss, "real", (3, 4, 2), weight="element")
        add(name + "masked", loss, "real", (3, 4, 2), mask=True)
        add(name + "masked_weighted", loss, "real", (3, 4, 2), mask=True, weight="element")
    for reduction in ("sum", "mean", "mean_with_sample_weight", "none"):
        loss = {"type": "MeanSquaredError", "reduction": reduction}
        add(reduction, loss, "real", (4, 3))
        add(reduction + "_weighted", loss, "real", (4, 3), weight="sample")
        if reduction != "none":
            add(reduction + "_masked", loss, "real", (3, 4, 2), mask=True)
            add(reduction + "_masked_weighted", loss, "real", (3, 4, 2), mask=True, weight="element")
    add("unequal_ranks", {"type": "MeanSquaredError"}, "real", (5, 1), squeeze=True)
    add("padded", {"type": "CTC"}, "ctc", (4, 8, 5))
    add("weighted", {"type": "CTC"}, "ctc", (3, 6, 4), weight="sample")
    add("sum", {"type": "CTC", "reduction": "sum"}, "ctc", (3, 6, 4))


_losses()

# id, metric (a name or a mapping), kind, shape of y_pred, what else. `accuracy` is resolved as by Model.compile.
METRICS: list[tuple[str, str | Args, str, tuple[int, ...], Args]] = [
    ("accuracy-binary", "accuracy", "binary", (6, 1), {}),
    ("accuracy-multi_label", "accuracy", "onehot", (6, 3), {}),
    ("accuracy-categorical", "accuracy", "soft", (6, 4), {}),
    ("accuracy-sparse", "accuracy", "ids", (6, 4), {}),
    ("accuracy-sparse_column", "accuracy", "ids", (6, 4), {"column": True}),
    ("accuracy-steps", "accuracy", "ids", (3, 5, 3), {}),
    ("accuracy-masked", "accuracy", "ids", (3, 4, 3), {"mask": True}),
    ("accuracy-binary_steps", "accuracy", "binary", (3, 4, 1), {}),
    ("accuracy-binary_masked", "accuracy", "binary", (3, 4, 1), {"mask": True}),
    ("binary_accuracy-half", {"type": "BinaryAccuracy"}, "half", (6, 1), {}),
    ("binary_accuracy-labels", {"type": "BinaryAccuracy"}, "binary", (5, 3), {}),
    ("binary_accuracy-threshold", {"type": "BinaryAccuracy", "threshold": 0.3}, "binary", (8, 1), {}),
    ("categorical_accuracy", {"type": "CategoricalAccuracy"}, "onehot", (6, 4), {}),
    ("sparse_categorical_accuracy", {"type": "SparseCategoricalAccuracy"}, "ids", (6, 4), {}),
    ("sparse_categorical_accuracy-ties", {"type": "SparseCategoricalAccuracy"}, "ties", (6, 3), {}),
    ("top_k_categorical_accuracy", {"type": "TopKCategoricalAccuracy"}, "onehot", (8, 9), {}),
    ("top_k_categorical_accuracy-2", {"type": "TopKCategoricalAccuracy", "k": 2}, "onehot", (8, 5), {}),
    ("sparse_top_k_categorical_accuracy", {"type": "SparseTopKCategoricalAccuracy"}, "ids", (8, 9), {}),
    ("sparse_top_k_categorical_accuracy-3", {"type": "SparseTopKCategoricalAccuracy", "k": 3}, "ids", (8, 6), {}),
    (
        "sparse_top_k_categorical_accuracy-steps",
        {"type": "SparseTopKCategoricalAccuracy", "k": 2},
        "ids",
        (3, 4, 5),
        {},
    ),
    (
        "sparse_top_k_categorical_accuracy-masked",
        {"type": "SparseTopKCategoricalAccuracy", "k": 2},
        "ids",
        (3, 4, 5),
        {"mask": True},
    ),
    ("mean_squared_error", {"type": "MeanSquaredError"}, "real", (5, 2), {}),
    ("mean_squared_error-steps", {"type": "MeanSquaredError"}, "real", (3, 4, 2), {"mask": True}),
    ("mean_absolute_error", {"type": "MeanAbsoluteError"}, "real", (5, 1), {}),
    ("mean_absolute_error-1d", {"type": "MeanAbsoluteError"}, "real", (5, 1), {"squeeze": True}),
]

# Ten steps of each.
OPTIMIZERS: list[tuple[str, Args]] = [
    ("SGD", {"type": "SGD"}),
    ("SGD-momentum", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9}),
    ("SGD-nesterov", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.8, "nesterov": True}),
    ("SGD-weight_decay", {"type": "SGD", "learning_rate": 0.1, "weight_decay": 0.05}),
    ("SGD-momentum_weight_decay", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("SGD-clipnorm", {"type": "SGD", "learning_rate": 0.1, "clipnorm": 1.5}),
    ("SGD-clipvalue", {"type": "SGD", "learning_rate": 0.1, "clipvalue": 0.4}),
    ("SGD-global_clipnorm", {"type": "SGD", "learning_rate": 0.1, "global_clipnorm": 2.0}),
    (
        "SGD-ema",
        {"type": "SGD", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 4},
    ),
    ("SGD-accumulation", {"type": "SGD", "learning_rate": 0.1, "momentum": 0.5, "gradient_accumulation_steps": 3}),
    ("RMSprop", {"type": "RMSprop"}),
    ("RMSprop-momentum", {"type": "RMSprop", "learning_rate": 0.01, "rho": 0.8, "momentum": 0.7}),
    ("RMSprop-centered", {"type": "RMSprop", "learning_rate": 0.01, "centered": True}),
    ("RMSprop-centered_momentum", {"type": "RMSprop", "learning_rate": 0.01, "centered": True, "momentum": 0.5}),
    ("RMSprop-epsilon", {"type": "RMSprop", "learning_rate": 0.01, "epsilon": 0.1}),
    (
        "RMSprop-weight_decay_clip",
        {"type": "RMSprop", "learning_rate": 0.01, "weight_decay": 0.1, "global_clipnorm": 1.0},
    ),
    ("Adam", {"type": "Adam"}),
    ("Adam-betas", {"type": "Adam", "learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01}),
    ("Adam-amsgrad", {"type": "Adam", "learning_rate": 0.02, "amsgrad": True, "beta_2": 0.5}),
    ("Adam-weight_decay", {"type": "Adam", "learning_rate": 0.02, "weight_decay": 0.1}),
    ("Adam-clipnorm", {"type": "Adam", "learning_rate": 0.02, "clipnorm": 0.5}),
    ("AdamW", {"type": "AdamW"}),
    ("AdamW-weight_decay", {"type": "AdamW", "learning_rate": 0.02, "weight_decay": 0.2}),
    ("AdamW-amsgrad_clipvalue", {"type": "AdamW", "learning_rate": 0.02, "amsgrad": True, "clipvalue": 0.3}),
]

INITIALIZERS: list[Args] = [
    {"type": "GlorotUniform"},
    {"type": "GlorotNormal"},
    {"type": "HeUniform"},
    {"type": "HeNormal"},
    {"type": "LecunUniform"},
    {"type": "LecunNormal"},
    {"type": "VarianceScaling", "scale": 2.0, "mode": "fan_avg", "distribution": "uniform"},
    {"type": "VarianceScaling", "scale": 0.5, "mode": "fan_out", "distribution": "untruncated_normal"},
    {"type": "RandomUniform"},
    {"type": "RandomNormal"},
    {"type": "TruncatedNormal"},
    {"type": "Zeros"},
    {"type": "Ones"},
    {"type": "Constant", "value": 0.3},
    {"type": "Orthogonal"},
    {"type": "Orthogonal", "gain": 2.0},
    {"type": "Identity"},
]
INITIALIZER_SHAPES = [(64, 48), (48, 64), (40,), (5, 16, 24), (3, 3, 16, 24), (3, 3, 24, 16)]


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
