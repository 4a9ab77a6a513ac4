"""A mark for tests that compare ranks of an MPI job with local workers bit by bit."""

from __future__ import annotations

import pytest

from graphspec.graph.kernels.compiled import FAST

SAME_PRODUCTS = pytest.mark.skipif(
    FAST is True, reason="forced kernels: local workers share out every product, and ranks compute each one alone"
)
