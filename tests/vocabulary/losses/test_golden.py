"""Every loss against Keras 3 (golden values from `golden/make_keras.py`): values, scalar and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import Array, assert_close, fitting, run
from heads import value
from pydantic_core import PydanticCustomError
from workers import by_workers

from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.losses import LOSSES, reduce

NONE = [case for case in load("losses") if case.args["loss"].get("reduction") == "none"]
CASES = [case for case in load("losses") if case.args["loss"].get("reduction") != "none"]


def lowered(case: Case) -> tuple[Graph, dict[str, Value], dict[str, Any], Value]:
    """Return a graph of only the loss, the values to fetch, the arrays to feed, and the head."""
    loss = LOSSES.parse(case.args["loss"])
    graph = Graph(case.id)
    arrays: dict[str, Any] = {}

    def declare(name: str, array: Array, kind: Type | None = None) -> Value:
        dtype = "float32" if array.dtype.kind == "f" else array.dtype.name
        value = Value(name, kind or Type(dtype, ("N", *array.shape[1:])), "input")
        graph.inputs[name], arrays[name] = value, array
        return value

    y_pred = declare("y_pred", case["y_pred"])
    if "mask" in case:
        y_pred = y_pred.with_mask(declare("mask", case["mask"]))
    assert not [problem for problem in loss.check(y_pred) if problem[0] == "error"]
    kind = loss.target(y_pred)
    y_true = declare("y_true", fitting(case["y_true"], kind), kind)
    weight = declare("sample_weight", case["sample_weight"]) if "sample_weight" in case else None

    g = Builder(graph, "loss")
    with g:
        values = loss.lower(g, y_true, y_pred)
    with g:
        scalar = reduce(
            g, values, weight=weight, mask=y_pred.mask if loss.uses_mask else None, reduction=loss.reduction
        )
    fetches: dict[str, Value] = {"values": values, "loss": scalar}
    if values.mask is not None:
        fetches["counts"] = values.mask
    return graph, fetches, arrays, y_pred


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_values_loss_and_gradient_are_those_of_keras(case: Case, dtype: Any) -> None:
    graph, fetches, arrays, y_pred = lowered(case)
    scalar = fetches["loss"]
    found, _, gradients = run(graph, Parameters(graph, dtype), arrays, fetches, loss=scalar, input_grads=["y_pred"])
    each = found["values"] * found.get("counts", 1)
    if y_pred.rank == 1:  # Keras's last axis is the batch here, and its only value the mean
        each = each.mean()
    expected = case["values"] if each.ndim else np.asarray(case["values"].mean())  # values of the whole batch, by class
    assert_close({"values": np.asarray(each), "loss": found["loss"]}, {"values": expected, "loss": case["loss"]})
    assert_close({"gradient": gradients["y_pred"]}, {"gradient": case["gradient"]})


SMOOTHED = [case for case in CASES if case.id.startswith("CategoricalCrossentropy-smoothing")]


@pytest.mark.parametrize("case", SMOOTHED, ids=lambda case: case.id)
def test_smoothed_ids_are_smoothed_one_hot_rows(case: Case) -> None:
    """Keras smooths one-hot rows alone."""
    args = {"loss": case.args["loss"] | {"type": "SparseCategoricalCrossentropy"}}
    arrays = case.arrays | {"y_true": case["y_true"].argmax(-1)}
    test_values_loss_and_gradient_are_those_of_keras(Case(case.id, args, arrays), np.float64)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("logits", [False, True])
def test_smoothed_ids_along_an_axis_where_some_do_not_count(axis: int, logits: bool) -> None:
    random = np.random.default_rng(0)
    z = random.standard_normal((3, 4, 5))
    p = np.exp(z) / np.exp(z).sum(axis, keepdims=True)
    ids = np.where(random.random(p.max(axis).shape) < 0.3, -1, random.integers(0, p.shape[axis], p.max(axis).shape))
    loss = {"type": "sparse_categorical_crossentropy", "axis": axis, "label_smoothing": 0.2, "ignore_class": -1}
    case = Case("axis", {"loss": loss | {"from_logits": logits}}, {"y_pred": z if logits else p, "y_true": ids})
    graph, fetches, arrays, _ = lowered(case)
    found, _, _ = run(graph, Parameters(graph, np.float64), arrays, fetches)
    log = np.moveaxis(np.log(p), axis, -1)
    own = np.take_along_axis(log, np.maximum(ids, 0)[..., None], -1)[..., 0]
    expected = -(0.8 * own + 0.2 * log.mean(-1))
    assert_close({"loss": found["loss"]}, {"loss": np.array(expected[ids >= 0].mean())})


@pytest.mark.parametrize("case", NONE, ids=lambda case: case.id)
def test_reduction_none_is_refused(case: Case) -> None:
    with pytest.raises(PydanticCustomError) as error:
        LOSSES.parse(case.args["loss"])
    assert "none returns one value per sample" in str(error.value.context)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_losses_of_workers_add_up(case: Case) -> None:
    """One worker or four; some may have no rows."""
    graph, fetches, arrays, _ = lowered(case)
    loss, gradient = by_workers(graph, fetches["loss"], arrays, 4, "y_pred")
    assert_close({"loss": np.array(loss)}, {"loss": case["loss"]})
    assert_close({"gradient": gradient}, {"gradient": case["gradient"]})


@pytest.mark.parametrize(
    ("name", "y_pred", "y_true"),
    [
        ("BinaryCrossentropy", [[1.0], [0.0]], [[0.0], [1.0]]),
        ("CategoricalCrossentropy", [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]),
    ],
)
def test_probabilities_are_clipped(name: str, y_pred: Any, y_true: Any) -> None:
    values = {"y_pred": np.array(y_pred, np.float32), "y_true": np.array(y_true, np.float32)}
    graph, fetches, arrays, _ = lowered(Case("certain", {"loss": {"type": name}}, values))
    found = run(graph, Parameters(graph, np.float32), arrays, fetches)[0]
    np.testing.assert_allclose(found["loss"], -np.log(1e-7), rtol=0.02)  # 1 - 1e-7 has one digit in float32


@pytest.mark.parametrize("gamma", [0.0, 0.5])
@pytest.mark.parametrize(
    ("name", "y_pred", "y_true"),
    [
        ("BinaryFocalCrossentropy", [[40.0], [-40.0]], [[1.0], [0.0]]),
        ("CategoricalFocalCrossentropy", [[40.0, -40.0], [-80.0, 80.0]], [[1.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_focal_gradients_are_finite_if_a_probability_is_one(name: str, y_pred: Any, y_true: Any, gamma: float) -> None:
    args = {"loss": {"type": name, "from_logits": True, "gamma": gamma}}
    values = {"y_pred": np.array(y_pred, np.float32), "y_true": np.array(y_true, np.float32)}
    graph, fetches, arrays, _ = lowered(Case("saturated", args, values))
    found, _, gradients = run(
        graph, Parameters(graph, np.float32), arrays, fetches, loss=fetches["loss"], input_grads=["y_pred"]
    )
    assert_close(
        {"loss": found["loss"], "gradient": gradients["y_pred"]},
        {"loss": np.zeros(()), "gradient": 0 * values["y_pred"]},
    )


@pytest.mark.parametrize("name", ["BinaryCrossentropy", "CosineSimilarity", "CategoricalCrossentropy"])
def test_the_axis_may_not_be_under_the_mask(name: str) -> None:
    found = LOSSES.parse({"type": name, "axis": 1}).check(value("N", 4, 3, mask=2))
    assert [(problem.severity, problem.code) for problem in found] == [("error", "GS402")]
