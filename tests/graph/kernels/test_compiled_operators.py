"""Tests of the compiled kernels of lookups, recurrent cells, gated activations and LayerNormalization."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from bits import FOUND, Memory, assert_same_bits, needs_kernels, numbers, run
from compiled_kernels import TESTED_APART
from graphs import Array

from graphspec.graph.kernels.compiled import TWINS, of_rows
from graphspec.graph.kernels.recurrence import Gate
from graphspec.graph.ops import elementwise as gelu
from graphspec.graph.ops import indexing
from graphspec.graph.ops import indexing as multi_hot
from graphspec.graph.ops import normalization as layer_norm
from graphspec.graph.ops import recurrent as gru
from graphspec.graph.ops import recurrent as lstm
from graphspec.graph.optimizers import elementwise as adam
from graphspec.graph.optimizers import elementwise as momentum

MODULES = (adam, gelu, gru, indexing, layer_norm, lstm, momentum, multi_hot)
"""The modules with twins, which register them."""

Sizes = tuple[int, ...]


Make = Callable[[np.random.Generator, Sizes, Any], Array]


@dataclass(frozen=True)
class Case:
    """Operands of a kernel by name, of a size: shapes by their letters, or functions. Those not there are None."""

    kernel: str
    letters: str
    sizes: tuple[Sizes, ...]
    operands: dict[str, Any]
    results: tuple[str, ...]
    scratch: dict[str, Any]
    id: str

    def array(self, make: Any, random: np.random.Generator, size: Sizes, dtype: Any) -> Array:
        return numbers(random, self.shape(make, size), dtype) if isinstance(make, str) else make(random, size, dtype)

    def shape(self, text: str, size: Sizes) -> Sizes:
        """The shape of a text such as ``5h n``: each word is a size, with a factor."""
        values = dict(zip(self.letters, size, strict=True))
        return tuple(
            int(word[:-1] or 1) * values[word[-1]] if word[-1] in values else int(word) for word in text.split()
        )


def scalar(value: float) -> Make:
    return lambda random, size, dtype: np.array(value, dtype)


def vector(*values: float) -> Make:
    return lambda random, size, dtype: np.array(values, dtype)


def ids(rows: int, *axes: int, beyond: int = 0) -> Make:
    """Ids below the size number ``rows``, or up to ``beyond`` more; the axes are numbers of sizes, too."""
    return lambda random, size, dtype: random.integers(0, max(size[rows] + beyond, 1), [size[k] for k in axes])


def of_cells() -> Iterator[Case]:
    """Cases of LSTM and GRU, of t steps, h features and n samples."""
    sizes = ((1, 1, 1), (2, 3, 5), (3, 8, 33), (2, 16, 0), (0, 4, 4))
    one_step = tuple(size for size in sizes if size[0])
    slopes = {
        name: lambda memory, size, name=name: Gate(memory, (name, 0.0, 0.0), size) for name in ("Sigmoid", "Tanh")
    }
    f, g = slopes["Sigmoid"], slopes["Tanh"]
    for half in ({}, {"half": scalar(0.5)}):
        operands = {"gates": "5h n", "c": "h n", **half}
        yield Case("lstm_state", "thn", one_step, operands, ("gates", "c"), {"pair": "2h n"}, f"lstm_state{len(half)}")
    factors = {"gates": "t 5h n", "u": "t h n", "factors": "t 6h n"}
    yield Case("lstm_factors", "thn", sizes, factors, ("factors",), {"f": f, "g": g, "h": g}, "lstm_factors")
    for source in ({}, {"source": "h n"}):
        operands = {"factors": "6 h n", "dh": "h n", "later": "h n", "dc": "h n", **source}
        yield Case("lstm_back", "thn", one_step, operands, ("factors", "dc"), {}, f"lstm_back{len(source)}")
    yield Case(
        "gru_gates", "thn", one_step, {"gates": "4h n", "half": scalar(0.5)}, ("gates",), {"t": "h n"}, "gru_gates"
    )
    operands = {"gates": "4h n", "h": "h n", "following": "h n"}
    yield Case("gru_state", "thn", one_step, operands, ("following",), {"t": "h n"}, "gru_state")

    def states(random: np.random.Generator, size: Sizes, dtype: Any) -> Array:
        """The states in a larger array of states and inputs."""
        t, h, n = size
        return numbers(random, (t, h + 3, n), dtype)[:, :h]

    operands = {"gates": "t 4h n", "h": states, "factors": "t 5h n"}
    scratch = {"f": f, "g": g, "one": scalar(1.0), "t": "t h n"}
    yield Case("gru_factors", "thn", sizes, operands, ("factors",), scratch, "gru_factors")


def of_gated() -> Iterator[Case]:
    """Cases of activations, of matrices whose rows have gaps in no operand."""
    sizes = ((1, 1), (3, 7), (2, 513), (5, 1024), (0, 3))
    for slope in ({}, {"slope": "m n"}):
        common = {"x": "m n", "tanh": "m n", "half": scalar(0.5), "y": "m n", **slope}
        for alpha in ({}, {"alpha": scalar(1.7)}):
            yield Case("silu", "mn", sizes, {**common, **alpha}, ("y", *slope), {}, f"silu{len(slope)}{len(alpha)}")


def of_normalize() -> Iterator[Case]:
    """Cases of LayerNormalization, of r rows of n numbers."""
    sizes = ((1, 1), (3, 7), (5, 64), (33, 100), (0, 3))
    yield Case("centre", "rn", sizes, {"x": "r n", "mean": "r 1", "y": "r n"}, ("y",), {}, "centre")
    for normal in ({}, {"normal": "r n"}):
        for bias in ({}, {"bias": "n"}):
            operands = {"x": "r n", "inverse": "r 1", "y": "r n", "scale": "n", **normal, **bias}
            name = f"normalize{len(normal)}{len(bias)}"
            yield Case("normalize", "rn", sizes, operands, ("y", *normal), {}, name)
    for mean in ({}, {"mean": "r 1"}):
        operands = {"normal": "r n", "dy": "r n", "projection": "r 1", "inverse": "r 1", **mean}
        yield Case("normalize_gradient", "rn", sizes, operands, ("dy",), {"t": "r n"}, f"normalize_gradient{len(mean)}")


def finite(random: np.random.Generator, size: Sizes, dtype: Any) -> Array:
    """A table (v, n) without infinity and NaN, since 0 times these is no 0."""
    table = numbers(random, size[2:], dtype)
    return np.where(np.isfinite(table), table, np.array(0.5, dtype))


def of_idle() -> Iterator[Case]:
    """Cases of Adam without a gradient, of v rows of n weights."""
    numbers_of = {"rate": scalar(1e-3), "beta_1": scalar(0.9), "beta_2": scalar(0.999), "epsilon": scalar(3e-6)}
    for largest in ({}, {"largest": "v n"}):
        operands = {"p": "v n", "u": "v n", "v": "v n", **numbers_of, **largest}
        sizes = (1, 1), (3, 7), (20, 64), (0, 5)
        yield Case("adam_idle", "vn", sizes, operands, ("p", "u", "v"), {"t": "v n"}, f"adam_idle{len(largest)}")


def lookup_sizes() -> tuple[Sizes, ...]:
    """Of k ids for each of m sums, v rows and their width n."""
    widths = (1, 2, 7, 8, 16, 24, 32, 33, 64, 100)
    return *((5, 3, 6, n) for n in widths), (1, 1, 1, 16), (0, 2, 3, 16), (4, 1, 9, 5), (64, 200, 30, 16)


CASES = [
    Case(
        "add_rows",
        "mvn",
        tuple(size[:1] + size[2:] for size in lookup_sizes() if size[0]),
        {"total": "v n", "ids": ids(1, 0), "rows": "m n"},
        ("total",),
        {"ctx": None},
        "add_rows",
    ),
    Case(
        "gather_sum_gradient",
        "mkvn",
        lookup_sizes(),
        {"ids": ids(2, 0, 1, beyond=1), "total": "v n", "rows": "m n"},
        ("total",),
        {"ctx": None},
        "gather_sum_gradient",
    ),
    Case(
        "gather_sum",
        "mkvn",
        lookup_sizes(),
        {"ids": ids(2, 0, 1, beyond=1), "table": finite, "sums": "m n"},
        ("sums",),
        {"ctx": None},
        "gather_sum",
    ),
    *of_cells(),
    *of_gated(),
    *of_idle(),
    *of_normalize(),
]


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_a_kernel_gives_the_bits_of_its_twin(case: Case, dtype: Any, library: Any) -> None:
    twin, random, memory = TWINS[case.kernel], np.random.default_rng(3), Memory(dtype)
    assert {*case.operands} <= {*twin.operands}
    for size in case.sizes:
        one = {name: case.array(make, random, size, dtype) for name, make in case.operands.items()}
        two = {name: array.copy() for name, array in one.items()}
        scratch = {
            name: memory
            if make is None
            else case.array(make, random, size, dtype)
            if isinstance(make, str) or name == "one"
            else make(memory, (size[0], 3 * size[1], size[2]))
            for name, make in case.scratch.items()
        }
        call = twin.bound([one.get(name) for name in twin.operands])
        assert isinstance(call, library.Call), f"{case.kernel} is not compiled for {size}"
        run([(call,)])
        if case.kernel == "normalize":
            scratch = {"wide": (two["y"], two["scale"], two.get("bias", two["scale"]))}
        run(twin.numpy(*(two.get(name) for name in twin.operands), **scratch))
        for name in case.operands:
            if name in case.results or name not in (
                "ids",
                "tanh",
            ):  # NumPy's calls overwrite these, and nobody reads them
                assert_same_bits(one[name], two[name], f"{case.kernel}, {name} of {size}")


@pytest.mark.parametrize("size", [*lookup_sizes(), (1, 30, 5, 1), (1, 40, 100, 1), (3, 50, 200, 1), (2, 0, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gathered_rows_are_summed_in_the_order_of_the_ids(size: Sizes, dtype: Any) -> None:
    m, k, v, n = size
    random = np.random.default_rng(5)
    places, table = random.integers(0, v + 1, (m, k)), random.standard_normal((v, n)).astype(dtype)
    table[0] = -0.0
    expected = np.zeros((m, n), dtype)
    for row, chosen in zip(expected, places, strict=True):
        for place in chosen[chosen < v]:
            row += table[place]
    sums = np.full((m, n), np.nan, dtype)
    run(TWINS["gather_sum"].numpy(places, table, sums, ctx=Memory(dtype)))
    assert_same_bits(sums, expected, "NumPy")
    if FOUND is not None:
        sums[...] = np.nan
        FOUND.bind("gather_sum", places, table, sums)()
        assert_same_bits(sums, expected, "compiled")


@needs_kernels
@pytest.mark.parametrize("bias", [False, True])
def test_rows_are_normalized_in_place(bias: bool, library: Any) -> None:
    """LayerNormalization centres its rows in the memory that keeps them for backward: x is normal."""
    random = np.random.default_rng(4)
    x, inverse = numbers(random, (33, 100), np.float32), numbers(random, (33, 1), np.float32)
    scale, y = numbers(random, (100,), np.float32), np.zeros((33, 100), np.float32)
    shift = numbers(random, (100,), np.float32) if bias else None
    other, expected = x.copy(), y.copy()
    TWINS["normalize"].bound([x, inverse, x, y, scale, shift])()
    wide = expected, scale, scale if shift is None else shift
    run(TWINS["normalize"].numpy(other, inverse, other, expected, scale, shift, wide=wide))
    assert_same_bits(x, other)
    assert_same_bits(y, expected)


@needs_kernels
def test_ids_out_of_range_are_skipped(library: Any) -> None:
    total, rows = np.ones((3, 4), np.float32), np.full((5, 4), 2, np.float32)
    call = TWINS["add_rows"].bound([total, np.array([0, -1, 3, 2**62, 0]), rows])
    run([(call,)])
    np.testing.assert_array_equal(total, [[5] * 4, [1] * 4, [1] * 4])
    TWINS["gather_sum_gradient"].bound([np.array([[1, -7], [3, 1]]), total, rows[:2]])()
    np.testing.assert_array_equal(total, [[0] * 4, [4] * 4, [0] * 4])


@needs_kernels
def test_some_rows_are_updated_in_place(library: Any) -> None:
    random, numbers_of = np.random.default_rng(2), [np.array(x, np.float32) for x in (1e-2, 0.9, 0.99, 1e-6)]
    arrays = [random.random((6, 5)).astype(np.float32) for _ in range(3)]
    before = [a.copy() for a in arrays]
    whole = TWINS["adam_idle"](*arrays, None, *numbers_of, None, None, t=np.empty(0, np.float32))
    places, count = np.array([4, 0, 9, 2], np.int64), np.array([3])
    calls = of_rows(whole, places, count)
    assert calls is not None
    run(calls)
    expected = [a.copy() for a in before]
    run(TWINS["adam_idle"].numpy(*expected, None, *numbers_of, None, None, t=np.empty((6, 5), np.float32)))
    for a, old, new in zip(arrays, before, expected, strict=True):
        new[[1, 2, 3, 5]] = old[[1, 2, 3, 5]]
        assert_same_bits(a, new)
    rate = np.array(0.5, np.float32)
    plain = TWINS["sgd"](arrays[0], before[0], None, None, None, rate, None, None, t=np.empty(0, np.float32))
    assert of_rows(plain, places, count) is None
    assert of_rows([*whole, *whole], places, count) is None


@needs_kernels
def test_wrong_shapes_are_refused(library: Any) -> None:
    x = np.ones((3, 4), np.float32)
    places = np.zeros((3, 2), np.int64)
    assert TWINS["add_rows"].bound([x, places.astype(np.int32)[:, 0], x.copy()]) is None
    wrong: list[tuple[str, list[Any], str]] = [
        ("add_rows", [x, places[:, 0].copy(), x[:2].copy()], "an id for each row"),
        ("add_rows", [x, places[:, 0].copy(), np.ones((3, 5), np.float32)], "do not fit the total"),
        ("gather_sum", [places, x, np.ones((2, 4), np.float32)], "needs ids for each sum"),
        ("gather_sum", [places, x, np.ones((3, 5), np.float32)], "does not fit the sums"),
        ("lstm_state", [x, x.copy(), None], "do not fit the state"),
        ("centre", [x, x[:, 0].copy(), x[:2].copy()], "differ in number or size"),
        ("gradient_sums", [x, x, None, x[0].copy(), None, None], "x is the gradient"),
        ("square_sums", [x, x[0].copy(), x[0, :3].copy()], "differ in width"),
        ("normalize", [x, x[:, :1].copy(), None, x.copy(), x[0, :3].copy(), None], "does not fit the rows"),
    ]
    for kernel, operands, text in wrong:
        with pytest.raises(ValueError, match=text):
            TWINS[kernel].bound(operands)


def test_all_kernels_tested_here_have_cases() -> None:
    assert {case.kernel for case in CASES} == TESTED_APART
