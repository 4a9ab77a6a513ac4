"""Entries of the operators in ``graphspec/graph/ops/global_pooling.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, distinct


def over_all() -> OpCase:
    examples = [Example([distinct(*shape)]) for shape in ((2, 3, 5), (3, 4, 5, 2), (1, 1, 2, 3, 4))]
    wide = [Example([large(*shape)]) for shape in ((30, 40, 100), (30, 40, 10, 10))]
    return OpCase(Elsewhere("graph/ops/test_global_pooling.py"), examples, allocates=wide)


CASES = {"GlobalAveragePool": over_all(), "GlobalMaxPool": over_all()}
