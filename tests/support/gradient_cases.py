"""Inputs and attributes of every operator for `test_ops_gradients.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from graphs import Array

_random = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return _random.standard_normal(shape)


def positive(*shape: int) -> Array:
    return _random.uniform(0.4, 2.0, shape)


@dataclass
class Case:
    """Inputs, attributes, the inputs that are constants, and those that have a gradient: by default all other floats."""

    inputs: list[Array | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    constants: set[int] = field(default_factory=set)
    wrt: list[int] = field(default_factory=list)
    training: bool = False

    def __post_init__(self) -> None:
        floats = [k for k, a in enumerate(self.inputs) if a is not None and a.dtype.kind == "f"]
        self.wrt = self.wrt or [k for k in floats if k not in self.constants]


def one(**attrs: Any) -> list[Case]:
    return [Case([normal(3, 4)], attrs), Case([normal(2, 3, 4)], attrs), Case([normal(5)], attrs)]


def two(make: Callable[..., Array] = normal) -> list[Case]:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3, 4), (3, 4)),
        ((2, 3, 4), (4,)),
        ((3, 1), (3, 4)),
        ((2, 1, 4), (3, 1)),
        ((2, 3), ()),
        ((2, 3, 4), (2, 1, 4)),
    ]
    return [Case([make(*a), make(*b)]) for a, b in shapes]


def several() -> list[Case]:
    return [*two(), Case([normal(3, 4), normal(4), normal(3, 1)]), Case([normal(2, 3)])]


def reductions(make: Callable[..., Array] = normal) -> list[Case]:
    axes: list[dict[str, Any]] = [
        {},
        {"keepdims": 0},
        {"axes": (0,)},
        {"axes": (1,), "keepdims": 0},
        {"axes": (-1,)},
        {"axes": (0, 2), "keepdims": 0},
        {"axes": (1, 2)},
        {"axes": (0, 3)},
    ]
    return [Case([make(2, 3, 4, 2)], a) for a in axes] + [Case([make(5)], {"axes": (0,)})]


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def with_ints(shape: tuple[int, ...], *vectors: Array | None, **attrs: Any) -> Case:
    return Case([normal(*shape), *vectors], attrs, {k + 1 for k, v in enumerate(vectors) if v is not None})


def recurrent(gates: int, states: int, **attrs: Any) -> list[Case]:
    lens = np.array([4, 0, 2], np.int32)
    return [
        Case(
            [normal(4, 3, 2), normal(D, 2 * gates, 2), normal(D, 2 * gates, 2), normal(D, 4 * gates), *more],
            {"hidden_size": 2, "direction": direction, **attrs},
        )
        for D, direction in ((1, "forward"), (1, "reverse"), (2, "bidirectional"))
        for more in (
            [],
            [None, *(normal(D, 3, 2) for _ in range(states))],
            [lens, *(normal(D, 3, 2) for _ in range(states))],
        )
    ]


CASES: dict[str, list[Case]] = {
    "Abs": one(),
    "Add": two(),
    "Attention": [
        Case([normal(2, 4, 3, 2), normal(2, 4, 5, 2), normal(2, 4, 5, 3)]),
        Case(
            [normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4)], {"q_num_heads": 2, "kv_num_heads": 2, "is_causal": 1}
        ),
        Case(
            [normal(2, 3, 8), normal(2, 5, 4), normal(2, 5, 6), normal(2, 1, 3, 5)],
            {"q_num_heads": 4, "kv_num_heads": 2},
        ),
        Case(
            [normal(2, 4, 3, 2), normal(2, 1, 4, 2), normal(2, 1, 4, 3), normal(4, 1, 4)],
            {"softcap": 0.8, "scale": 0.3},
        ),
        Case([*(normal(2, 2, 3, 2) for _ in range(3)), np.array([[[True, True, False]], [[False] * 3]])[:, None]]),
    ],
    "Celu": one(alpha=0.7),
    "Clip": [
        Case([normal(3, 4), np.array(-0.5), np.array(0.8)], {}, {1, 2}),
        Case([normal(5), None, np.array(0.3)], {}, {2}),
    ],
    "Concat": [
        Case([normal(2, 3), normal(2, 1)], {"axis": 1}),
        Case([normal(2, 3, 2), normal(1, 3, 2), normal(3, 3, 2)], {"axis": 0}),
        Case([normal(2, 3, 2), normal(2, 4, 2)], {"axis": -2}),
        Case([normal(2, 3), normal(2, 3)], {"axis": -1}),
    ],
    "Cos": one(),
    "CumSum": [
        with_ints((3, 4), np.array(axis), exclusive=exclusive, reverse=reverse)
        for axis in (0, -1)
        for exclusive in (0, 1)
        for reverse in (0, 1)
    ],
    "Div": two(positive),
    "Einsum": [
        Case([normal(2, 3, 4), normal(4, 5)], {"equation": "abc,cd->adb"}),
        Case([normal(3, 4, 2), normal(3, 4, 2)], {"equation": "abc,adc->bda"}),
        Case([normal(2, 3, 4)], {"equation": "abc->cab"}),
    ],
    "Elu": one(alpha=1.0) + one(alpha=0.6),
    "Erf": one(),
    "Exp": one(),
    "Expand": [with_ints((3, 1), ints(2, 3, 4)), with_ints((2, 3), ints(2, 3)), with_ints((1,), ints(5))],
    "Flatten": [Case([normal(2, 3, 4)], {"axis": axis}) for axis in (0, 1, -1, 3)],
    "Gather": [
        with_ints((5, 3), np.array([[0, 4, 4], [-1, 2, 0]])),
        with_ints((2, 5, 3), ints(1, 1, -2), axis=1),
        with_ints((2, 5, 3), np.array(-1), axis=1),
        with_ints((2, 5), np.array([[1, 1], [0, 4]]), axis=-1),
        Case([normal(5, 3), np.array([[0, 4, 4], [-1, 2, 0]])]),
        Case([normal(2, 5, 3), np.array([1, 1, -2], np.int32)], {"axis": 1}),
    ],
    "GRU": [*recurrent(3, 1), *recurrent(3, 1, linear_before_reset=1)],
    "GatherElements": [
        Case([normal(3, 4), np.array([[0, -1], [1, 1], [2, 0]])], {"axis": 1}),
        Case([normal(3, 4), np.array([[0, -1, 2, 0]])], {"axis": 0}),
        Case([normal(2, 3, 2), np.array([[[0, 1], [2, 2]]])], {"axis": 1}),
    ],
    "Gelu": one() + one(approximate="tanh"),
    "Gemm": [
        Case([normal(3, 4), normal(4, 2), normal(2)]),
        Case([normal(4, 3), normal(4, 2), normal(3, 1)], {"transA": 1, "alpha": 0.5, "beta": 2.0}),
        Case([normal(3, 4), normal(2, 4), normal()], {"transB": 1}),
        Case([normal(4, 3), normal(2, 4)], {"transA": 1, "transB": 1, "alpha": -1.5}),
        Case([normal(4, 4), normal(4, 4), normal(4, 4)]),
    ],
    "HardSigmoid": one(alpha=0.2, beta=0.5),
    "HardSwish": one(),
    "Identity": one(),
    "LSTM": recurrent(4, 2),
    "LeakyRelu": one(alpha=0.2) + one(alpha=1.3),
    "Log": [Case([positive(3, 4)])],
    "LogSoftmax": [*one(), Case([normal(2, 3, 4)], {"axis": 1}), Case([normal(3, 80)])],
    "MatMul": [
        Case([normal(3, 4), normal(4, 2)]),
        Case([normal(2, 3, 4), normal(4, 5)]),
        Case([normal(2, 3, 4), normal(2, 4, 5)]),
        Case([normal(2, 1, 3, 4), normal(3, 4, 2)]),
        Case([normal(3, 4), normal(2, 4, 3)]),
        Case([normal(4), normal(4, 3)]),
        Case([normal(2, 3, 4), normal(4)]),
        Case([normal(4), normal(2, 4, 3)]),
        Case([normal(4), normal(4)]),
        Case([normal(3, 3), normal(3, 3)]),
    ],
    "Max": several(),
    "Mean": several(),
    "Min": several(),
    "Mish": one(),
    "Mul": two(),
    "Neg": one(),
    "PRelu": [Case([normal(2, 3, 4), normal(*n)]) for n in ((2, 3, 4), (4,), (3, 1), (1, 1, 4), ())],
    "Pad": [
        with_ints((2, 3), ints(1, 0, 0, 2)),
        with_ints((3, 4), ints(-1, 1, 1, -2)),
        with_ints((3, 4), ints(1, 2, 2, 3), mode="reflect"),
        with_ints((3, 4), ints(1, 2, 2, 3), mode="edge"),
        with_ints((2, 3, 4), ints(0, 0, 1, 0, 2, 0), mode="reflect"),
    ],
    "Pow": [
        *two(positive),
        *(Case([positive(3, 4), np.array(e)], {}, {1}) for e in (2.0, 3.0, 0.5, -1.0, 1.7)),
        Case([normal(3, 4), np.array(2)], {}, {1}),
    ],
    "RNN": recurrent(1, 1),
    "Reciprocal": [Case([positive(3, 4)])],
    "ReduceL1": reductions(),
    "ReduceL2": reductions(),
    "ReduceMax": reductions(),
    "ReduceMean": reductions(),
    "ReduceMin": reductions(),
    "ReduceProd": [*reductions(), Case([np.array([[0.0, 2.0, 3.0], [1.0, 0.5, 2.0]])], {"axes": (1,)})],
    "ReduceSum": [
        with_ints((2, 3, 4, 2), None if axes is None else ints(*axes), keepdims=keepdims)
        for axes in (None, (0,), (1, 3), (-1,), (0, 1, 2, 3), (1,))
        for keepdims in (0, 1)
    ],
    "ReduceSumSquare": reductions(),
    "Relu": one(),
    "Reshape": [with_ints((2, 3, 4), ints(*sizes)) for sizes in ((6, 4), (0, -1), (4, 3, 2), (24,))],
    "Selu": one(),
    "Shrink": one() + one(bias=0.3, lambd=0.4),
    "Sigmoid": one(),
    "Sin": one(),
    "Slice": [
        with_ints((4, 5), ints(1), ints(3)),
        with_ints((4, 5), ints(-1, 0), ints(-(2**63), 9), ints(1, 0), ints(-1, 2)),
        with_ints((2, 5, 3), ints(4), ints(5), ints(1)),
        with_ints((4, 5), ints(0), ints(2**63 - 1), ints(0)),
        with_ints((4, 5), ints(3), ints(-(2**63)), ints(0), ints(-1)),
    ],
    "Softmax": [
        *one(),
        Case([normal(2, 3, 4)], {"axis": 1}),
        Case([normal(2, 3, 4)], {"axis": 0}),
        Case([normal(3, 80)]),
    ],
    "Softplus": one(),
    "Softsign": one(),
    "Split": [with_ints((2, 6), ints(1, 3, 2), axis=1), with_ints((4, 2, 3), ints(2, 2))],
    "Sqrt": [Case([positive(3, 4)])],
    "Squeeze": [with_ints((2, 1, 3), ints(1)), Case([normal(1, 3, 1)])],
    "Sub": two(),
    "Sum": several(),
    "Swish": one() + one(alpha=1.7),
    "Tanh": one(),
    "ThresholdedRelu": one(alpha=0.3),
    "Tile": [with_ints((2, 3), ints(3, 2)), with_ints((2, 1, 3), ints(1, 4, 1))],
    "TopK": [with_ints((3, 5), ints(2), axis=axis, largest=largest) for axis in (0, -1) for largest in (0, 1)],
    "Transpose": [Case([normal(2, 3, 4)], {"perm": perm}) for perm in ((1, 2, 0), (0, 2, 1), None)],
    "Unsqueeze": [with_ints((2, 3), ints(0, -1)), with_ints((3,), ints(1))],
    "Where": [
        Case([np.array([[True], [False], [True]]), normal(3, 4), normal(3, 4)]),
        Case([np.array([True, False, True, False]), normal(3, 1), normal(2, 3, 4)]),
        Case([np.array(True), normal(3, 4), normal(4)]),
    ],
}


def with_targets(*targets: Array, **attrs: Any) -> list[Case]:
    return [Case([normal(*t.shape), t], attrs, wrt=[0]) for t in targets]


TRAINING: dict[str, list[Case]] = {
    "MaskedBatchNormalization": [
        Case([normal(5, 3, 2), W, positive(3), normal(3), normal(3), positive(3)], {}, set(), [0, 2, 3], training)
        for W in (np.round(positive(5, 1, 2) / 2), np.ones((5, 1, 1)))
        for training in (True, False)
    ],
    "PerRow": [Case([normal(4, 3)])],
    "ReduceLoss": [
        Case([normal(4, 3), weight, mask], {"reduction": reduction}, wrt=[0])
        for reduction in ("sum", "sum_over_batch_size", "mean_with_sample_weight")
        for weight in (None, positive(4), positive(4, 3))
        for mask in (None, np.array([True, False, True, True]))
    ],
    "RowShare": [Case([normal(4, 3)])],
    "SigmoidCrossEntropy": with_targets(positive(4, 3), positive(2, 3, 1)),
    "SoftmaxCrossEntropy": with_targets(positive(4, 3), positive(2, 3, 80), positive(2, 3, 4)),
    "SparseSoftmaxCrossEntropy": [
        Case([normal(4, 3), ints(0, 2, 1, 2)]),
        Case([normal(2, 2, 80), np.array([[0, 79], [3, 3]])]),
        Case([normal(3, 2, 5), np.array([[0, 4], [3, 3], [1, 0]])]),
    ],
    "SquaredError": with_targets(positive(4, 3), positive(5, 1), positive(2, 3, 4)),
}
CASES |= TRAINING
