"""The entry of the operator in ``graphspec/graph/ops/gru.py``."""

from __future__ import annotations

from graph.ops.cases.recurrent_examples import recurrent

CASES = {"GRU": recurrent(3, 1, {"linear_before_reset": 1})}
