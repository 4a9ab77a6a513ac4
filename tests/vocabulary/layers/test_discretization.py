"""Bins of numbers: boundaries that are learnt or given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from adapting import adapted, in_both
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS
from lowering import TIME, lower
from pydantic import ValidationError

from graphspec.graph.ir.graph import Range
from graphspec.vocabulary.layers import LAYERS


@pytest.mark.slow
@given(st.integers(2, 20), st.integers(1, 300), st.integers(0, 2**20))
@SETTINGS
def test_boundaries_are_quantiles(bins: int, rows: int, seed: int) -> None:
    X = np.random.default_rng(seed).integers(-9, 9, (rows, 2)).astype(np.float32)
    layer: Any = adapted({"type": "Discretization", "num_bins": bins}, X)
    expected = np.quantile(X.astype(np.float64), np.arange(1, bins) / bins).astype(np.float32)
    np.testing.assert_array_equal(np.float32(layer.bin_boundaries), expected)
    (Y,) = in_both(layer, X)
    np.testing.assert_array_equal(Y, (X[..., None] >= expected).sum(-1))


def test_bins_have_as_many_rows() -> None:
    X = np.random.default_rng(0).permutation(100).astype(np.float32)[:, None]
    (Y,) = in_both(adapted({"type": "Discretization", "num_bins": 5}, X), X)
    assert np.bincount(Y.ravel()).tolist() == [20] * 5


def test_bins_between_equal_boundaries_stay_empty() -> None:
    X = np.array([0.0] * 8 + [1.0, 2.0], np.float32)[:, None]
    layer: Any = adapted({"type": "Discretization", "num_bins": 4, "output_mode": "one_hot"}, X)
    assert layer.bin_boundaries == (0.0, 0.0, 0.0)
    (Y,) = in_both(layer, X)
    assert Y.shape == (10, 4)
    assert Y.sum(0).tolist() == [0.0, 0.0, 0.0, 10.0]
    assert in_both(layer, np.array([[-1.0]], np.float32))[0].tolist() == [[1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("mode", "shape"), [("int", TIME), ("one_hot", ("N", "time", 3, 5)), ("multi_hot", ("N", 5)), ("count", ("N", 5))]
)
def test_shapes_before_the_boundaries_are_learnt(mode: str, shape: tuple[Any, ...]) -> None:
    inputs = TIME if mode in ("int", "one_hot") else ("N", "time")
    graph, (output,) = lower({"type": "Discretization", "num_bins": 5, "output_mode": mode}, inputs)
    assert output.shape == shape
    assert list(graph.learnt) == ["y.statistics"]
    assert mode != "int" or output.range == Range(0, 4)


def test_learnt_boundaries_must_be_as_many_as_the_bins_need() -> None:
    layer = LAYERS.parse({"type": "Discretization", "num_bins": 4})
    with pytest.raises(ValueError, match="must be 3 with these"):
        layer.with_learnt({"bin_boundaries": [0.0, 1.0]})
    with pytest.raises(ValueError, match="does not learn num_bins"):
        layer.with_learnt({"num_bins": 3})
    given = LAYERS.parse({"type": "Discretization", "bin_boundaries": [0.0], "output_mode": "one_hot"})
    assert given.with_learnt({"bin_boundaries": [1.0, 2.0]}).bin_boundaries == (1.0, 2.0)


@pytest.mark.parametrize(
    ("arguments", "where", "code"),
    [
        ({}, (), "GS103"),
        ({"num_bins": 4, "bin_boundaries": [0.0]}, (), "GS105"),
        ({"num_bins": 1}, ("num_bins",), "greater_than_equal"),
        ({"num_bins": 2**20}, ("num_bins",), "less_than_equal"),
    ],
)
def test_argument_error(arguments: dict[str, Any], where: tuple[str, ...], code: str) -> None:
    cls = LAYERS.get("Discretization")
    assert cls is not None
    with pytest.raises(ValidationError) as error:
        cls.model_validate(arguments)
    (found,) = error.value.errors()
    assert (found["loc"], found["type"]) == (where, code)
