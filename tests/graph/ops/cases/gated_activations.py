"""Entries of the operators in ``graphspec/graph/ops/gated_activations.py``."""

from __future__ import annotations

from graph.ops.cases.elementwise import of_one

CASES = {
    "Gelu": of_one(approximate=["none", "tanh"]),
    "HardSwish": of_one(),
    "Mish": of_one(),
    "Swish": of_one(alpha=[1.0, 0.5, 2.0, 1.7]),
}
