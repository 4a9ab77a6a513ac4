"""The entry of the operator in ``graphspec/ops/rnn.py``."""

from __future__ import annotations

from ops.cases.recurrent_examples import recurrent

CASES = {"RNN": recurrent(1, 1)}
