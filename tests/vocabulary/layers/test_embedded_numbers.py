"""Numbers made fit for networks: the robust scale, the smooth clip and pieces, against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from adapting import adapted, in_both, in_onnxruntime, learn, value_of
from lowering import TIME, lower
from pydantic import ValidationError

from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import LearntSize
from graphspec.vocabulary.layers import LAYERS

Array = np.ndarray[Any, Any]
R = np.random.default_rng(0)
SKEWED = np.exp(R.normal(0, 2, (500, 1)))
X = np.hstack([SKEWED, R.integers(0, 2, (500, 1)), np.full((500, 1), 7.0), R.integers(0, 5, (500, 1)) ** 3]).astype("f")
FAR = np.array([[1e30, -1e30, 8.0, np.inf], [-np.inf, 0.25, -3.0, -1.0]], np.float32)
LEARNING = ("RobustScaling", "PiecewiseLinear")


def test_robust_scaling() -> None:
    first, median, third = np.quantile(X.astype(np.float64), (0.25, 0.5, 0.75), axis=0)
    widths = third - first
    assert widths[2] == 0
    widths[2] = 1.0
    (Y,) = in_both(adapted("RobustScaling", X), X)
    np.testing.assert_allclose(Y, (X - median) / widths, rtol=1e-5, atol=1e-6)
    rare = np.float32([[0.0]] * 9 + [[4.0]])  # equal quartiles: the range
    assert in_both(adapted("RobustScaling", rare), np.float32([[2.0]]))[0].tolist() == [[0.5]]


def test_smooth_clip() -> None:
    x = np.array([[-1e3, -2.0, -1e-4, 0.0, 0.1, 3.0, 50.0]], np.float32)
    np.testing.assert_allclose(in_both("SmoothClip", x)[0], x / np.sqrt(1 + (x / 3) ** 2), rtol=1e-6)
    far = np.array([[1e30, -np.inf]], np.float32)
    np.testing.assert_allclose(in_both({"type": "SmoothClip", "limit": 2}, far)[0], [[2, -2]], rtol=1e-6)


def encoded(x: Array, bins: int) -> Array:
    """The encoding of one column by rtdl_num_embeddings' formula, each bin clipped on both sides."""
    edges = np.unique(np.quantile(x.astype(np.float64), np.linspace(0, 1, bins + 1)).astype(np.float32))
    edges = edges if len(edges) > 1 else np.append(edges, edges + 1)
    weight, bias = 1 / np.diff(edges), -edges[:-1] / np.diff(edges)
    return np.clip(bias + weight * x[:, None], 0, 1)


@pytest.mark.parametrize("bins", [1, 2, 8])
def test_piecewise_linear(bins: int) -> None:
    layer = adapted({"type": "PiecewiseLinear", "num_bins": bins}, X)
    (Y,) = in_both(layer, X)
    expected = np.hstack([encoded(column, bins) for column in X.T])
    assert expected.shape[1] < 4 * bins or bins == 1
    np.testing.assert_allclose(Y, expected, rtol=1e-4, atol=1e-5)
    (far,) = in_both(layer, FAR)
    assert far.min() == 0
    assert far.max() == 1


def test_bins_have_as_many_rows() -> None:
    x = R.permutation(101).astype(np.float32)[:, None]
    (Y,) = in_both(adapted({"type": "PiecewiseLinear", "num_bins": 4}, x), x)
    np.testing.assert_allclose(Y, np.clip((x - [0, 25, 50, 75]) / 25, 0, 1), rtol=1e-6)


def test_sequences_keep_their_steps() -> None:
    x = R.normal(size=(20, 3, 2)).astype(np.float32)
    (Y,) = in_both(adapted({"type": "PiecewiseLinear", "num_bins": 4}, x), x)
    (rows,) = in_both(adapted({"type": "PiecewiseLinear", "num_bins": 4}, x.reshape(60, 2)), x.reshape(60, 2))
    np.testing.assert_array_equal(Y.reshape(60, 8), rows)
    assert in_onnxruntime(adapted("RobustScaling", x), x)[0].shape == x.shape


def test_one_list_is_for_all_columns() -> None:
    layer = {"type": "PiecewiseLinear", "num_bins": 2, "quantiles": [0.0, 1.0, 3.0]}
    assert in_both(layer, np.float32([[0.5, 2.0]]))[0].tolist() == [[0.5, 0.0, 1.0, 0.5]]


def test_integers() -> None:
    ids = np.array([[1], [2], [6]], np.int64)
    assert in_both(adapted("RobustScaling", ids), ids)[0].ravel().tolist() == pytest.approx([-0.4, 0.0, 1.6])
    assert in_both(adapted({"type": "PiecewiseLinear", "num_bins": 2}, ids), ids)[0].tolist() == [
        [0, 0],
        [1, 0],
        [1, 1],
    ]


@pytest.mark.parametrize("kind", LEARNING)
def test_shapes_before_anything_is_learnt(kind: str) -> None:
    graph, (output,) = lower(kind, TIME)
    assert output.dtype == "float32"
    assert LAYERS.parse(kind).learns
    assert list(graph.learnt) == ["y.statistics", "y.pieces"][: 1 + (kind == "PiecewiseLinear")]
    if kind == "PiecewiseLinear":
        assert output.shape == ("N", "time", graph.learnt["y.pieces"])
        assert isinstance(output.shape[-1], LearntSize)
    else:
        assert output.shape == TIME


@pytest.mark.parametrize(
    ("layer", "shape", "code", "text"),
    [
        *((kind, ("N", "features"), "GS305", "") for kind in LEARNING),
        *((kind, ("N",), "GS301", "(batch, …, numbers)") for kind in LEARNING),
        (
            {"type": "PiecewiseLinear", "num_bins": 1, "quantiles": [[0, 1], [2, 3]]},
            TIME,
            "GS304",
            "has 2 lists in `quantiles` for (N, time, 3)",
        ),
    ],
)
def test_shape_error(layer: Any, shape: Any, code: str, text: str) -> None:
    with pytest.raises(ShapeError) as error:
        lower(layer, shape)
    assert error.value.code == code
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            {"type": "RobustScaling", "quantiles": [1.0, 2.0]},
            "must have 5 numbers in ascending order, or lists of as many",
        ),
        ({"type": "RobustScaling", "quantiles": 1.0}, "must have 5 numbers"),
        ({"type": "PiecewiseLinear", "num_bins": 2, "quantiles": [1, 0, 2]}, "must have 3 numbers in ascending order"),
        ({"type": "PiecewiseLinear", "num_bins": 0}, "greater than or equal to 1"),
        ({"type": "SmoothClip", "limit": 0.0}, "greater than 0"),
    ],
)
def test_argument_error(layer: dict[str, Any], text: str) -> None:
    cls = LAYERS.get(layer.pop("type"))
    assert cls is not None
    with pytest.raises(ValidationError, match=text):
        cls.model_validate(layer)


@pytest.mark.parametrize("kind", LEARNING)
def test_learnt_by_batches_exactly(kind: str) -> None:
    """Whatever the batches are, and of int64 columns with gaps, which count as missing."""
    layer = LAYERS.parse(kind)
    whole = learn(layer.learner(value_of(X)), [X])
    assert whole == learn(layer.learner(value_of(X)), np.split(X, [1, 2, 77, 400]))
    assert layer.with_learnt(whole) == layer.with_learnt(learn(layer.learner(value_of(X)), [X[::-1]]))
