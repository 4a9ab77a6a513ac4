"""Operations against NumPy where Keras's torch backend does not have the case, and shapes whose batch is anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.compiler.check import check

X = np.random.default_rng(3).normal(size=(4, 3, 2)).astype(np.float32)


def spec(node: dict[str, Any], *more: dict[str, Any], shape: Any = (3, 2)) -> dict[str, Any]:
    first = {"name": "y", "inputs": "x", **node}
    inputs = {"x": {"shape": list(shape)}}
    return {"graphspec": 1, "name": "s", "inputs": inputs, "layers": [first, *more], "outputs": {"y": {}}}


def value(node: dict[str, Any], x: Any = X) -> Any:
    return gs.compile(spec(node, shape=x.shape[1:])).predict({"x": x})


def beside(node: dict[str, Any]) -> Any:
    """A value without a batch axis, less x: a head needs the axis."""
    layers = [{"name": "r", "inputs": "x", **node}, {"name": "y", "type": "ops.subtract", "inputs": ["r", "x"]}]
    document = spec({"type": "Identity"}) | {"layers": layers}
    return gs.compile(document).predict({"x": X}) + X


def test_products_of_all_elements() -> None:
    found = beside({"type": "ops.vdot", "inputs": ["x", "x"]})
    np.testing.assert_allclose(found, np.full(X.shape, np.vdot(X, X)), rtol=1e-5)


def test_broadcast_to() -> None:
    x = X[:, :1]
    np.testing.assert_array_equal(
        value({"type": "ops.broadcast_to", "shape": [-1, 3, 2]}, x), np.broadcast_to(x, (4, 3, 2))
    )
    (problem,) = check(spec({"type": "ops.broadcast_to", "shape": [-1, 5, 2]})).errors
    assert problem.code == "GS302"


def test_cast() -> None:
    assert value({"type": "ops.cast", "dtype": "int64"}).tolist() == X.astype(np.int64).tolist()
    assert value({"type": "ops.cast", "dtype": "bool"}).all()


def test_statistics_over_the_batch() -> None:
    np.testing.assert_allclose(beside({"type": "ops.mean", "axis": 0}), np.broadcast_to(X.mean(0), X.shape), atol=1e-6)
    np.testing.assert_allclose(beside({"type": "ops.max"}), np.full(X.shape, X.max()), atol=1e-6)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        ({"type": "ops.transpose"}, (2, 3, "N")),
        ({"type": "ops.ravel"}, ("N*6",)),
        ({"type": "ops.reshape", "newshape": [3, -1]}, (3, "N*2")),
        ({"type": "ops.stack", "inputs": ["x", "x"]}, (2, "N", 3, 2)),
        ({"type": "ops.vstack", "inputs": ["x", "x"]}, ("N+N", 3, 2)),
        ({"type": "ops.sum", "axis": 0}, (3, 2)),
        ({"type": "ops.repeat", "repeats": 2, "axis": 0}, ("N*2", 3, 2)),
        ({"type": "ops.flip"}, ("N", 3, 2)),
        ({"type": "ops.moveaxis", "source": 0, "destination": 1}, (3, "N", 2)),
    ],
    ids=lambda item: item["type"] if isinstance(item, dict) else "",
)
def test_the_batch_is_an_axis_as_any_other(node: dict[str, Any], shape: Any) -> None:
    lowered = check(spec(node)).lowered
    assert lowered is not None
    assert lowered.outputs["y"][0].shape == shape  # type: ignore[index]


@pytest.mark.parametrize("name", ["nonzero", "arange", "det", "imag", "map", "shape", "bincount"])
def test_what_cannot_be_is_refused_with_a_way_out(name: str) -> None:
    (problem,) = check(spec({"type": f"ops.{name}"})).errors
    assert (problem.code, "is refused" in problem.message) == ("GS105", True)
    assert problem.hint


@pytest.mark.parametrize(
    ("node", "code", "text"),
    [
        ({"type": "ops.take", "inputs": ["x", 0.5], "axis": 1}, "GS306", "needs integers as indices"),
        ({"type": "ops.take", "inputs": ["x", 7], "axis": 1}, "GS304", "index 7 out of range"),
        ({"type": "ops.split", "indices_or_sections": 2, "axis": 1}, "GS304", "cannot split 3 elements"),
        ({"type": "ops.split", "indices_or_sections": 2}, "GS305", "fixed size on axis 0"),
        ({"type": "ops.transpose", "axes": [0, 0, 1]}, "GS301", "cannot order the axes"),
        ({"type": "ops.cross", "inputs": ["x", "x"]}, "GS301", "three elements"),
        ({"type": "ops.concatenate", "inputs": ["x", [1, 2]]}, "GS301", "different rank"),
        ({"type": "ops.norm", "ord": 3, "axis": 1}, "GS301", "no such norm"),
        ({"type": "ops.pad", "pad_width": [[0, 0], [1, 1]]}, "GS301", "one for each axis"),
    ],
)
def test_mistakes(node: dict[str, Any], code: str, text: str) -> None:
    problems = check(spec(node)).errors
    assert [(p.code, text in p.message) for p in problems] == [(code, True)], problems


def test_infinities_and_gaps() -> None:
    x = np.array([[0.0, 1, -1, 2]], np.float32)
    odd = np.array([[np.nan, np.inf, -np.inf, np.inf]], np.float32)
    divided = {"name": "q", "type": "ops.divide", "inputs": ["x", 0.0]}
    for name, more in (("isnan", {}), ("isinf", {}), ("isfinite", {}), ("nan_to_num", {"nan": 3.0, "posinf": 7.0})):
        layers = [divided, {"name": "y", "type": f"ops.{name}", **more}]
        found = gs.compile(spec({"type": "Identity"}, shape=[4]) | {"layers": layers}).predict({"x": x})
        np.testing.assert_array_equal(found, getattr(np, name)(odd, **more))
    np.testing.assert_allclose(
        value({"type": "ops.expm1"}, np.array([[1e-6, -1e-6, 30, -30]], np.float32))[0, :2], [1e-6, -1e-6], rtol=1e-5
    )
