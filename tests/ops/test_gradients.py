"""The gradients of every operator, compared with finite differences in float64.

Each case runs as it is; with operands that have another memory order; after another operator, so operands may be
overwritten; and with every value used twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import graphs
import numpy as np
import pytest
from gradient_cases import CASES, Case
from graphs import Array, check_gradients, dtype_name
from paths import TESTS

from graphspec.graph.builder import Builder
from graphspec.ir.graph import Graph, Type, Value
from graphspec.ops import OPS

NO_GRADIENT = {
    "CheckIds",
    "And",
    "ArgMax",
    "ArgMin",
    "Cast",
    "Ceil",
    "Equal",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Mod",
    "Not",
    "OneHot",
    "Or",
    "Range",
    "Round",
    "RowUniform",
    "Shape",
    "Sign",
    "Xor",
}

ELSEWHERE = {
    "ShardedGemm": "graph/passes/test_shard_products.py",
    "DropoutLSTM": "ops/test_recurrent_dropout.py",
    "DropoutGRU": "ops/test_recurrent_dropout.py",
    "DropoutRNN": "ops/test_recurrent_dropout.py",
    "AffineWarp": "ops/test_augment.py",
    "RandomCrop": "ops/test_augment.py",
    "Recolor": "ops/test_augment.py",
    "GroupNormalization": "ops/test_layer_norm.py",
    "RMSNormalization": "ops/test_layer_norm.py",
    "LpNormalization": "ops/test_layer_norm.py",
    "ScatterElements": "ops/test_layer_norm.py",
    "SpectralScale": "ops/test_layer_norm.py",
    "SharedDropout": "ops/test_noise.py",
    "AlphaDropout": "ops/test_noise.py",
    "GaussianDropout": "ops/test_noise.py",
    "GaussianNoise": "ops/test_noise.py",
    "AveragePool": "ops/test_spatial.py",
    "BatchSum": "ops/test_whole_batch.py",
    "CircleLoss": "ops/test_whole_batch.py",
    "BatchNormalization": "ops/test_batch_norm.py",
    "Conv": "ops/test_spatial.py",
    "ConvPool": "graph/passes/test_fuse_conv_max_pool.py",
    "ConvTranspose": "ops/test_conv_transpose.py",
    "Dropout": "ops/test_spatial.py",
    "GlobalAveragePool": "ops/test_spatial.py",
    "GatherSum": "graph/passes/test_multi_hot_matmul_to_gather_sum.py",
    "GlobalMaxPool": "ops/test_spatial.py",
    "LayerNormalization": "ops/test_batch_norm.py",
    "MaxPool": "ops/test_spatial.py",
    "MultiHot": "graph/passes/test_multi_hot_matmul_to_gather_sum.py",
    "Resize": "ops/test_spatial.py",
    "CTCLoss": "losses/test_ctc.py",
}
"""Operators whose gradients are checked in another file."""


@contextmanager
def built(operand: Callable[[Builder, int, Value], Value], times: int = 1) -> Iterator[None]:
    """In this context, ``operand`` transforms inputs that are not constants, and the operator runs ``times`` times."""

    def build(
        op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any
    ) -> tuple[Graph, Any]:  # type: ignore[assignment]
        graph = Graph("test")
        g = Builder(graph, "node")
        values: list[Value | None] = []
        for k, array in enumerate(inputs):
            if array is None or k in constants:
                values.append(None if array is None else g.constant(array, dtype_name(array)))
                continue
            value = Value(f"x{k}", Type(dtype_name(array), array.shape), "input")
            graph.inputs[value.name] = value
            values.append(operand(g, k, value))
        out: Any = None
        for n in range(times):
            out = getattr(g, op)(*values, **attrs)
            for k, y in enumerate(out if isinstance(out, tuple) else (out,)):
                graph.outputs[f"y{n}_{k}"] = y
        return graph, out

    with patch.object(graphs, "build", build):
        yield


def is_moved(k: int, a: Array | None, case: Case) -> bool:
    return a is not None and a.ndim > 1 and k not in case.constants


def check(op: str, case: Case, inputs: list[Array | None] | None = None) -> None:
    check_gradients(
        op, case.inputs if inputs is None else inputs, case.wrt, case.constants, training=case.training, **case.attrs
    )


@pytest.mark.parametrize("op", CASES)
def test_unchanged_operands(op: str) -> None:
    for case in CASES[op]:
        check(op, case)


@pytest.mark.parametrize("op", CASES)
def test_other_memory_order(op: str) -> None:
    def restore(g: Builder, k: int, X: Value) -> Value:
        return g.Transpose(X) if X.rank > 1 else X

    for case in CASES[op]:
        moved = [
            np.ascontiguousarray(a.T) if is_moved(k, a, case) and a is not None else a
            for k, a in enumerate(case.inputs)
        ]
        with built(restore):
            check(op, case, moved)


@pytest.mark.parametrize("op", CASES)
def test_overwritten_operands(op: str) -> None:
    def opposite(g: Builder, k: int, X: Value) -> Value:
        return g.Not(X) if X.dtype == "bool" else g.Neg(X)

    for case in CASES[op]:
        others: list[Array | None] = [
            a if a is None or k in case.constants else ~a if a.dtype == bool else -a for k, a in enumerate(case.inputs)
        ]
        with built(opposite):
            check(op, case, others)


@pytest.mark.parametrize("op", CASES)
def test_values_used_twice(op: str) -> None:
    for case in CASES[op]:
        with built(lambda g, k, X: g.Identity(X), times=2):
            check(op, case)


@pytest.mark.parametrize("op", [op for op in CASES if any(len(case.wrt) > 1 for case in CASES[op])])
def test_same_value_for_all_operands(op: str) -> None:
    for case in CASES[op]:
        floats = [case.inputs[k] for k in case.wrt]
        if len(floats) < 2 or len({a.shape for a in floats if a is not None}) > 1:
            continue
        seen: list[Value] = []

        def first(g: Builder, k: int, X: Value, seen: list[Value] = seen) -> Value:
            if not X.type.is_float:
                return X
            seen.append(g.Neg(X))
            return seen[0]

        with built(first):
            graph, _ = graphs.build(op, case.inputs, case.constants, **case.attrs)
            assert len({v.name for v in graph.nodes[-1].inputs if v is not None and v.type.is_float}) == 1
            seen.clear()
            inputs = [-floats[0] if k in case.wrt and floats[0] is not None else a for k, a in enumerate(case.inputs)]
            check_gradients(op, inputs, case.wrt[:1], case.constants, **case.attrs)


def test_concat_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.ops.slicing._BLOCK", 7)
    test_unchanged_operands("Concat")
    test_other_memory_order("Concat")


def test_every_operator_has_its_gradient_checked() -> None:
    assert OPS.keys() == CASES.keys() | NO_GRADIENT | ELSEWHERE.keys()
    assert not CASES.keys() & NO_GRADIENT
    for op, file in ELSEWHERE.items():
        assert f'"{op}"' in (TESTS / file).read_text()
