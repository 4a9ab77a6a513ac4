"""The entry of the operator in ``graphspec/graph/ops/erf.py``."""

from __future__ import annotations

from graph.ops.cases.elementwise import of_one

CASES = {"Erf": of_one()}
