"""A step allocates no memory that grows with the batch, forward and backward, for programs of one operator each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Array, allocated, build, feed, scalar_loss

from graphspec.graph.target import Target
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters

_LIMIT = 128 * 1024  # bytes for NumPy's own buffers; the arrays below have about 480 kB
_random = np.random.default_rng(3)


def normal(*shape: int) -> Array:
    return np.asarray(_random.standard_normal(shape), np.float32)


def ids(high: int, *shape: int) -> Array:
    return _random.integers(0, high, shape)


X, row, column = normal(300, 400), normal(400), normal(300, 1)
UNARY = (
    "Abs Celu Cos Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu LogSoftmax Mish Neg "
    "Relu Selu Shrink Sigmoid Sin Softmax Softplus Softsign Swish Tanh ThresholdedRelu "
    "Flatten Transpose Floor Ceil Round Sign"
)
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    *((op, [X], {}) for op in UNARY.split()),
    *((op, [abs(X) + 1], {}) for op in ("Log", "Sqrt", "Reciprocal")),
    *((op, [X, other], {}) for op in ("Add", "Sub", "Mul", "Max", "Min", "Mean") for other in (X, row, column)),
    *((op, [X, abs(other) + 1], {}) for op in ("Div",) for other in (X, row, column)),
    *((op, [X, row], {}) for op in ("Equal", "Greater", "Less")),
    *(("PRelu", [X, slope], {}) for slope in (X, row, column)),
    ("Sum", [X, X, row], {}),
    ("Pow", [abs(X) + 1, row], {}),
    ("Where", [X > 0, X, row], {}),
    *(
        (op, [X], {"axes": axes, "keepdims": 0})
        for op in ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare"]
        for axes in ((0,), (1,), (0, 1))
    ),
    *(("ReduceMean", [normal(20, 60, 100)], {"axes": axes}) for axes in ((0,), (1,), (2,), (0, 2), (1, 2))),
    ("Gemm", [X, normal(400, 50), normal(50)], {}),
    ("Gemm", [X, normal(50, 400)], {"transB": 1}),
    ("MatMul", [normal(20, 60, 100), normal(100, 80)], {}),
    ("MatMul", [normal(20, 60, 100), normal(20, 100, 80)], {}),
    ("MatMul", [normal(60, 100), normal(20, 100, 80)], {}),
    *(
        ("Conv", [normal(30, 40, *sizes), normal(40, 1, *(3 for _ in sizes)), normal(40)], {"group": 40, **strides})
        for sizes, strides in (((100,), {}), ((10, 10), {"strides": (2, 2)}), ((5, 5, 4), {"pads": (1,) * 6}))
    ),
    *(
        ("ConvTranspose", [normal(30, 20, *sizes), normal(20, 10, *(2 for _ in sizes)), normal(10)], strides)
        for sizes, strides in (((100,), {}), ((10, 10), {"strides": (2, 2)}), ((5, 5, 4), {"pads": (1,) * 6}))
    ),
    *(
        (
            "Attention",
            [normal(8, 50, 64), normal(8, 40, 32), normal(8, 40, 32), mask],
            {"q_num_heads": 4, "kv_num_heads": 2},
        )
        for mask in (None, normal(8, 1, 1, 40), normal(8, 1, 50, 40) > 0)
    ),
    ("Attention", [normal(8, 2, 60, 40) for _ in range(3)], {"is_causal": 1, "softcap": 2.0}),
    ("Concat", [X, X], {"axis": 1}),
    *(
        ("Einsum", inputs, {"equation": equation})
        for equation, *inputs in (
            ("abc,cd->adb", normal(20, 60, 100), normal(100, 80)),
            ("abcd,aecd->acbe", normal(10, 40, 3, 100), normal(10, 40, 3, 100)),
            ("ab,ab->a", X, X),
            ("ab,bc,cd->ad", X, normal(400, 90), normal(90, 300)),
            ("ab->b", X),
        )
    ),
    ("Gather", [normal(1000, 100), ids(1000, 1200)], {}),
    ("GatherElements", [X, ids(400, 300, 300)], {"axis": 1}),
    ("ArgMax", [X], {"axis": 1}),
    *(
        (op, [normal(30, 100, 40), *(normal(1, gates * 32, n) for n in (40, 32)), None, lens], {"hidden_size": 32})
        for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))
        for lens in (None, ids(31, 100).astype(np.int32))
    ),
    *((op, [X, normal(300, 400)], {}) for op in ("SoftmaxCrossEntropy", "SigmoidCrossEntropy", "SquaredError")),
    *(("SparseSoftmaxCrossEntropy", [normal(120_000 // n, n), ids(n, 120_000 // n)], {}) for n in (8, 400)),
    ("ReduceLoss", [X, normal(300), X > 0], {}),
    ("BatchSum", [X], {}),
    ("CircleLoss", [X, ids(5, 300)], {}),
    ("GroupNormalization", [normal(10, 60, 20, 10), normal(60), normal(60)], {"num_groups": 6}),
    ("RMSNormalization", [X, row], {}),
    *(("LpNormalization", [X], {"axis": axis, "p": p}) for axis in (0, 1) for p in (1, 2)),
    *(
        ("ScatterElements", [X, ids(400, 300, 400), X], {"axis": 1, "reduction": reduction})
        for reduction in ("none", "add")
    ),
    ("CTCLoss", [normal(50, 60, 27), ids(26, 50, 12) + 1], {}),
]
CONSTANTS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Reshape", [X, np.array([400, 300])], {}),
    ("Slice", [X, np.array([10]), np.array([200])], {}),
    ("Split", [X, np.array([100, 300])], {"axis": 1}),
    ("Pad", [X, np.array([1, 2, 3, 4])], {}),
    ("Pad", [X, np.array([1, 2, 3, 4])], {"mode": "reflect"}),
    ("Tile", [X, np.array([2, 2])], {}),
    ("Expand", [column, np.array([300, 400])], {}),
    ("CumSum", [X, np.array(1)], {}),
    ("CumSum", [X, np.array(0)], {"reverse": 1, "exclusive": 1}),
    ("TopK", [X, np.array([50])], {}),
    ("Clip", [X, np.array(-1, np.float32), np.array(1, np.float32)], {}),
    ("OneHot", [ids(100, 1200), np.array(100), np.array([0, 1], np.float32)], {}),
]


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "constant"), [*((*c, False) for c in CASES), *((*c, True) for c in CONSTANTS)]
)
def test_a_step_allocates_nothing(op: str, inputs: list[Any], attrs: dict[str, Any], constant: bool) -> None:
    graph, _ = build(op, inputs, set(range(1, len(inputs))) if constant else set(), **attrs)
    floats = {n: v for n, v in graph.outputs.items() if v.type.is_float}
    input_grads = [n for n, v in graph.inputs.items() if v.type.is_float] if floats else []
    loss = scalar_loss(graph, {n: normal(*v.shape) for n, v in floats.items()}) if floats else None
    program = build_program(
        graph.with_outputs(graph.outputs if loss is None else {"loss": loss}, loss),
        Parameters(graph),
        Target({n: v.shape for n, v in graph.inputs.items()}, input_grads=input_grads),
    )
    feed(graph, program, {f"x{k}": a for k, a in enumerate(inputs)})
    with np.errstate(all="ignore"):
        peak = allocated(program)
    assert peak < _LIMIT, f"{op} allocates {peak} bytes"
