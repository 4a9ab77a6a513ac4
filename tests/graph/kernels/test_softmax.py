"""The compiled kernels of softmax, its losses, and sigmoids give the bits of NumPy's calls."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bits import Memory, assert_same_bits, needs_kernels, numbers, run
from compiled_kernels import OF_SOFTMAX
from graphs import Array

from graphspec.base.arrays.calls import Calls
from graphspec.graph.kernels import softmax
from graphspec.graph.kernels.compiled import TWINS
from graphspec.graph.ops import attention, elementwise, loss

MODULES = (attention, elementwise, loss, softmax)
"""The modules with twins, which register them."""

SIZES = (
    (1, 1, 1),
    (2, 3, 5),
    (3, 64, 40),
    (1, 10, 128),
    (2, 7, 1500),
    (5, 100, 1),
    (3, 33, 1),
    (4, 1, 1),
    (0, 3, 4),
    (2, 3, 0),
)
"""Of (outer, keys, inner)."""


def check(kernel: str, results: tuple[str, ...], operands: dict[str, Array | None], **scratch: Any) -> dict[str, Any]:
    """Run a kernel and its twin on copies; assert that the results have the same bits, and return them."""
    twin = TWINS[kernel]
    assert tuple(operands) == twin.operands
    kept = {name: None if x is None else x.copy() for name, x in operands.items()}
    call = twin.bound([*operands.values()])
    assert call is not None, f"{kernel} is not compiled"
    run([(call,)])
    run(twin.numpy(*kept.values(), **scratch))
    for name in results:
        found, expected = operands[name], kept[name]
        assert found is not None
        assert expected is not None
        assert_same_bits(found, expected, f"{kernel}, {name} of {found.shape}")
    return operands


def reduced(x: Array, largest: Array) -> Calls:
    return [(np.maximum.reduce, x, 1, None, largest, True)]


def views(x: Array) -> Iterator[Array]:
    """The numbers of x in several orders of memory."""
    yield x
    for order in ((0, 2, 1), (2, 1, 0), (1, 0, 2)):
        yield np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    yield np.repeat(x, 2, axis=2)[:, :, ::2]


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_the_largest_is_subtracted(size: tuple[int, int, int], dtype: Any, library: Any) -> None:
    random = np.random.default_rng(1)
    x = numbers(random, size, dtype) + dtype(0)  # no -0: the sign of a maximum of 0 is not defined
    for least in (None, np.array(-0.5, dtype)):
        for view in views(x):
            largest, z = np.zeros((size[0], 1, size[2]), dtype), np.zeros(size, dtype)
            twin = TWINS["subtract_largest"]
            call = twin.bound([view, least, largest, z])
            assert call is not None
            run([(call,)])
            expected, shifted = largest.copy(), z.copy()
            maxima = lambda view=view, expected=expected: reduced(view, expected)  # noqa: E731 (of these two)
            run(twin.numpy(view, least, expected, shifted, maxima=maxima, source=view))
            assert_same_bits(largest, expected)
            assert_same_bits(z, shifted)
    run([(TWINS["subtract_largest"].bound([x, None, largest, x]),)])
    run([(TWINS["subtract_largest"].bound([view, None, largest, z]),)])
    assert_same_bits(x, z, "in place")


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_shares_and_their_gradient(size: tuple[int, int, int], dtype: Any, library: Any) -> None:
    random = np.random.default_rng(2)

    def make(*shape: int) -> Array:
        return numbers(random, shape or size, dtype)

    one = (size[0], 1, size[2])
    for least, dropout in product((None, np.array(1.0, dtype)), (False, True)):
        kept, result = (make(), make()) if dropout else (None, None)
        operands = {"z": make(), "total": make(*one), "least": least, "kept": kept, "product": result}
        check("divide_by_sum", ("z", "total", *(["product"] if dropout else [])), operands)
    for kept, seen in product((None, make()), (None, make(*one))):
        operands = {"gradient": make(), "kept": kept, "total": make(*one), "weights": make(), "seen": seen}
        check("softmax_gradient", ("gradient",), operands)


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(1, 10, 128), (1, 3, 7), (40, 100, 1), (1, 1, 1), (1, 4, 0), (0, 70, 1)])
def test_cross_entropy(size: tuple[int, int, int], dtype: Any, library: Any) -> None:
    random = np.random.default_rng(3)
    outer, classes, inner = size
    rows = outer * inner
    z, sums = numbers(random, size, dtype), np.abs(numbers(random, rows, dtype)) + dtype(1)
    memory = z.reshape(-1)
    for low, high in ((0, classes), (-2 * classes, 2 * classes)) if rows else ((0, 1),):
        labels = random.integers(low, high, rows)
        starts = np.arange(rows) * (1 if outer == 1 else classes)
        step = None if outer != 1 else np.array(inner)
        operands = {"z": memory, "labels": labels, "starts": starts, "step": step}
        picked = {"indices": np.zeros(rows, np.int64), "values": np.zeros(rows, dtype)}
        if rows:
            check("pick", ("indices", "values"), {**operands, **picked})
        indices = picked["indices"] if low == 0 else random.permutation(2 * rows * classes)[:rows] - rows * classes
        operands = {"z": z.copy(), "sums": sums, "dy": numbers(random, rows, dtype), "indices": indices}
        operands |= {"values": np.zeros(rows, dtype), "wrong": np.array([7])}
        check("class_gradient", ("z",), operands, scale=np.zeros(rows, dtype))
        assert operands["wrong"][0] == 0


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_cross_entropy_with_targets(size: tuple[int, int, int], dtype: Any, library: Any) -> None:
    random = np.random.default_rng(8)
    rows = size[0] * size[2]
    scratch = {"scale": np.zeros(rows, dtype), "product": np.zeros(size, dtype)}
    for view in views(numbers(random, size, dtype)):
        numbers_of_rows = {name: numbers(random, rows, dtype) for name in ("sums", "dy", "target_sums")}
        check(
            "target_gradient",
            ("z",),
            {"z": numbers(random, size, dtype), **numbers_of_rows, "targets": view},
            **scratch,
        )


@needs_kernels
@pytest.mark.parametrize("outer", [1, 2])
def test_a_label_that_is_no_class_is_noted(outer: int, library: Any) -> None:
    z, ones = np.ones((outer, 3, 2 // outer), np.float32), np.ones(2, np.float32)
    for index in (6, -7, 2**62, -(2**63)):
        wrong = np.zeros(1, np.int64)
        call = TWINS["class_gradient"].bound([z, ones, ones, np.array([index, 1]), np.zeros(2, np.float32), wrong])
        run([(call,)])
        assert wrong[0] == index


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(2, 3, 2, 20, 5), (1, 4, 1, 33, 8), (2, 1, 3, 1, 1), (1, 2, 2, 0, 4)])
def test_rows_of_heads_become_columns(size: tuple[int, ...], dtype: Any, library: Any) -> None:
    n, groups, heads, rows, width = size
    x = numbers(np.random.default_rng(5), (n, rows, groups, heads, width), dtype)
    for order in ((0, 2, 3, 1, 4), (0, 2, 3, 4, 1)):  # side by side in the last axis, and one after the other
        view = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order)).transpose(0, 2, 3, 1, 4)
        for factor in (None, np.array(0.3, dtype)):
            out = np.zeros((n, groups, width, heads * rows), dtype)
            check("scaled_columns", ("out",), {"x": view, "factor": factor, "out": out})
    check("scaled_columns", ("out",), {"x": x.transpose(0, 2, 3, 1, 4), "factor": None, "out": out})


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 7, 33, 5000])
def test_sigmoids(size: int, dtype: Any, library: Any) -> None:
    random = np.random.default_rng(4)
    x, y, dy, t, targets = (numbers(random, size, dtype) for _ in range(5))
    ctx, most, zeros = Memory(dtype), np.array(1.5, dtype), np.zeros(size, dtype)
    check("logistic_argument", ("y",), {"x": x, "most": most, "y": y.copy()}, ctx=ctx)
    check("logistic", ("y",), {"y": t.copy()}, ctx=ctx)
    check("logistic_gradient", ("dy",), {"y": y, "dy": dy.copy()}, ctx=ctx)
    check("tanh_gradient", ("dy",), {"y": y, "dy": dy.copy()}, ctx=ctx)
    operands = {"x": x, "targets": targets, "y": y.copy(), "exponent": t.copy()}
    check("binary_terms", ("y", "exponent"), operands, zeros=zeros)
    check("binary_gradient", ("dy",), {"t": t, "targets": targets, "dy": dy.copy()}, ctx=ctx)


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(16, 1), (1, 1), (70, 33), (0, 3), (5, 0)])
def test_squared_errors(size: tuple[int, int], dtype: Any, library: Any) -> None:
    random = np.random.default_rng(6)
    x, targets, error, square = (numbers(random, size, dtype) for _ in range(4))
    check("squared_error", ("error", "square"), {"x": x, "targets": targets, "error": error, "square": square})
    operands = {"dy": numbers(random, size[0], dtype), "scale": np.array(0.3, dtype), "error": error}
    check("squared_error_gradient", ("dy", "error"), operands)


@needs_kernels
def test_wrong_shapes_are_refused(library: Any) -> None:
    x, sums = np.ones((2, 3, 4), np.float32), np.ones((2, 1, 4), np.float32)
    places = np.zeros(8, np.int64)
    assert TWINS["pick"].bound([x, places.astype(np.int32), places, None, places.copy(), sums]) is None
    wrong: list[tuple[str, list[Any], str]] = [
        ("subtract_largest", [x, None, sums, np.ones((2, 4, 3), np.float32)], "another shape"),
        ("subtract_largest", [x[0], None, sums, x[0].copy()], "outer, keys, inner"),
        ("subtract_largest", [x, None, sums[:1].copy(), x.copy()], "a number for each sum"),
        ("divide_by_sum", [x, sums[:1].copy(), None, None, None], "a number for each sum"),
        ("divide_by_sum", [x, sums, None, x.copy(), None], "differ in number"),
        ("softmax_gradient", [x, None, sums, x[:1].copy(), None], "differ in number"),
        ("softmax_gradient", [x, None, sums, x.copy(), sums[:1].copy()], "a number for each sum"),
        ("scaled_columns", [x, None, x.copy()], "needs rows"),
        (
            "scaled_columns",
            [np.ones((2, 3, 4, 5, 6), np.float32), None, np.ones((2, 3, 5, 20), np.float32)],
            "differ in",
        ),
        ("squared_error_gradient", [places[:2].astype(np.float32), x[0, 0, :1].copy(), x[0].copy()], "for each row"),
        ("pick", [x, places, places[:1].copy(), None, places.copy(), sums], "a number for each label"),
        ("class_gradient", [x, sums, sums, places[:1].copy(), sums.copy(), places[:1].copy()], "for each label"),
        ("target_gradient", [x, sums, sums, sums[:1].copy(), x.copy()], "a number for each row"),
        ("target_gradient", [x, sums, sums, sums, np.ones((2, 4, 3), np.float32)], "another shape"),
        ("target_gradient", [x, sums, sums, sums, x[0].copy()], "outer, classes, inner"),
        ("class_gradient", [x[0], sums, sums, places, sums.copy(), places[:1].copy()], "outer, classes, inner"),
    ]
    for kernel, operands, text in wrong:
        with pytest.raises(ValueError, match=text):
            TWINS[kernel].bound(operands)


def test_all_kernels_of_this_file_are_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    modules = {module.__name__ for module in MODULES}
    here = {name for name, twin in TWINS.items() if twin.numpy.__module__ in modules}
    assert here >= OF_SOFTMAX
    assert all(f'"{name}"' in text for name in OF_SOFTMAX)
