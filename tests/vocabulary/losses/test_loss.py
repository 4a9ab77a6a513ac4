"""Losses: their names, their checks of a head, and their reduction over workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workers import by_workers

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.vocabulary.losses import LOSSES, reduce

KERAS_NAMES = {
    "ArcFace": "arcface",
    "BinaryCrossentropy": "binary_crossentropy BCE bce",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
    "MeanSquaredError": "mean_squared_error MSE mse",
    "MeanAbsoluteError": "mean_absolute_error MAE mae",
    "Huber": "huber",
    "CTC": "ctc",
    "Cox": "cox",
    "CRF": "crf",
    "BinaryFocalCrossentropy": "binary_focal_crossentropy",
    "CategoricalFocalCrossentropy": "categorical_focal_crossentropy",
    "CategoricalGeneralizedCrossEntropy": "categorical_generalized_cross_entropy",
    "CategoricalHinge": "categorical_hinge",
    "CLIP": "clip",
    "Circle": "circle",
    "Contrastive": "contrastive",
    "Cosine": "cosine",
    "CosineSimilarity": "cosine_similarity",
    "Dice": "dice",
    "Hinge": "hinge",
    "InfoNCE": "info_nce nt_xent",
    "KLDivergence": "kl_divergence KLD kld",
    "LogCosh": "log_cosh",
    "MeanAbsolutePercentageError": "mean_absolute_percentage_error MAPE mape",
    "MeanSquaredLogarithmicError": "mean_squared_logarithmic_error MSLE msle",
    "NegativeBinomial": "negative_binomial",
    "Poisson": "poisson",
    "Quantile": "quantile pinball",
    "SquaredHinge": "squared_hinge",
    "SupCon": "supcon",
    "Triplet": "triplet",
    "TripletSemiHard": "triplet_semi_hard",
    "Tversky": "tversky",
    "Value": "value",
}


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_loss_names(name: str) -> None:
    assert len(KERAS_NAMES) == len(LOSSES.primary()) == 35
    assert LOSSES.get(name) is not None
    assert {LOSSES.get(alias) for alias in KERAS_NAMES[name].split()} == {LOSSES.get(name)}


def head(
    activation: str, *shape: int | str, dtype: str = "float32", axis: int = -1, mask: Value | None = None
) -> Value:
    """Return a head's value, computed by this operator."""
    X = Value("x", Type("float32", shape), "input")
    node = Node("head", activation, (X,), {"axis": axis} if activation == "Softmax" else {}, "head")
    return Value("head", Type(dtype, shape), "op", node, mask=mask)


