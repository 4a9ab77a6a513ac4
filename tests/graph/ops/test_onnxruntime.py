"""Every operator against onnxruntime on random shapes and attributes, beyond the cases of the node tests."""

from __future__ import annotations

import pytest
from graph.ops.cases import CASES
from graph.ops.cases.case import Strategy
from graph.ops.cases.draw import Draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import compare

SETTINGS = settings(max_examples=10, database=None, suppress_health_check=list(HealthCheck))
DRAWN: dict[str, Strategy] = {op: entry.draw for op, entry in CASES.items() if callable(entry.draw)}


@pytest.mark.parametrize("op", DRAWN)
def test_matches_onnxruntime(op: str) -> None:
    @SETTINGS
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case = DRAWN[op](Draw(data))
        compare(op, case.inputs, case.attrs, constants=case.constants, outputs=case.outputs)

    check()
