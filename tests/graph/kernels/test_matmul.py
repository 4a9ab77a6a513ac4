"""Matrix products: every layout, in one piece and in tiles; the rules for the tiles."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from graphs import Array, check_gradients, run

from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import matmul as products
from graphspec.graph.kernels.matmul import ReusedScratch, Tiling, batched, each_tiled, matmul, tiling, worth_transposing

CONTEXT: Any = SimpleNamespace(scratch=np.empty, constant=np.array)
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": lambda X: X,
    "columns": lambda X: np.asfortranarray(X),
    "part": lambda X: np.pad(X, ((0, 0), (3, 5)))[:, 3:-5],
    "part of columns": lambda X: np.pad(X.T, ((0, 0), (3, 5)))[:, 3:-5].T,
    "spread": lambda X: np.repeat(X, 2, 1)[:, ::2],
    "reversed": lambda X: np.ascontiguousarray(X[::-1])[::-1],
}
SHAPES = [(64, 784, 32), (96, 512, 128), (784, 64, 512), (64, 512, 512), (256, 3000, 16), (10, 512, 784), (7, 11, 13)]


@pytest.fixture(params=[True, False], ids=["tiles", "one piece"])
def tiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    forced: bool = request.param
    monkeypatch.setattr(choice, "FAST", forced)
    return forced


def calculate(calls: list[Any]) -> None:
    for f, *a in calls:
        f(*a)


@pytest.mark.slow
@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
def test_products_of_every_layout(first: str, second: str, tiled: bool) -> None:
    random = np.random.default_rng(0)
    for m, k, n in SHAPES:
        a, b = random.standard_normal((m, k)), random.standard_normal((k, n))
        for layout in LAYOUTS.values():
            out = layout(np.full((m, n), np.nan))
            calculate(matmul(CONTEXT, LAYOUTS[first](a), LAYOUTS[second](b), out))
            np.testing.assert_allclose(out, a @ b, rtol=1e-10, atol=1e-10)


def test_batched_products(tiled: bool) -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((5, 6, 7)), random.standard_normal((7, 8))
    for out in (np.empty((5, 6, 8)), np.empty((5, 8, 6)).mT, np.empty((6, 8, 5)).transpose(2, 0, 1)):
        calculate(batched(CONTEXT, a, b, out))
        np.testing.assert_allclose(out, a @ b)
    out = np.empty((1, 6, 8))
    calculate(batched(CONTEXT, a[:1], b, out))
    np.testing.assert_allclose(out, a[:1] @ b)


@pytest.mark.parametrize("shape", [(5, 128, 256, 32), (3, 64, 512, 64), (2, 33, 512, 96), (4, 7, 11, 13)], ids=str)
def test_each_product_of_many_in_tiles(shape: tuple[int, ...], tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "small_products", lambda: tiled)
    steps, m, k, n = shape
    random = np.random.default_rng(0)
    a, b = random.standard_normal((k, m)), random.standard_normal((steps, k, n))
    many, one = random.standard_normal((steps, k, m)), random.standard_normal((k, n))
    for A, B in ((a.T, b), (many.mT, one), (many.mT, b), (a.T, one)):
        leading = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
        for out in (np.empty((*leading, m, n)), np.empty((*leading, n, m)).mT):
            call = each_tiled(A, B, out)
            calculate([call])
            np.testing.assert_allclose(out, A @ B, rtol=1e-10, atol=1e-10)
            assert (call[1].ndim > A.ndim) == (tiled and tiling(m, k, n, True, False) is not None)


@pytest.mark.parametrize("out", ["C", "gaps", "F"])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_column_times_a_row_is_never_left_to_matmul(out: str, gaps: bool, tiled: bool) -> None:
    """``np.matmul`` has no BLAS for it: the gradient of a layer with one unit took seven times as long."""
    a, b = normal(100, 2)[:, :1] if gaps else normal(100, 1), normal(70, 1).T
    results = {"C": np.empty((100, 70)), "gaps": np.empty((100, 80))[:, :70], "F": np.empty((70, 100)).T}
    calls = matmul(CONTEXT, a, b, results[out])
    assert np.matmul not in [function for function, *_ in calls]
    calculate(calls)
    np.testing.assert_array_equal(results[out], a * b)


def test_tilings_divide_their_products_into_small_ones() -> None:
    sizes = (1, 2, 7, 10, 16, 24, 32, 48, 64, 97, 100, 128, 193, 200, 512, 784, 1000, 4096, 10007)
    found = 0
    for m in sizes:
        for k in sizes:
            for n in sizes:
                for layout in ((False, False), (True, False), (False, True), (True, True)):
                    if (p := tiling(m, k, n, *layout)) is None:
                        continue
                    found += 1
                    assert (m % p.rows, n % p.columns, k % p.parts) == (0, 0, 0)
                    assert p.rows * p.columns * (k // p.parts) <= 1_000_000
                    assert not layout[1] or p.rows * p.columns <= 1200
    assert found > 1000


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((64, 784, 32), (False, False), Tiling(32, 32)),
        ((784, 64, 32), (True, False), Tiling(112, 32)),
        ((512, 193, 32), (False, False), Tiling(128, 32)),
        ((128, 512, 32), (True, False), Tiling(32, 32)),
        ((256, 10000, 16), (False, False), Tiling(32, 16, 10)),
        ((64, 512, 512), (False, True), Tiling(32, 32)),
        ((16, 2048, 2048), (False, True), Tiling(16, 16)),
        ((32, 2048, 2048), (False, True), Tiling(32, 8)),
        ((33, 2048, 2048), (False, True), None),
        ((16, 2048, 2042), (False, True), None),
        ((64, 784, 512), (False, False), None),
        ((64, 32, 10), (False, False), None),
    ],
)
def test_tilings(shape: tuple[int, int, int], layout: tuple[bool, bool], expected: Tiling | None) -> None:
    assert tiling(*shape, *layout) == expected


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[Tiling]:
    """Tile every product that can be tiled, with the smallest tiles."""
    made: list[Tiling] = []

    def least(n: int) -> int:
        return next((d for d in range(2, n) if n % d == 0), n)

    def tiny(m: int, k: int, n: int, first: bool, second: bool) -> Tiling:
        made.append(Tiling(least(m), least(n), k // least(k)))
        return made[-1]

    monkeypatch.setattr(choice, "FAST", True)
    monkeypatch.setattr(products, "tiling", tiny)
    monkeypatch.setattr(products, "_SMALL_RESULT", 0)  # operands are transposed, too
    return made


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


NETWORKS: dict[str, tuple[list[Array], dict[str, Any]]] = {
    "Gemm": ([normal(6, 4), normal(4, 8), normal(8)], {}),
    "MatMul": ([normal(2, 3, 4), normal(4, 6)], {}),
    "LSTM": ([normal(5, 4, 2), normal(1, 16, 2), normal(1, 16, 4), normal(1, 32)], {"hidden_size": 4}),
    "GRU": ([normal(5, 4, 2), normal(1, 12, 2), normal(1, 12, 4), normal(1, 24)], {"hidden_size": 4}),
    "RNN": ([normal(5, 4, 2), normal(1, 4, 2), normal(1, 4, 4), normal(1, 8)], {"hidden_size": 4}),
}


@pytest.mark.parametrize("op", NETWORKS)
def test_operators_with_tiles(op: str, tiny: list[Tiling], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, attributes = NETWORKS[op]
    tiled = run(op, inputs, frozenset(), np.float64, **attributes)
    check_gradients(op, inputs, list(range(len(inputs))), **attributes)
    assert any(p.parts > 1 for p in tiny)
    monkeypatch.setattr(choice, "FAST", False)
    for a, b in zip(tiled, run(op, inputs, frozenset(), np.float64, **attributes), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_operands_of_small_products_are_transposed(tiled: bool) -> None:
    assert worth_transposing(128, 64, 65) == tiled
    assert not worth_transposing(20, 64, 60)
    assert not worth_transposing(512, 32, 193)


def test_products_that_run_one_after_another_share_scratch() -> None:
    reused = ReusedScratch(CONTEXT)
    assert reused.scratch((2, 3), np.float32) is reused.scratch((2, 3), np.float32)
    assert reused.scratch((2, 3), np.float32) is not reused.scratch((3, 2), np.float32)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_steps_side_by_side(op: str) -> None:
    """If one result fills the cache, the steps of a block are one product."""
    from graphspec.graph.kernels import recurrence
    from graphspec.graph.kernels import recurrence as step_products

    gates, H, features, N, T = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 40, 30, 2, 5
    inputs = [normal(T, N, features), normal(1, gates * H, features), normal(1, gates * H, H), normal(1, 2 * gates * H)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_products, "CACHE_ELEMENTS", 100)
        patch.setattr(recurrence, "CACHE_ELEMENTS", 6 * H * N * 2)  # blocks of two steps or more, and a shorter one
        check_gradients(op, [0.1 * X for X in inputs], [0, 1, 2, 3], hidden_size=H)
