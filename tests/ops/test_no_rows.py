"""A worker may have no rows of a batch: every operator runs, and weights get a gradient of zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Array, build, scalar_loss

from graphspec.graph.target import Target
from graphspec.ops import OPS
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters


def f(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def i(*values: int) -> Array:
    return np.array(values, np.int64)


UNARY = (
    "Abs Celu Ceil Cos Elu Erf Exp Flatten Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log LogSoftmax "
    "Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Softmax Softplus "
    "Softsign Sqrt Swish Tanh ThresholdedRelu Transpose"
)
CASES: list[tuple[str, list[Any], set[int], dict[str, Any]]] = [
    *((op, [f(0, 4)], set(), {}) for op in UNARY.split()),
    *((op, [f(0, 4, 3)], set(), {}) for op in UNARY.split()),
    *(
        (op, [f(0, 4), other], set(), {})
        for op in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow"]
        for other in (f(0, 4), f(4), f(0, 1), f(1, 4), f())
    ),
    *(
        (op, [f(0, 4, 3)], set(), {"axes": axes, "keepdims": keepdims})
        for op in ["ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceMax", "ReduceMin"]
        for axes in ((1,), (1, 2), (0,), None)
        for keepdims in (0, 1)
        if axes in ((1,), (1, 2)) or op not in ("ReduceMax", "ReduceMin")
    ),
    *(("ReduceSum", [f(0, 4, 3), i(*axes)], {1}, {}) for axes in ((0,), (1,), (1, 2))),
    *(("PRelu", [f(0, 4), slope], set(), {}) for slope in (f(4), f(1, 4), f())),
    ("Gemm", [f(0, 4), f(4, 3), f(3)], set(), {}),
    ("Gemm", [f(0, 4), f(3, 4), f(3)], set(), {"transB": 1}),
    ("MatMul", [f(0, 4), f(4, 3)], set(), {}),
    ("MatMul", [f(0, 5, 4), f(4, 3)], set(), {}),
    ("MatMul", [f(0, 5, 4), f(0, 4, 3)], set(), {}),
    ("MatMul", [f(5, 4), f(0, 4, 3)], set(), {}),
    ("Conv", [f(0, 4, 5, 3), f(4, 1, 3, 2), f(4)], set(), {"group": 4, "strides": (2, 1)}),
    ("ConvTranspose", [f(0, 4, 5), f(4, 1, 3), f(4)], set(), {"group": 4, "strides": (2,)}),
    *(("ConvTranspose", [f(0, 4, 5, 3), f(4, 2, 3, 2), f(2)], set(), {"strides": (s, s)}) for s in (1, 2)),
    *(
        ("Attention", [f(0, 5, 4), f(0, 3, 2), f(0, 3, 6), mask], set(), {"q_num_heads": 2, "kv_num_heads": 1})
        for mask in (None, f(0, 1, 1, 3), np.ones((5, 3), bool))
    ),
    ("Concat", [f(0, 4), f(0, 3)], set(), {"axis": 1}),
    *(
        ("Einsum", [f(0, 4, 2), other], set(), {"equation": equation})
        for equation, other in (("abc,cd->adb", f(2, 3)), ("abc,adc->abd", f(0, 3, 2)), ("abc,abc->ab", f(0, 4, 2)))
    ),
    ("Split", [f(0, 4), i(1, 3)], {1}, {"axis": 1}),
    ("Slice", [f(0, 4), i(1), i(3), i(1)], {1, 2, 3}, {}),
    *(("Pad", [f(0, 4), i(0, 1, 0, 1)], {1}, {"mode": mode}) for mode in ("constant", "reflect", "edge")),
    ("Tile", [f(0, 4), i(1, 2)], {1}, {}),
    ("Gather", [f(5, 3), np.zeros((0, 2), np.int64)], set(), {}),
    ("Gather", [f(0, 5, 3), i(1, 2)], {1}, {"axis": 1}),
    ("Gather", [f(0, 5, 3), i(1, 2)], set(), {"axis": 1}),
    ("Gather", [f(0, 5, 3), np.array(1)], {1}, {"axis": 1}),
    ("GatherElements", [f(0, 4), np.zeros((0, 2), np.int64)], set(), {"axis": 1}),
    ("OneHot", [i(), np.array(3), f(2)], {1, 2}, {}),
    ("ArgMax", [f(0, 4)], set(), {"axis": 1}),
    ("ArgMin", [f(0, 4)], set(), {"axis": 1}),
    ("TopK", [f(0, 4), i(2)], {1}, {}),
    ("CumSum", [f(0, 4), np.array(1)], {1}, {}),
    ("CumSum", [f(0, 4), np.array(1)], {1}, {"exclusive": 1, "reverse": 1}),
    ("Reshape", [f(0, 6), i(0, 2, 3)], {1}, {}),
    ("Reshape", [f(0, 6), i(-1, 3)], {1}, {}),
    ("Reshape", [f(0, 3), i(0, 2, 3)], {1}, {}),
    ("Squeeze", [f(0, 1), i(1)], {1}, {}),
    ("Unsqueeze", [f(0, 1), i(1)], {1}, {}),
    ("Expand", [f(0, 1), i(0, 3)], {1}, {}),
    ("Where", [np.zeros((0, 4), bool), f(0, 4), f(4)], set(), {}),
    ("Clip", [f(0, 4), f()], {1}, {}),
    ("Cast", [f(0, 4)], set(), {"to": "int64"}),
    ("Shape", [f(0, 4)], set(), {}),
    ("Mod", [np.zeros((0, 4), np.int64), i(2)], set(), {}),
    *((op, [f(0, 4), f(4)], set(), {}) for op in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]),
    *((op, [np.zeros((0, 4), bool), np.zeros(4, bool)], set(), {}) for op in ("And", "Or", "Xor")),
    ("Not", [np.zeros((0, 4), bool)], set(), {}),
    *(
        (op, [f(5, 0, 3), f(1, 2 * gates, 3), f(1, 2 * gates, 2), f(1, 4 * gates), *more], set(), {"hidden_size": 2})
        for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))
        for more in ([], [np.zeros(0, np.int32), f(1, 0, 2)])
    ),
]
ELSEWHERE = {
    "GroupNormalization",
    "RMSNormalization",
    "LpNormalization",
    "ScatterElements",
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "Dropout",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LayerNormalization",
    "MaxPool",
    "Resize",
}
"""In test_spatial.py, test_batch_norm.py and test_layer_norm.py."""
NEVER_BATCHED = {"Range"}


@pytest.mark.parametrize(("op", "inputs", "constants", "attrs"), CASES)
def test_no_rows(op: str, inputs: list[Any], constants: set[int], attrs: dict[str, Any]) -> None:
    graph, _ = build(op, inputs, constants, **attrs)
    floats = {n: v for n, v in graph.outputs.items() if v.type.is_float}
    asked = [n for n, v in graph.inputs.items() if v.type.is_float] if floats else []
    loss = scalar_loss(graph, {n: np.ones(v.shape) for n, v in floats.items()}) if floats else None
    shapes = {n: v.shape for n, v in graph.inputs.items()}
    program = build_program(
        graph.with_outputs(graph.outputs, loss), Parameters(graph), Target(shapes, input_grads=asked)
    )
    program.run()
    for name in asked:
        assert program.grads[name].shape == shapes[name]
        assert not program.grads[name].any()


def test_every_exported_operator_is_run() -> None:
    exported = {name for name, cls in OPS.items() if cls.exported}
    assert exported <= {case[0] for case in CASES} | ELSEWHERE | NEVER_BATCHED
