"""Programs as one call: kernels give the bits of NumPy's calls, and calls that have none stay in their order."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from bits import FOUND, Array, assert_same_bits, needs_kernels, numbers, run

from graphspec.base.arrays.blas import one_thread
from graphspec.base.arrays.calls import Call, Calls
from graphspec.graph.kernels import compiled, one_call
from graphspec.graph.kernels.one_call import runner

ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide, np.square, np.sqrt)


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    return FOUND


def compiled_steps(calls: Calls) -> list[bool]:
    made: Any = runner(calls)
    return [isinstance(f, FOUND.Call) for f, _ in made.steps]


def same_bits(call: Call, result: Array, start: Array) -> None:
    """A call made by NumPy and one made by its kernel leave the same bits in ``result``, which begins as ``start``."""
    assert compiled_steps([call]) == [True], call
    results = []
    for make in (lambda: run([call]), runner([call])):
        result[...] = start
        make()
        results.append(result.copy())
    assert_same_bits(*results, text=str(call[0]))


def layouts(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Iterator[Array]:
    """Numbers of a shape in several layouts, and those that are broadcast to it."""
    yield numbers(random, shape, dtype)
    yield np.asfortranarray(numbers(random, shape, dtype))
    yield numbers(random, (*shape, 2), dtype)[..., 0]
    yield numbers(random, shape[::-1], dtype)[::-1].T
    yield numbers(random, shape[-1:], dtype)
    yield numbers(random, (*shape[:-1], 1), dtype)
    yield numbers(random, (), dtype)


@needs_kernels
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("f", ARITHMETIC, ids=lambda f: f.__name__)
def test_arithmetic(f: Any, dtype: str) -> None:
    random = np.random.default_rng(5)
    for shape in [(7, 33), (1, 5), (2, 3, 19), (0, 4), (128, 10), (3, 1)]:
        for k, x in enumerate(layouts(random, shape, dtype)):
            for result in list(layouts(random, shape, dtype))[:3]:
                start = result.copy()
                if f.nin == 1:
                    same_bits((f, x, result), result, start)
                    continue
                for y in layouts(random, shape, dtype):
                    same_bits((f, x, y, result), result, start)
                if k == 0:
                    same_bits((partial(f, out=result), result, x), result, start)  # in place


@needs_kernels
@pytest.mark.parametrize("f", ARITHMETIC[:4], ids=lambda f: f.__name__)
def test_of_large_arrays_only_sums_with_short_rows_are_compiled(f: Any) -> None:
    random = np.random.default_rng(9)
    x, result = numbers(random, (300, 2, 33), "f"), np.zeros((300, 2, 33), "f")
    for shape in ((33,), (2, 1), (300, 1, 33), (300, 2, 1)):
        y = numbers(random, shape, "f")
        same_bits((f, x, y, result), result, np.zeros_like(result))
        same_bits((f, y, x, result), result, np.zeros_like(result))
    long = np.ones((50, 400), "f")
    alone = [(f, x, x, result), (f, x, np.float32(2), result), (f, long, long[0], np.zeros_like(long))]
    assert compiled_steps(alone) == [False] * 3


@needs_kernels
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_copies(dtype: str) -> None:
    random = np.random.default_rng(6)
    for x in layouts(random, (9, 13), dtype):
        result = np.zeros((9, 14), dtype)[:, :13]
        same_bits((np.copyto, result, x), result, np.zeros_like(result))
        same_bits((result.__setitem__, ..., x), result, np.zeros_like(result))
    same_bits((result.fill, 0.25), result, np.zeros_like(result))


# Shape; which of its axes are adjacent in memory, the last one first, of the result and of what is copied; gaps.
TRANSPOSED = [
    ((32, 64, 128), (0, 2, 1), (2, 1, 0), 0),  # a batch of sequences, by steps
    ((32, 64, 128), (2, 1, 0), (0, 2, 1), 0),
    ((64, 17, 1024), (1, 0, 2), (2, 0, 1), 3),
    ((3, 31, 2, 1024), (1, 3, 0, 2), (3, 1, 2, 0), 0),
    ((1024, 16), (0, 1), (1, 0), 1),
    ((700, 500), (1, 0), (0, 1), 5),
]


@needs_kernels
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize(("shape", "to", "of", "gap"), TRANSPOSED, ids=str)
def test_transpositions(shape: tuple[int, ...], to: tuple[int, ...], of: tuple[int, ...], gap: int, dtype: str) -> None:
    random = np.random.default_rng(7)

    def laid_out(adjacent: tuple[int, ...], more: int) -> Array:
        order = adjacent[::-1]
        sizes = [shape[axis] for axis in order[:-1]] + [shape[order[-1]] + more]
        whole = numbers(random, tuple(sizes), dtype)[..., : shape[order[-1]]]
        return whole.transpose(np.argsort(order))

    result, x = laid_out(to, gap), laid_out(of, gap)
    same_bits((np.copyto, result, x), result, np.zeros_like(result))
    same_bits((np.copyto, result, np.flip(x, of[-1])), result, np.zeros_like(result))


@needs_kernels
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("f", [np.dot, np.matmul], ids=["dot", "matmul"])
def test_products(f: Any, dtype: str) -> None:
    assert one_call.has_products() or one_call.product_functions() is None
    if not one_call.has_products():
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    random = np.random.default_rng(7)
    sizes = (1, 2, 3, 16, 65)
    for m, k, n in [(m, k, n) for m in sizes for k in sizes[1:] for n in sizes]:
        a, b, wide = numbers(random, (m, k), dtype), numbers(random, (k, n), dtype), numbers(random, (m, k + 3), dtype)
        for x, y in ((a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b)), (wide[:, 1 : k + 1], b)):
            result = np.ones((m, n), dtype)
            if f is np.matmul or x.flags.forc:
                same_bits((f, x, y, result), result, np.full_like(result, 9))
        for x, y, shape in ((a[0], b, (n,)), (a, b[:, 0].copy(), (m,)), (a[0], b[:, 0].copy(), ())):
            result = np.ones(shape, dtype)
            same_bits((f, x, y, result), result, np.full_like(result, 9))
    if f is np.dot:
        a, b, result = numbers(random, (70, 1), dtype), numbers(random, (1, 50), dtype), np.ones((70, 50), dtype)
        same_bits((f, a, b, result), result, np.zeros_like(result))


# Rows, terms and columns: a few rows and a large matrix, a few terms, what a cache holds, and what BLAS computes.
LARGE = [
    (2, 1400, 1024, 1),
    (13, 700, 1600, 1),
    (32, 260, 4128, 1),
    (96, 30, 512, 1),
    (784, 2, 1024, 1),
    (64, 900, 96, 1),
]
LARGE += [
    (128, 449, 64, 1),
    (264, 128, 32, 1),
    (512, 903, 64, 1),
    (8, 1000, 1050, 0),
    (60, 400, 128, 0),
    (8, 1500, 1000, 0),
]


@needs_kernels
@pytest.mark.parametrize(("m", "k", "n", "served"), LARGE)
def test_products_that_are_not_packed(m: int, k: int, n: int, served: int) -> None:
    """With AVX-512 large products have a kernel of their own, with BLAS's bits: also of 0, -0 and what is not finite."""
    random = np.random.default_rng(7)
    a, b, wide = numbers(random, (m, k), "f"), numbers(random, (k, n), "f"), numbers(random, (k, m + 3), "f")
    result, tiny = np.zeros((m, n + 5), "f")[:, :n], np.float32(1e-23)
    with one_thread():
        turned = np.asfortranarray(a), np.asfortranarray(b)
        for x, y in (
            (a, b),
            (turned[0], b),
            (a, turned[1]),
            turned,
            (wide.T[1 : m + 1], b),
            (np.abs(a) * -tiny, np.abs(b) * tiny),
        ):
            same_bits((np.matmul, x, y, result), result, np.full_like(result, 9))
        steps: Any = runner([(np.matmul, a, b, result)])
        found = {f.__name__ for f, _ in steps.steps}
        has_kernel = one_call.has_products() and compiled.available("unpacked") and one_call._part() is not None
        assert found == ({"unpacked"} if served and has_kernel else {"matmul"})


