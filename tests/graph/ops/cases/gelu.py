"""Entries of the operators in ``graphspec/graph/ops/elementwise.py``."""

from __future__ import annotations

from graph.ops.cases.broadcasting import of_one

CASES = {
    "Gelu": of_one(approximate=["none", "tanh"]),
    "Swish": of_one(alpha=[1.0, 0.5, 2.0, 1.7]),
}
