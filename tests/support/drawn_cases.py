"""Random inputs and attributes of every operator for `test_ops_onnxruntime.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from draws import Array, Case, Draw

Strategy = Callable[[Draw], Case]


def unary(low: float | None = None, high: float | None = None, **attributes: Sequence[Any]) -> Strategy:
    def strategy(d: Draw) -> Case:
        X = d.floats(scale=3.0)
        if low is not None or high is not None:
            X = np.asarray(d.random.uniform(low or -5.0, high or 5.0, X.shape), np.float32)
        return Case([X], {name: d.choice(options) for name, options in attributes.items()})

    return strategy


def prelu(d: Draw) -> Case:
    shape = d.shape()
    return Case([d.normal(*shape, scale=3.0), d.normal(*d.partner(shape))])


def binary(
    *dtypes: str, low: int = -5, high: int = 6, away_from_zero: bool = False, same_sign: bool = False
) -> Strategy:
    def strategy(d: Draw) -> Case:
        dtype = d.choice(dtypes)

        def make(shape: tuple[int, ...]) -> Array:
            X = d.normal(*shape, scale=3.0) if dtype == "float32" else d.ints(shape, low, high, dtype)
            if away_from_zero:
                X = np.where(X == 0, np.asarray(1, X.dtype), X)
            return np.abs(X) if same_sign else X

        return Case(d.pair(make))

    return strategy


def predicate(*dtypes: str) -> Strategy:
    def strategy(d: Draw) -> Case:
        dtype = d.choice(dtypes)
        return Case(d.pair(lambda s: d.bools(s) if dtype == "bool" else d.ints(s, -2, 3).astype(dtype)))

    return strategy


def variadic(d: Draw) -> Case:
    shape = d.shape()
    shapes = [shape, *(d.partner(shape) for _ in range(d.integer(0, 3)))]
    return Case([d.normal(*s) for s in shapes])


def reduction(*dtypes: str) -> Strategy:
    def strategy(d: Draw) -> Case:
        X = d.floats(1, 4).astype(d.choice(dtypes))
        attrs: dict[str, Any] = {"keepdims": d.flag()}
        if d.flag():
            attrs["axes"] = d.axes(X)
        return Case([X], attrs)

    return strategy


def reduce_sum(d: Draw) -> Case:
    X = d.floats(1, 4).astype(d.choice(["float32", "int32", "int64"]))
    kind = d.integer(0, 2)
    axes = None if kind == 0 else np.array(d.axes(X) if kind == 1 else [], np.int64)
    return Case([X, axes], {"keepdims": d.flag(), "noop_with_empty_axes": d.flag()}, {1} if axes is not None else set())


def arg_extremum(d: Draw) -> Case:
    X = d.coarse()
    return Case([X], {"axis": d.axis(X), "keepdims": d.flag(), "select_last_index": d.flag()})


def top_k(d: Draw) -> Case:
    X = d.coarse().astype(d.choice(["float32", "int32", "int64"]))
    axis = d.axis(X)
    K = np.array([d.integer(1, X.shape[axis])], np.int64)
    return Case([X, K], {"axis": axis, "largest": d.flag()}, {1}, outputs=2)


def cum_sum(d: Draw) -> Case:
    X = d.floats(1, 4).astype(d.choice(["float32", "int32", "int64"]))
    return Case([X, np.array(d.axis(X))], {"exclusive": d.flag(), "reverse": d.flag()}, {1})


def softmax(d: Draw) -> Case:
    X = d.floats(1, 4, scale=20.0)
    return Case([X], {"axis": d.axis(X)})


def gemm(d: Draw) -> Case:
    m, k, n = (d.integer(1, 6) for _ in range(3))
    ta, tb = d.flag(), d.flag()
    C = d.normal(*d.choice([(), (1,), (n,), (1, n), (m, 1), (m, n)])) if d.flag() else None
    attrs = {"transA": ta, "transB": tb, "alpha": d.choice([1.0, 0.5, -2.0]), "beta": d.choice([1.0, 0.25, 0.0])}
    return Case([d.normal(*((k, m) if ta else (m, k))), d.normal(*((n, k) if tb else (k, n))), C], attrs)


def matmul(d: Draw) -> Case:
    m, k, n = (d.integer(1, 5) for _ in range(3))
    lead = d.shape(0, 2, 3)
    left, right = d.choice([((m, k), (k, n)), ((k,), (k, n)), ((m, k), (k,)), ((k,), (k,))])
    if len(left) == 2:
        left = lead + left
    if len(right) == 2:
        right = d.partner(lead) + right
    return Case([d.normal(*left), d.normal(*right)])


def clip(d: Draw) -> Case:
    X = d.floats(scale=3.0) if d.flag() else d.ints(d.shape(), -9, 9, d.choice(["int32", "int64", "int8"]))
    low, high = (np.array(v, X.dtype) if d.flag() else None for v in (d.integer(-4, 0), d.integer(0, 4)))
    return Case([X, low, high], {}, {k for k, v in ((1, low), (2, high)) if v is not None and d.flag()})


def power(d: Draw) -> Case:
    shape = d.shape()
    X = np.abs(d.normal(*shape)) + np.float32(0.3)
    if d.flag():
        exponent = d.choice([2.0, 3.0, 0.5, -1.0, 1.5, 0.0])
        return Case([X, np.array(exponent, np.float32)], {}, {1})
    if d.flag():
        return Case([d.ints(shape, -3, 4), d.ints(d.partner(shape), 0, 4)])
    return Case([X, d.normal(*d.partner(shape))])


def modulo(d: Draw) -> Case:
    dtype = d.choice(["float32", "int32", "int64"])
    signs = d.pair(lambda s: np.where(d.bools(s), 1, -1) * d.ints(s, 1, 9))
    return Case([X.astype(dtype) for X in signs], {"fmod": 1 if dtype == "float32" else d.flag()})


def where(d: Draw) -> Case:
    shape, dtype = d.shape(), d.choice(["float32", "int64", "int32", "uint8"])
    shapes = [shape, d.partner(shape), d.partner(shape)]
    shapes = shapes[d.integer(0, 2) :] + shapes
    A, B = (d.normal(*s, scale=9.0).astype("int32").astype(dtype) for s in shapes[1:3])
    return Case([d.bools(shapes[0]), A, B])


def reshape(d: Draw) -> Case:
    X = d.floats(0, 4)
    sizes = [int(n) for n in d.random.permutation(X.shape)]
    if len(sizes) > 1 and d.flag():
        sizes = [sizes[0] * sizes[1], *sizes[2:]]
    if sizes and d.flag():
        sizes[d.integer(0, len(sizes) - 1)] = -1
    sizes = [0 if k < X.ndim and n == X.shape[k] and d.flag() else n for k, n in enumerate(sizes)]
    return Case([X, np.array(sizes, np.int64)], {}, {1})


def flatten(d: Draw) -> Case:
    X = d.floats(1, 4)
    return Case([X], {"axis": d.integer(-X.ndim, X.ndim)})


def transpose(d: Draw) -> Case:
    X = d.floats(1, 4)
    return Case([X], {"perm": tuple(int(k) for k in d.random.permutation(X.ndim))} if d.flag() else {})


def squeeze(d: Draw) -> Case:
    X = d.floats(1, 3)
    axes = [k for k in range(X.ndim) if d.flag()]
    X = (
        X.reshape([1 if k in axes else n for k, n in enumerate(X.shape)])
        if X.size == 1
        else X[tuple(slice(0, 1) if k in axes else slice(None) for k in range(X.ndim))]
    )
    if not axes or d.flag():
        return Case([X])
    return Case([X, np.array([k - X.ndim * d.flag() for k in axes], np.int64)], {}, {1})


def unsqueeze(d: Draw) -> Case:
    X = d.floats(0, 3)
    rank = X.ndim + d.integer(1, 2)
    axes = d.random.permutation(rank)[: rank - X.ndim]
    return Case([X, np.array([k - rank * d.flag() for k in axes], np.int64)], {}, {1})


def expand(d: Draw) -> Case:
    shape = d.shape(1, 4)
    return Case([d.normal(*d.partner(shape)), np.array(d.partner(shape) if d.flag() else shape, np.int64)], {}, {1})


def shape_of(d: Draw) -> Case:
    X = d.floats(1, 4)
    return Case([X], {"start": d.integer(-4, 3)} | ({"end": d.integer(-4, 4)} if d.flag() else {}))


def cast(d: Draw) -> Case:
    dtypes = ["float32", "int32", "int64", "bool", "uint8"]
    X = np.round(d.floats(scale=30.0)) if d.flag() else np.abs(d.floats(scale=30.0))
    return Case([np.abs(X).astype(d.choice(dtypes))], {"to": d.choice(dtypes)})


def concat(d: Draw) -> Case:
    first = d.floats(1, 4)
    axis = d.axis(first)
    shapes = [
        tuple(d.integer(1, 4) if k == axis % first.ndim else n for k, n in enumerate(first.shape)) for _ in range(3)
    ]
    return Case([d.normal(*s) for s in shapes[: d.integer(1, 3)]], {"axis": axis})


def split(d: Draw) -> Case:
    X = d.floats(1, 4)
    axis = d.axis(X)
    cut = d.integer(0, X.shape[axis])
    sizes = np.array([cut, X.shape[axis] - cut], np.int64)
    return Case([X, sizes], {"axis": axis}, {1}, outputs=2)


def slicing(d: Draw) -> Case:
    X = d.floats(1, 4)
    axes = d.axes(X)
    bounds = [np.array([d.integer(-6, 6) for _ in axes], np.int64) for _ in range(2)]
    steps = np.array([d.choice([-2, -1, 1, 2]) for _ in axes], np.int64)
    whole = np.where(steps > 0, 2**63 - 1, -(2**63))
    bounds[1] = np.where(d.bools((len(axes),)), whole, bounds[1])
    return Case([X, *bounds, np.array(axes, np.int64), steps], {}, {1, 2, 3, 4})


def pad(d: Draw) -> Case:
    X, mode = d.floats(1, 4), d.choice(["constant", "reflect", "edge"])
    if mode == "constant":
        low = [d.integer(-(n // 2), 3) for n in X.shape]
        high = [d.integer(-(n // 2), 3) for n in X.shape]
        value = np.array(0.5, np.float32) if d.flag() else None
    else:
        low, high = ([d.integer(0, n - 1) for n in X.shape] for _ in range(2))
        value = None
    return Case([X, np.array([*low, *high], np.int64), value], {"mode": mode}, {1})


def tile(d: Draw) -> Case:
    X = d.floats(1, 4)
    return Case([X, np.array([d.integer(1, 3) for _ in X.shape], np.int64)], {}, {1})


def gather(d: Draw) -> Case:
    X = d.floats(1, 4)
    axis = d.axis(X)
    n = X.shape[axis]
    indices = d.ints(d.shape(0, 2), -n, n, d.choice(["int32", "int64"]))
    return Case([X, indices], {"axis": axis}, {1} if d.flag() else set())


def gather_elements(d: Draw) -> Case:
    X = d.floats(1, 4)
    axis = d.axis(X)
    n = X.shape[axis]
    shape = tuple(d.integer(1, m) if k != axis % X.ndim else d.integer(1, 6) for k, m in enumerate(X.shape))
    return Case([X, d.ints(shape, -n, n, d.choice(["int32", "int64"]))], {"axis": axis})


def one_hot(d: Draw) -> Case:
    depth = d.integer(1, 5)
    indices = d.ints(d.shape(1, 3), -7, 7)
    values = d.choice([np.array([0, 1], np.float32), np.array([-0.5, 2], np.float32), np.array([3, 7], np.int64)])
    axis = d.integer(-indices.ndim - 1, indices.ndim)
    return Case([indices, np.array(depth, np.int64), values], {"axis": axis}, {1})


def arange(d: Draw) -> Case:
    start, delta = d.integer(-5, 5), d.choice([-2, -1, 1, 3])
    return Case([np.array(v, np.int64) for v in (start, d.integer(-5, 9), delta)], {}, {0, 1, 2})


CASES: dict[str, Strategy] = {
    "Abs": unary(),
    "Add": binary("float32", "int32", "int64"),
    "And": predicate("bool"),
    "ArgMax": arg_extremum,
    "ArgMin": arg_extremum,
    "Cast": cast,
    "Ceil": unary(),
    "Celu": unary(alpha=[1.0, 0.5, 2.0]),
    "Clip": clip,
    "Concat": concat,
    "Cos": unary(),
    "CumSum": cum_sum,
    "Div": binary("float32", "int32", "int64", away_from_zero=True),
    "Elu": unary(alpha=[1.0, 0.5, 2.0]),
    "Equal": predicate("float32", "int32", "int64", "bool"),
    "Erf": unary(),
    "Exp": unary(),
    "Expand": expand,
    "Flatten": flatten,
    "Floor": unary(),
    "Gather": gather,
    "GatherElements": gather_elements,
    "Gemm": gemm,
    "Gelu": unary(approximate=["none", "tanh"]),
    "Greater": predicate("float32", "int32", "int64"),
    "GreaterOrEqual": predicate("float32", "int32", "int64"),
    "HardSigmoid": unary(alpha=[0.2, 1 / 6], beta=[0.5, 0.3]),
    "HardSwish": unary(),
    "Identity": unary(),
    "LeakyRelu": unary(alpha=[0.01, 0.3, 0.0, 1.5]),
    "Less": predicate("float32", "int32", "int64"),
    "LessOrEqual": predicate("float32", "int32", "int64"),
    "Log": unary(0.01, 9.0),
    "LogSoftmax": softmax,
    "MatMul": matmul,
    "Max": variadic,
    "Mean": variadic,
    "Min": variadic,
    "Mish": unary(),
    "Mod": modulo,
    "Mul": binary("float32", "int32", "int64"),
    "Neg": unary(),
    "Not": lambda d: Case([d.bools(d.shape())]),
    "OneHot": one_hot,
    "Or": predicate("bool"),
    "PRelu": prelu,
    "Pad": pad,
    "Pow": power,
    "Range": arange,
    "Reciprocal": unary(0.1, 5.0),
    "ReduceL1": reduction("float32", "int32"),
    "ReduceL2": reduction("float32"),
    "ReduceMax": reduction("float32", "int32", "int64"),
    "ReduceMean": reduction("float32"),
    "ReduceMin": reduction("float32", "int32", "int64"),
    "ReduceProd": reduction("float32", "int32"),
    "ReduceSum": reduce_sum,
    "ReduceSumSquare": reduction("float32", "int32"),
    "Relu": unary(),
    "Reshape": reshape,
    "Round": lambda d: Case([np.asarray(d.ints(d.shape(), -9, 10) / 2, np.float32)]),
    "Selu": unary(),
    "Shape": shape_of,
    "Shrink": unary(bias=[0.0, 0.5, 1.5], lambd=[0.5, 0.0, 2.0]),
    "Sigmoid": unary(),
    "Sign": lambda d: Case([np.asarray(d.ints(d.shape(), -2, 3), np.float32)]),
    "Sin": unary(),
    "Slice": slicing,
    "Softmax": softmax,
    "Softplus": unary(),
    "Softsign": unary(),
    "Split": split,
    "Sqrt": unary(0.01, 9.0),
    "Squeeze": squeeze,
    "Sub": binary("float32", "int32", "int64"),
    "Sum": variadic,
    "Swish": unary(alpha=[1.0, 0.5, 2.0]),
    "Tanh": unary(),
    "ThresholdedRelu": unary(alpha=[1.0, 0.0, 0.5]),
    "Tile": tile,
    "TopK": top_k,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": where,
    "Xor": predicate("bool"),
}
