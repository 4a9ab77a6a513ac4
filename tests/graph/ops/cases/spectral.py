"""The entry of the operator in ``graphspec/graph/ops/spectral.py``."""

from __future__ import annotations

from graph.ops.cases.case import Example, OpCase, normal

CASES = {
    "SpectralScale": OpCase(
        None,
        [Example([normal(3, 4), normal(1, 4)], {"sizes": (3, 4), "columns": 1}, wrt=[0])],
        no_rows="weights have no rows",
        allocates="weights do not grow with the batch",
    ),
}