@pytest.mark.parametrize(
    ("loss", "y_pred", "code", "says"),
    [
        ("binary_crossentropy", head("Sigmoid", "N", 1), None, ""),
        ("binary_crossentropy", head("Sigmoid", "N"), None, ""),
        ("binary_crossentropy", head("HardSigmoid", "N", 3), None, ""),
        ("binary_crossentropy", head("Softmax", "N", 3), "GS401", "compete"),
        ("binary_crossentropy", head("Softmax", "N", 1), "GS401", "single unit"),
        ("hinge", head("Softmax", "N", 1), "GS401", "single unit"),
        ("binary_crossentropy", head("Gemm", "N", 1), "GS401", "the activation is linear"),
        ("binary_crossentropy", head("Tanh", "N", 1), "GS401", "the activation is tanh"),
        ("poisson", head("Gemm", "N", 1), "GS401", "linear also returns negative values"),
        ("poisson", head("Exp", "N", 1), None, ""),
        ("hinge", head("Sigmoid", "N", 1), "GS401", "sigmoid returns none below 0"),
        ("hinge", head("Gemm", "N", 1), None, ""),
        ("kl_divergence", head("Relu", "N", 3), "GS401", "needs probabilities, but the activation is relu"),
        ("categorical_generalized_cross_entropy", head("Gemm", "N", 3), "GS401", "needs probabilities"),
        ("categorical_generalized_cross_entropy", head("Sigmoid", "N", 1), "GS402", "two classes"),
        ("categorical_hinge", head("Gemm", "N"), "GS402", "needs a class axis"),
        ("cosine_similarity", head("Gemm", "N"), "GS402", "compares vectors"),
        ({"type": "CosineSimilarity", "axis": 2}, head("Gemm", "N", 3), "GS402", "axis 2"),
        ("binary_focal_crossentropy", head("Softmax", "N", 3), "GS401", "compete"),
        (
            {"type": "CategoricalFocalCrossentropy", "alpha": [1.0, 2.0]},
            head("Softmax", "N", 3),
            "GS402",
            "2 values of `alpha` for 3 classes",
        ),
        ("dice", head("Gemm", "N", 8, 8, 1), "GS401", "needs probabilities"),
        ({"type": "Tversky", "axis": [1, 4]}, head("Sigmoid", "N", 8, 8, 1), "GS402", "axis 4"),
        ({"type": "Dice", "axis": [1, -3]}, head("Sigmoid", "N", 8, 8, 1), "GS402", "repeats an axis"),
        ("circle", head("LpNormalization", "N", 8), None, ""),
        ("circle", head("Gemm", "N", 8), "GS401", "ends in linear"),
        ("circle", head("LpNormalization", "N", 3, 8), "GS402", "compares vectors (batch, features)"),
        ({"type": "BinaryCrossentropy", "from_logits": True}, head("Gemm", "N", 1), None, ""),
        ({"type": "BinaryCrossentropy", "from_logits": True}, head("Sigmoid", "N", 1), "GS401", "sigmoid again"),
        ({"type": "BinaryCrossentropy", "axis": 3}, head("Sigmoid", "N", 1), "GS402", "axis 3"),
        ("categorical_crossentropy", head("Softmax", "N", 3), None, ""),
        ("categorical_crossentropy", head("Softmax", "N", 1), "GS401", "always 1"),
        ("categorical_crossentropy", head("Sigmoid", "N", 1), "GS402", "two classes"),
        ("categorical_crossentropy", head("Sigmoid", "N", 3), "GS401", "sum to 1"),
        ("categorical_crossentropy", head("MatMul", "N", 3), "GS401", "linear"),
        ("categorical_crossentropy", head("Softmax", "N", 3, "time"), "GS402", "fixed number of classes"),
        ({"type": "CategoricalCrossentropy", "axis": 1}, head("Softmax", "N", 3, 4), "GS401", "axis 2"),
        ({"type": "CategoricalCrossentropy", "axis": 1}, head("Softmax", "N", 3, 4, axis=1), None, ""),
        ({"type": "CategoricalCrossentropy", "axis": 0}, head("Softmax", "N", 3), "GS402", "axis 0"),
        ({"type": "CategoricalCrossentropy", "from_logits": True}, head("Softmax", "N", 3), "GS401", "softmax again"),
        ("sparse_categorical_crossentropy", head("Softmax", "N", "time", 3), None, ""),
        ("sparse_categorical_crossentropy", head("ReduceSum", "N"), "GS402", "class axis"),
        ("sparse_categorical_crossentropy", head("ReduceMean", "N", 3), None, ""),
        ("sparse_categorical_crossentropy", head("Softmax", "N", "steps"), None, ""),
        (
            {"type": "SparseCategoricalCrossentropy", "label_smoothing": 0.1},
            head("Softmax", "N", "steps"),
            "GS402",
            "fixed number of classes",
        ),
        ("mean_squared_error", head("Softmax", "N", 3), None, ""),
        ("mean_squared_error", head("Gemm", "N", 1), None, ""),
        ("mean_squared_error", head("ArgMax", "N", dtype="int64"), "GS402", "float32"),
        ("huber", head("Softmax", "N", 1), "GS401", "always 1"),
        ("mae", head("Gemm", "N", "time", mask=Value("m", Type("bool", ("N", "time")))), "GS402", "mask"),
        ("ctc", head("Gemm", "N", "time", 27), None, ""),
        ("ctc", head("Softmax", "N", "time", 27), None, ""),
        ("ctc", head("Sigmoid", "N", "time", 27), "GS401", "logits"),
        ("ctc", head("Gemm", "N", 27), "GS402", "time, classes"),
        ("ctc", head("Gemm", "N", "time", 1), "GS402", "time, classes"),
    ],
)
def test_loss_checks(loss: Any, y_pred: Value, code: str | None, says: str) -> None:
    found = LOSSES.parse(loss).check(y_pred)
    assert [problem.code for problem in found] == ([] if code is None else [code])
    for problem in found:
        assert problem.severity == ("warning" if code == "GS401" and "single unit" not in problem.message else "error")
        assert says in problem.message
        assert problem.hint