@needs_kernels
def test_products_with_leading_axes() -> None:
    random = np.random.default_rng(8)
    shapes: list[tuple[Any, Any, Any]] = [
        ((4, 1, 32, 70), (1, 1, 70, 8), (4, 1, 32, 8)),
        ((3, 5, 7), (7, 2), (3, 5, 2)),
        ((5, 7), (3, 7, 2), (3, 5, 2)),
        ((2, 3, 5, 7), (3, 7, 1), (2, 3, 5, 1)),
    ]
    for first, second, shape in shapes:
        a, b = numbers(random, first, "f"), numbers(random, second, "f")
        result = np.zeros(shape, "f")
        same_bits((np.matmul, a, b, result), result, np.zeros_like(result))
        turned = np.zeros((*shape[:-2], shape[-2] + 3, shape[-1]), "f")[..., 1:-2, :]
        same_bits((np.matmul, a, np.ascontiguousarray(b.mT).mT, turned), turned, np.zeros_like(turned))


@needs_kernels
def test_products_that_numpy_computes_in_another_way() -> None:
    """A matrix times its transpose, and what BLAS cannot read, stay NumPy's."""
    x, square, other = np.ones((6, 4), "f"), np.zeros((6, 6), "f"), np.ones((4, 6), "f")
    strided, wide = np.ones((6, 8), "f")[:, ::2], np.ones((6, 12), "f")[:, ::2]
    calls: Calls = [(np.matmul, x, x.T, square), (np.matmul, strided, other, square), (np.matmul, x, other, wide)]
    calls += [(np.dot, np.ones((1, 1), "f"), np.ones((1, 4), "f"), np.ones((1, 4), "f"))]
    calls += [(np.matmul, np.ones((3, 1), "f"), np.ones((1, 3), "f"), np.ones((3, 3), "f"))]
    calls += [(np.matmul, square, square, square), (np.matmul, x.astype(int), other.astype(int), square.astype(int))]
    calls += [(np.dot, x[:0], other, square[:0]), (np.dot, strided, other, square)]
    assert compiled_steps(calls) == [False] * len(calls)


