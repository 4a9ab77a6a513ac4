"""Every operator against onnxruntime on random shapes and attributes, beyond the cases of the node tests."""

from __future__ import annotations

import pytest
from drawn_cases import CASES
from draws import Draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import compare
from paths import TESTS

from graphspec.ops import OPS

SETTINGS = settings(
    max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

ELSEWHERE = {
    "GroupNormalization": "ops/test_layer_norm.py",
    "RMSNormalization": "ops/test_layer_norm.py",
    "LpNormalization": "ops/test_layer_norm.py",
    "ScatterElements": "ops/test_layer_norm.py",
    "Attention": "ops/test_attention.py",
    "AveragePool": "ops/test_spatial.py",
    "BatchNormalization": "ops/test_batch_norm.py",
    "Conv": "ops/test_spatial.py",
    "ConvTranspose": "ops/test_conv_transpose.py",
    "Dropout": "ops/test_spatial.py",
    "Einsum": "ops/test_einsum.py",
    "GlobalAveragePool": "ops/test_spatial.py",
    "GlobalMaxPool": "ops/test_spatial.py",
    "GRU": "ops/test_recurrent.py",
    "LSTM": "ops/test_recurrent.py",
    "LayerNormalization": "ops/test_batch_norm.py",
    "MaxPool": "ops/test_spatial.py",
    "RNN": "ops/test_recurrent.py",
    "Resize": "ops/test_spatial.py",
}
"""Operators whose comparison with onnxruntime is in another file."""


@pytest.mark.parametrize("op", CASES)
def test_matches_onnxruntime(op: str) -> None:
    @SETTINGS
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case = CASES[op](Draw(data))
        compare(
            op,
            case.inputs,
            case.attrs,
            constants=case.constants,
            outputs=case.outputs,
            rtol=case.rtol,
            atol=case.atol,
        )

    check()


def test_every_exported_operator_is_compared() -> None:
    exported = {name for name, cls in OPS.items() if cls.exported}
    assert exported == CASES.keys() | ELSEWHERE.keys()
    for op, file in ELSEWHERE.items():
        assert f'"{op}"' in (TESTS / file).read_text()
