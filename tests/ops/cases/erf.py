"""The entry of the operator in ``graphspec/ops/erf.py``."""

from __future__ import annotations

from ops.cases.elementwise import of_one

CASES = {"Erf": of_one()}