@needs_kernels
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("f", [np.exp, np.log, np.log1p, np.tanh], ids=lambda f: f.__name__)
def test_functions(f: Any, dtype: str) -> None:
    """NumPy's own loops: the bits are NumPy's at every length, on which its vector instructions depend."""
    random = np.random.default_rng(9)
    assert one_call.loop(f, np.dtype(dtype)) is not None
    for shape in [(1,), (5,), (16,), (31, 33), (7, 2, 3)]:
        x = numbers(random, shape, dtype)
        result = np.zeros_like(x)
        same_bits((f, x, result), result, np.zeros_like(x))
        turned, place = np.asfortranarray(x), np.zeros(shape, dtype, order="F")
        same_bits((f, turned, place), place, np.zeros_like(place))
        same_bits((f, result, result), result, x)


@needs_kernels
def test_what_has_no_kernel_stays() -> None:
    x, ids, large = np.ones((4, 4), "f"), np.arange(4), np.ones(20_000, "f")
    calls: Calls = [
        (np.add, x, x.astype("d"), np.zeros((4, 4), "d")),
        (np.add, ids, ids, ids),
        (np.add, large, large, large),
        (np.add, x[:-1], x[1:], x[1:]),  # it would overwrite what it reads
        (np.copyto, x, x > 0),
        (partial(np.copyto, casting="unsafe"), x, ids),
        (x.take, ids, 0, x.copy(), "clip"),
        (x.__setitem__, 0, x[1]),
        (np.exp, x.T[::2], np.zeros((2, 4), "f")),
        (np.hypot, x, x, x),
        (print,),
    ]
    assert compiled_steps(calls) == [False] * len(calls)


@needs_kernels
def test_calls_of_python_stand_between_kernels() -> None:
    x, seen = np.ones(3, "f"), list[float]()
    calls: Calls = [(np.add, x, x, x), (lambda: seen.append(float(x[0])),), (np.multiply, x, x, x), (seen.append, 7.0)]
    make = runner(calls)
    make()
    make()
    assert (seen, x.tolist()) == ([2.0, 7.0, 8.0, 7.0], [64.0] * 3)


@needs_kernels
def test_an_error_ends_a_sequence() -> None:
    x = np.ones(3, "f")

    def fail() -> None:
        raise ValueError("no")

    make: Any = runner([(np.add, x, x, x), (fail,), (np.add, x, x, x)])
    with pytest.raises(ValueError, match=r"^no$"):
        make()
    assert x.tolist() == [2.0] * 3
    with pytest.raises(TypeError, match="takes no arguments"):
        make(1)


@needs_kernels
def test_wrong_sequences(library: Any) -> None:
    for steps in ([print], [(print,)], [(print, [])], [(print, (), ())]):
        with pytest.raises(TypeError, match="a pair of a function"):
            library.sequence(steps)
    with pytest.raises(TypeError):
        library.sequence(3)
    with pytest.raises(TypeError, match="use_blas needs"):
        library.use_blas(True)
    with pytest.raises(TypeError, match="bind_loop needs"):
        library.bind_loop(1, 2)
    with pytest.raises(KeyError):
        library.bind("loop", np.ones(3), np.ones(3))


@needs_kernels
def test_a_sequence_keeps_and_frees_its_arrays() -> None:
    class Owner:
        run: Any = None

        def look(self) -> None:
            self.array[0] = 5

        array = np.zeros(64, "f")

    owner = Owner()
    owner.array = np.zeros(64, "f")
    owner.run = runner([(np.add, owner.array, owner.array, owner.array), (owner.look,)])  # a cycle
    dead, array = weakref.ref(owner), weakref.ref(owner.array)
    owner.run()
    assert owner.array[0] == 5
    del owner
    gc.collect()
    assert dead() is None
    assert array() is None


@needs_kernels
def test_threads_run_sequences_of_their_own_at_the_same_time() -> None:
    def work(x: Array, made: list[Any]) -> None:
        make = runner([(np.matmul, x, np.eye(len(x), dtype="f"), y := np.zeros_like(x)), (np.copyto, x, y)] * 50)
        for _ in range(20):
            make()
        made.append(x)

    made: list[Any] = []
    expected = [np.full((k, k), k, "f") for k in (40, 41)]
    threads = [threading.Thread(target=work, args=(x.copy(), made)) for x in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(x.shape for x in made) == [(40, 40), (41, 41)]
    assert all((x == len(x)).all() for x in made)


def test_without_the_library_calls_are_made_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIBRARY", None)
    seen = list[int]()
    make = runner([(seen.append, k) for k in range(3)])
    assert not hasattr(make, "steps")
    make()
    make()
    assert seen == [0, 1, 2, 0, 1, 2]


@needs_kernels
def test_a_ufunc_without_a_loop_of_one_input_has_none() -> None:
    assert one_call.loop(np.add, np.dtype("f")) is None
    assert one_call.loop(np.isnan, np.dtype("f")) is None
    assert one_call.loop(np.exp, np.dtype("q")) is None
