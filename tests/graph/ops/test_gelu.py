"""Erf is accurate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from graphs import run


@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 5e-7), (np.float64, 4e-16)])
def test_erf_is_accurate(dtype: Any, error: float) -> None:
    x = np.concatenate([np.linspace(-7, 7, 4001), [0.0, 1e-20, -1e-8, 100.0, -1e30]]).astype(dtype)
    (y,) = run("Erf", [x], frozenset(), dtype)
    assert np.abs(y - [math.erf(v) for v in x.tolist()]).max() <= error
