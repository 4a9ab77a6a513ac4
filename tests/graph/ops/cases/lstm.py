"""The entry of the operator in ``graphspec/graph/ops/lstm.py``."""

from __future__ import annotations

from graph.ops.cases.recurrent_examples import recurrent

CASES = {"LSTM": recurrent(4, 2)}
