"""Missing numbers: what stands for them, and where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapting import adapted, graph_of, in_both, learn, value_of
from lowering import TIME, lower, source
from pydantic import ValidationError

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.vocabulary.layers import LAYERS

NAN = float("nan")
X = np.array([[1.0, NAN], [NAN, 10.0], [2.0, 20.0], [9.0, NAN]], np.float32)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"strategy": "median"}, [[1, 15], [2, 10], [2, 20], [9, 15]]),
        ({"strategy": "mean"}, [[1, 15], [4, 10], [2, 20], [9, 15]]),
        ({"strategy": "zero"}, [[1, 0], [0, 10], [2, 20], [9, 0]]),
        ({"strategy": "constant", "fill_value": -1.5}, [[1, -1.5], [-1.5, 10], [2, 20], [9, -1.5]]),
        ({"strategy": "constant", "fill_value": [3.0, 4.0]}, [[1, 4], [3, 10], [2, 20], [9, 4]]),
        ({"strategy": "median", "fill_value": [3.0, 4.0]}, [[1, 4], [3, 10], [2, 20], [9, 4]]),
    ],
)
@pytest.mark.parametrize("indicator", [False, True])
def test_strategies(layer: dict[str, Any], expected: list[list[float]], indicator: bool) -> None:
    layer = {"type": "Impute", "indicator": indicator, **layer}
    learnt = adapted(layer, X) if LAYERS.parse(layer).learns else layer
    filled, *others = in_both(learnt, X)
    assert filled.tolist() == expected
    assert [other.tolist() for other in others] == [np.isnan(X).tolist()] * indicator


def test_the_last_axis_has_a_number_each_and_scalars_have_one() -> None:
    layer: Any = adapted("Impute", np.arange(24, dtype=np.float32).reshape(4, 2, 3))
    assert layer.fill_value == (10.5, 11.5, 12.5)
    scalars: Any = adapted({"type": "Impute", "strategy": "mean"}, np.array([NAN, 1.0, 2.0], np.float32))
    assert scalars.fill_value == 1.5
    assert in_both(scalars, np.array([NAN, 4.0], np.float32))[0].tolist() == [1.5, 4.0]


def test_integers() -> None:
    """The smallest int64 is missing; other integers are always there."""
    ids = np.array([[4], [MISSING_INTEGER], [7], [8]], np.int64)
    filled, missing = in_both(adapted({"type": "Impute", "indicator": True}, ids), ids)
    assert filled.tolist() == [[4.0], [7.0], [7.0], [8.0]]
    assert missing.tolist() == [[0.0], [1.0], [0.0], [0.0]]
    small = np.array([[4, 0]], np.uint8)
    filled, missing = in_both({"type": "Impute", "strategy": "zero", "indicator": True}, small)
    assert (filled.tolist(), missing.tolist()) == ([[4.0, 0.0]], [[0.0, 0.0]])


def test_shapes_and_masks() -> None:
    graph, outputs = lower({"type": "Impute", "indicator": True}, TIME)
    assert [(v.shape, v.dtype) for v in outputs] == [(TIME, "float32")] * 2
    assert list(graph.learnt) == ["y.statistics"]
    cls = LAYERS.get("Impute")
    assert cls is not None
    assert cls.takes_missing
    assert cls.supports_masking
    assert not graph_of({"type": "Impute", "strategy": "zero"}, X).learnt


def test_a_column_without_numbers() -> None:
    for strategy in ("median", "mean"):
        layer = LAYERS.parse({"type": "Impute", "strategy": strategy})
        with pytest.raises(ShapeError, match="no number to learn from at index 1") as error:
            learn(layer.learner(value_of(X)), [X[:1]])
        assert error.value.code == "GS505"


@pytest.mark.parametrize(
    ("layer", "shape", "code"),
    [
        ({}, ("N", "features"), "GS305"),
        ({"fill_value": [1.0, 2.0]}, TIME, "GS304"),
    ],
)
def test_shape_error(layer: dict[str, Any], shape: tuple[Any, ...], code: str) -> None:
    with pytest.raises(ShapeError) as error:
        lower({"type": "Impute", **layer}, shape)
    assert error.value.code == code


def test_texts_are_not_numbers() -> None:
    with pytest.raises(ShapeError, match="needs numbers") as error:
        lower("Impute", source("x", ("N", 1), "string"))
    assert error.value.code == "GS306"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"strategy": "constant"}, "GS103"),
        ({"strategy": "zero", "fill_value": 1.0}, "GS105"),
        ({"strategy": "most_frequent"}, "literal_error"),
        ({"strategy": "constant", "fill_value": NAN}, "finite_number"),
    ],
)
def test_argument_error(arguments: dict[str, Any], code: str) -> None:
    cls = LAYERS.get("Impute")
    assert cls is not None
    with pytest.raises(ValidationError) as error:
        cls.model_validate(arguments)
    assert error.value.errors()[0]["type"] == code


def test_numbers_that_count_as_missing(tmp_path: Path) -> None:
    """They are left out of what is learnt, and filled in the file; texts are for data files."""
    column = {"type": "number", "missing_values": [-1, 1e20, "unknown"], "indicator": True}
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "marked",
            "inputs": {"row": {"columns": {"a": column}}},
            "layers": [{"name": "y", "type": "Dense", "units": 1}],
            "outputs": {"y": {"loss": "mse"}},
            "training": {"optimizer": "adam", "epochs": 1},
        }
    )
    x = np.array([[1], [2], [6], [-1], [1e20], [NAN]], np.float32)
    model.fit({"a": x}, np.ones((6, 1), np.float32), verbose=0)
    layers = {node.type: node.layer for node in model.spec.nodes}
    assert layers["Impute"].fill_value in (2.0, (2.0,))  # type: ignore[union-attr]
    answers = model.predict({"a": x})[:, 0].tolist()
    assert answers[3] == answers[4] == answers[5] != answers[1]
    model.export(tmp_path / "m.onnx")
    rows = np.array([[1.0], ["unknown"], [None]], object)
    assert model.predict({"a": rows})[1:, 0].tolist() == [answers[5]] * 2
