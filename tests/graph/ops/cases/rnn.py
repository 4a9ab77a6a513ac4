"""The entry of the operator in ``graphspec/graph/ops/rnn.py``."""

from __future__ import annotations

from graph.ops.cases.recurrent_examples import recurrent

CASES = {"RNN": recurrent(1, 1)}
