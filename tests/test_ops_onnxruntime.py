"""Every operator against onnxruntime on random shapes and attributes: the node tests are a floor."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_cases import CASES
from draws import Draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import compare

from graphspec.ops import OPS

SETTINGS = settings(
    max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

ELSEWHERE = {
    "GroupNormalization": "test_ops_group_norm.py",
    "RMSNormalization": "test_ops_group_norm.py",
    "LpNormalization": "test_ops_group_norm.py",
    "ScatterElements": "test_ops_group_norm.py",
    "Attention": "test_ops_attention.py",
    "AveragePool": "test_ops_spatial.py",
    "BatchNormalization": "test_ops_norm.py",
    "Conv": "test_ops_spatial.py",
    "ConvTranspose": "test_ops_conv_transpose.py",
    "Dropout": "test_ops_spatial.py",
    "Einsum": "test_ops_einsum.py",
    "GlobalAveragePool": "test_ops_spatial.py",
    "GlobalMaxPool": "test_ops_spatial.py",
    "GRU": "test_ops_recurrent.py",
    "LSTM": "test_ops_recurrent.py",
    "LayerNormalization": "test_ops_norm.py",
    "MaxPool": "test_ops_spatial.py",
    "RNN": "test_ops_recurrent.py",
    "Resize": "test_ops_spatial.py",
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
        assert f'"{op}"' in (Path(__file__).parent / file).read_text()
