"""The golden cases of losses; data only."""

from __future__ import annotations

from typing import Any

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
    numbers = {
        "MeanAbsolutePercentageError": "real",
        "MeanSquaredLogarithmicError": "positive",
        "LogCosh": "real",
        "Poisson": "positive",
        "Hinge": "signs",
        "SquaredHinge": "binary_logits",
        "KLDivergence": "soft",
        "CosineSimilarity": "real",
        "CategoricalHinge": "onehot_logits",
    }
    for cls, kind in numbers.items():
        add("2d", {"type": cls}, kind, (4, 3))
        add("3d", {"type": cls}, kind, (2, 3, 4))
        add("sum_weighted", {"type": cls, "reduction": "sum"}, kind, (4, 3), weight="sample")
        add("masked_weighted", {"type": cls}, kind, (3, 4, 2), mask=True, weight="element")
        if cls not in ("CosineSimilarity", "CategoricalHinge", "KLDivergence"):
            add("unit", {"type": cls}, kind, (5, 1))
    add("signs", {"type": "SquaredHinge"}, "signs", (4, 3))
    add("zeros", {"type": "Hinge"}, "binary_logits", (4, 3))
    add("negative", {"type": "MeanSquaredLogarithmicError"}, "real", (4, 3))
    add("mean", {"type": "LogCosh", "reduction": "mean"}, "real", (4, 3))
    add("axis_1", {"type": "CosineSimilarity", "axis": 1}, "real", (2, 3, 4))
    for logits in (False, True):
        suffix = "_logits" if logits else ""
        focal = {"type": "BinaryFocalCrossentropy", "from_logits": logits}
        add("2d" + suffix, focal, "binary" + suffix, (4, 3))
        add("3d" + suffix, focal, "binary" + suffix, (2, 3, 2))
        add("balanced" + suffix, {**focal, "apply_class_balancing": True, "alpha": 0.7}, "binary" + suffix, (4, 3))
        add("gamma" + suffix, {**focal, "gamma": 0.5, "label_smoothing": 0.1}, "binary" + suffix, (5, 1))
        add("axis" + suffix, {**focal, "axis": 1}, "binary" + suffix, (2, 3, 2))
        add("masked" + suffix, focal, "binary" + suffix, (3, 4, 1), mask=True, weight="element")
        focal = {"type": "CategoricalFocalCrossentropy", "from_logits": logits}
        add("2d" + suffix, focal, "onehot" + suffix, (4, 3))
        add("soft" + suffix, {**focal, "gamma": 1.5, "label_smoothing": 0.2}, "soft" + suffix, (2, 3, 4))
        add("alpha" + suffix, {**focal, "alpha": [0.1, 0.5, 1.0]}, "onehot" + suffix, (4, 3))
        add("axis_1" + suffix, {**focal, "axis": 1}, "onehot" + suffix, (2, 3, 4), axis=1)
        add("masked" + suffix, focal, "onehot" + suffix, (3, 4, 2), mask=True)
    general = {"type": "CategoricalGeneralizedCrossEntropy"}
    add("2d", general, "ids", (4, 3))
    add("q", {**general, "q": 0.9}, "ids", (2, 3, 4), weight="element")
    add("masked", {**general, "q": 0.2, "reduction": "mean"}, "ids", (3, 4, 3), mask=True)
    for cls, more in (("Dice", {}), ("Tversky", {}), ("Tversky", {"alpha": 0.3, "beta": 0.9})):
        name = "weights_" if more else ""
        add(name + "all", {"type": cls, **more}, "binary", (4, 3))
        add(name + "image", {"type": cls, **more}, "binary", (2, 3, 3, 2))
        add(name + "axes", {"type": cls, **more, "axis": [1, 2]}, "binary", (2, 3, 3, 2))
        add(name + "last", {"type": cls, **more, "axis": -1}, "soft", (2, 3, 4), weight="element")
        add(name + "batch", {"type": cls, **more, "axis": [0, 1]}, "binary", (2, 3, 4))
        add(name + "weighted", {"type": cls, **more}, "binary", (4, 3), weight="sample")
        add(name + "sum", {"type": cls, **more, "reduction": "sum"}, "binary", (4, 3))
    add("plain", {"type": "Circle"}, "partners", (6, 3))
    add("soft", {"type": "Circle", "gamma": 4.0, "margin": 0.25}, "partners", (8, 2))
    add("diagonal", {"type": "Circle", "gamma": 4.0, "remove_diagonal": False}, "partners", (6, 3))
    add("groups", {"type": "Circle", "gamma": 4.0}, "groups", (9, 2))
    add("alone", {"type": "Circle", "gamma": 2.0}, "alone", (5, 3))
    add("sum_weighted", {"type": "Circle", "gamma": 4.0, "reduction": "sum"}, "partners", (6, 3), weight="sample")


_losses()
