"""The entry of the operator in ``graphspec/ops/lstm.py``."""

from __future__ import annotations

from ops.cases.recurrent_examples import recurrent

CASES = {"LSTM": recurrent(4, 2)}