@pytest.mark.parametrize(
    ("loss", "shape", "target"),
    [
        ("mse", ("N", 3), Type("float32", ("N", 3))),
        ("sparse_categorical_crossentropy", ("N", "time", 3), Type("int64", ("N", "time"))),
        ({"type": "SparseCategoricalCrossentropy", "axis": 1}, ("N", 3, 7), Type("int64", ("N", 7))),
        ("ctc", ("N", "time", 3), Type("int64", ("N", "labels"))),
    ],
)
def test_loss_targets(loss: Any, shape: tuple[int | str, ...], target: Type) -> None:
    assert LOSSES.parse(loss).target(head("Gemm", *shape)) == target


def test_probabilities_of_a_softmax_are_never_computed() -> None:
    for loss, activation in (("sparse_categorical_crossentropy", "Softmax"), ("bce", "Sigmoid")):
        graph = Graph("test")
        g = Builder(graph, "head")
        x = graph.inputs["x"] = Value("x", Type("float32", ("N", 3)), "input")
        y_pred = getattr(g, activation)(x)
        config = LOSSES.parse(loss)
        y_true = graph.targets["y"] = Value("y", config.target(y_pred), "target")
        with g:
            scalar = reduce(g, config.lower(g, y_true, y_pred), weight=None, mask=None)
        assert activation not in {node.op for node in graph.needed([scalar])}


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("workers", [2, 5, 9])
def test_losses_of_workers_add_up(workers: int, masked: bool, weighted: bool, reduction: str) -> None:
    """Some workers may have no rows."""
    random = np.random.default_rng(0)
    arrays = {"x": random.standard_normal((7, 4, 3)), "y": random.integers(0, 3, (7, 4))}
    arrays |= {"weight": random.uniform(0, 1, 7)} if weighted else {}
    arrays |= {"mask": random.uniform(size=(7, 4)) > 0.3} if masked else {}
    graph = Graph("test")
    for name, array in arrays.items():
        kind = {"f": "float32", "i": "int64", "b": "bool"}[array.dtype.kind]
        graph.inputs[name] = Value(name, Type(kind, ("N", *array.shape[1:])), "input")
    g, given = Builder(graph, "loss"), graph.inputs.get
    values = g.SparseSoftmaxCrossEntropy(given("x"), given("y"))
    scalar = reduce(g, values, weight=given("weight"), mask=given("mask"), reduction=reduction)  # type: ignore[arg-type]

    loss, gradient = by_workers(graph, scalar, arrays, 1, "x")
    again, gradients = by_workers(graph, scalar, arrays, workers, "x")
    assert loss == pytest.approx(again, rel=1e-12)
    np.testing.assert_allclose(gradient, gradients, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "hinge", "poisson", "mse"])
def test_what_can_never_be_learned_is_an_error(loss: str) -> None:
    [problem] = LOSSES.parse(loss).check(head("Softmax", "N", 1))
    assert (problem.code, problem.severity) == ("GS401", "error")
